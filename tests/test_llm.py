"""Language models: real replies from a small local server, and every way in which a server can
misbehave, played by one on loopback.
"""

import logging
import threading
import time
from typing import Literal

import pytest
from local_llm import Reply, completion, serve, serve_in_turn, start_smollm2
from pydantic import BaseModel

from obvlib.llm import Budget, Cache, Endpoint, Prompt, ask, ask_all, endpoint, is_local
from obvlib.llm.replies import key_of, request_body, strict_schema


class Decision(BaseModel):
    keep: bool
    modality: Literal["ultrasound", "ct"] = "ct"


GOOD = Reply(completion('{"keep": true, "modality": "ultrasound"}'))
PROMPT = Prompt(user="An echo loop.", system="Decide.", credentialed=False)


def fast(url, **settings):
    settings = {"max_wait_s": 0.01, "timeout_s": 2.0} | settings
    return Endpoint(url=url, model="m", **settings)


def many(count):
    return [Prompt(user=f"caption {i}", credentialed=False) for i in range(count)]


def test_an_answer_is_a_value_of_the_schema_and_is_paid_for_once(tmp_path):
    cache, budget = Cache(tmp_path / "c.sqlite"), Budget(path=tmp_path / "b.sqlite")
    with serve_in_turn(GOOD) as server:
        where = fast(server.url, usd_per_million_prompt_tokens=1, usd_per_million_new_tokens=2)
        first = ask(PROMPT, Decision, where, cache=cache, budget=budget)
        again = ask(PROMPT, Decision, where, cache=cache, budget=budget)
    assert first.value == Decision(keep=True, modality="ultrasound")
    assert (first.status, first.num_prompt_tokens, first.num_new_tokens) == ("answered", 10, 5)
    assert first.usd == pytest.approx(20e-6) and not first.cached
    assert again.cached and again.value == first.value and again.usd == 0
    assert len(server.requests) == 1 and cache.num_replies() == 1
    assert budget.spent() == (15, pytest.approx(20e-6))


def test_the_request_names_model_schema_and_parameters():
    with serve_in_turn(GOOD) as server:
        ask(PROMPT, Decision, fast(server.url, temperature=0.5, max_tokens=7, seed=3))
    [(headers, body)] = server.requests
    assert body["messages"] == [
        {"role": "system", "content": "Decide."},
        {"role": "user", "content": "An echo loop."},
    ]
    assert (body["model"], body["temperature"], body["max_tokens"], body["seed"]) == (
        "m",
        0.5,
        7,
        3,
    )
    schema = body["response_format"]["json_schema"]["schema"]
    assert schema["required"] == ["keep", "modality"] and schema["additionalProperties"] is False
    assert "Authorization" not in headers


def test_nested_schemas_are_strict_and_fields_may_be_called_default():
    class Inner(BaseModel):
        default: int = 1

    class Outer(BaseModel):
        inner: Inner
        more: list[Inner] = []

    schema = strict_schema(Outer)
    inner = schema["$defs"]["Inner"]
    assert inner["required"] == ["default"] and inner["additionalProperties"] is False
    assert "default" not in inner["properties"]["default"]


@pytest.mark.parametrize(
    "change",
    [
        {"model": "other"},
        {"temperature": 0.3},
        {"max_tokens": 9},
        {"seed": 4},
        {"response_format": "json_object"},
    ],
    ids=str,
)
def test_the_cache_tells_parameters_apart(tmp_path, change):
    cache = Cache(tmp_path / "c.sqlite")
    with serve_in_turn(GOOD) as server:
        ask(PROMPT, Decision, fast(server.url), cache=cache)
        settings = {"model": "m"} | change
        other = Endpoint(url=server.url, **settings)
        assert not ask(PROMPT, Decision, other, cache=cache).cached


def test_the_cache_tells_prompts_and_schemas_apart_but_not_addresses(tmp_path):
    class Other(BaseModel):
        keep: bool

    cache = Cache(tmp_path / "c.sqlite")
    with serve_in_turn(GOOD) as server, serve_in_turn(GOOD) as moved:
        ask(PROMPT, Decision, fast(server.url), cache=cache)
        assert not ask(PROMPT, Other, fast(server.url), cache=cache).cached
        changed = Prompt(user="Another.", system="Decide.", credentialed=False)
        assert not ask(changed, Decision, fast(server.url), cache=cache).cached
        assert ask(PROMPT, Decision, fast(moved.url), cache=cache).cached
    assert moved.requests == []


BAD = {
    "429": Reply(b'{"error": {"message": "slow down"}}', 429, headers={"Retry-After": "0"}),
    "500": Reply(b"oops", 500),
    "503 as HTML": Reply(b"<html><body>Bad gateway</body></html>", 503),
    "HTML with 200": Reply(b"<!doctype html><title>Sign in</title>"),
    "half a JSON": Reply(completion("{}")[:40]),
    "half a body": Reply(completion("{}")[:40], claims=500),
    "not UTF-8": Reply(b"\xff\xfe{\x00"),
    "empty": Reply(b""),
    "a list": Reply(b"[]"),
    "no choices": Reply(b'{"choices": []}'),
    "content is a number": Reply(b'{"choices": [{"message": {"content": 5}}]}'),
    "text instead of JSON": Reply(completion("Sure! I keep it.")),
    "half a value": Reply(completion('{"keep": tr')),
    "a label that is not in the list": Reply(completion('{"keep": true, "modality": "xray"}')),
    "nothing": Reply(completion("")),
    "hanging": Reply(b"", hang_s=1.0),
    "trickling": Reply(b" " * 200, trickle_s=0.05),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_reply_is_asked_again_and_then_fails_by_name(tmp_path, name):
    cache, budget = Cache(tmp_path / "c.sqlite"), Budget(path=tmp_path / "b.sqlite")
    limit_s = 0.3 if name in ("hanging", "trickling") else 5.0
    with serve_in_turn(BAD[name], GOOD) as server:
        answer = ask(PROMPT, Decision, fast(server.url, timeout_s=limit_s))
    assert (answer.status, answer.num_attempts) == ("answered", 2)
    with serve_in_turn(BAD[name]) as server:
        where = fast(server.url, timeout_s=limit_s, max_attempts=2)
        start_s = time.monotonic()
        answer = ask(PROMPT, Decision, where, cache=cache, budget=budget)
        assert time.monotonic() - start_s < 5
    assert (answer.status, answer.num_attempts, answer.value) == ("failed", 2, None)
    assert answer.reason and len(server.requests) == 2
    assert cache.num_replies() == 0  # a failure is never remembered
    assert budget.spent().num_tokens == answer.num_prompt_tokens + answer.num_new_tokens


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(b'{"error": {"message": "no such model"}}', 404), "HTTP 404: no such model"),
        (Reply(b'{"error": {"message": "bad key"}}', 401), "HTTP 401: bad key"),
        (Reply(b'{"error": {"message": "no", "code": "insufficient_quota"}}', 429), "HTTP 429"),
        (Reply(b"", 307, headers={"Location": "http://example.com/"}), "redirects"),
        (Reply(completion('{"keep"', finish_reason="length")), "raise max_tokens"),
    ],
    ids=["404", "401", "quota", "redirect", "length"],
)
def test_what_no_attempt_can_mend_is_tried_once(reply, reason):
    with serve_in_turn(reply) as server:
        answer = ask(PROMPT, Decision, fast(server.url))
    assert answer.status == "failed" and reason in answer.reason
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "reply",
    [
        Reply(completion("", refusal="I can't help with that.")),
        Reply(completion("", finish_reason="content_filter")),
        Reply(completion("I'm sorry, but I can't assist with that request.")),
        Reply(completion("<think>Hm.</think>I cannot help with medical advice.")),
    ],
)
def test_a_refusal_is_its_own_end_and_is_cached(tmp_path, reply):
    cache = Cache(tmp_path / "c.sqlite")
    with serve_in_turn(reply) as server:
        ends = [ask(PROMPT, Decision, fast(server.url), cache=cache) for _ in range(2)]
    assert [end.status for end in ends] == ["refused", "refused"] and ends[0].reason
    assert ends[1].cached and len(server.requests) == 1


def test_a_rule_rejects_with_its_reason_also_what_is_cached(tmp_path):
    cache = Cache(tmp_path / "c.sqlite")
    with serve_in_turn(GOOD) as server:
        plain = ask(PROMPT, Decision, fast(server.url), cache=cache)
        end = ask(
            PROMPT, Decision, fast(server.url), cache=cache, rule=lambda value: "no keeping today"
        )
    assert plain.status == "answered"
    assert (end.status, end.reason, end.cached) == ("rejected", "no keeping today", True)
    assert end.value == Decision(keep=True, modality="ultrasound")


def test_thoughts_and_fences_around_the_value_are_set_aside():
    text = '<think>{"keep": false}</think>\n```json\n{"keep": true, "modality": "ct"}\n```'
    with serve_in_turn(Reply(completion(text))) as server:
        assert ask(PROMPT, Decision, fast(server.url)).value == Decision(keep=True)


def test_another_attempt_uses_another_seed():
    with serve_in_turn(BAD["half a value"], GOOD) as server:
        ask(PROMPT, Decision, fast(server.url, seed=5))
    assert [body["seed"] for _, body in server.requests] == [5, 6]


def test_retry_after_is_honoured_but_bounded():
    wait = Reply(b"", 429, headers={"Retry-After": "0.4"})
    with serve_in_turn(wait, GOOD) as server:
        start_s = time.monotonic()
        ask(PROMPT, Decision, fast(server.url, max_wait_s=5.0))
        assert time.monotonic() - start_s >= 0.4
    forever = Reply(b"", 503, headers={"Retry-After": "Wed, 21 Oct 2099 07:28:00 GMT"})
    with serve_in_turn(forever, GOOD) as server:
        start_s = time.monotonic()
        assert ask(PROMPT, Decision, fast(server.url, max_wait_s=0.1)).status == "answered"
        assert time.monotonic() - start_s < 2


def test_many_prompts_keep_their_order_and_run_at_the_same_time():
    def answer(body):
        number = int(body["messages"][-1]["content"].split()[-1])
        time.sleep(0.01 * (number % 3))
        return Reply(completion(f'{{"keep": {str(number % 2 == 0).lower()}, "modality": "ct"}}'))

    with serve(answer) as server:
        answers = list(ask_all(many(40), Decision, fast(server.url)))
    assert [a.value.keep for a in answers] == [number % 2 == 0 for number in range(40)]


def test_equal_prompts_are_asked_once_and_one_bad_reply_harms_no_other(tmp_path):
    def answer(body):
        return BAD["500"] if body["messages"][-1]["content"] == "caption 1" else GOOD

    prompts = many(3) + many(3)
    with serve(answer) as server:
        where = fast(server.url, max_attempts=2)
        answers = list(ask_all(prompts, Decision, where, cache=Cache(tmp_path / "c")))
    assert [a.status for a in answers] == ["answered", "failed", "answered"] * 2
    assert len(server.requests) == 2 + 2
    assert [a.cached for a in answers] == [False] * 3 + [True] * 3


def test_a_server_that_is_down_ends_the_batch_early():
    with serve_in_turn(GOOD) as server:
        url = server.url  # closed from here on
    start_s = time.monotonic()
    answers = list(ask_all(many(500), Decision, fast(url, max_attempts=2)))
    assert time.monotonic() - start_s < 10
    assert {a.status for a in answers} == {"failed"}
    assert sum(a.num_attempts for a in answers) <= 2 * (20 + 8)
    assert "cannot connect" in answers[0].reason and "not tried" in answers[-1].reason


def test_a_budget_is_never_exceeded_also_not_by_calls_at_the_same_time(tmp_path):
    budget = Budget(path=tmp_path / "b", run="night", max_tokens=4000)
    with serve_in_turn(GOOD) as server:
        answers = list(ask_all(many(60), Decision, fast(server.url, max_tokens=600), budget=budget))
    ends = [a.status for a in answers]
    assert 0 < ends.count("answered") < 60 or ends.count("answered") == 60
    assert budget.spent().num_tokens == 15 * ends.count("answered") <= 4000
    assert all("max_tokens" in a.reason for a in answers if a.status == "failed")
    dear = Budget(path=tmp_path / "b", run="other", max_usd=1e-9)
    with serve_in_turn(GOOD) as server:
        where = fast(server.url, usd_per_million_prompt_tokens=1.0)
        answer = ask(PROMPT, Decision, where, budget=dear)
    assert answer.status == "failed" and "max_usd" in answer.reason and server.requests == []


def test_a_call_that_was_never_settled_stays_counted(tmp_path):
    budget = Budget(path=tmp_path / "b", max_tokens=100)
    budget.reserve(90, 0.0)  # and then the process is killed
    assert budget.spent().num_tokens == 90
    with pytest.raises(Exception, match="would be exceeded"):
        budget.reserve(20, 0.0)


def test_many_threads_share_one_cache_and_budget(tmp_path):
    cache, budget = Cache(tmp_path / "c"), Budget(path=tmp_path / "b")

    def work(start):
        for i in range(start, start + 40):
            cache.put(str(i), "m", {"content": str(i), "refusal": ""})
            budget.settle(budget.reserve(10, 0.0), 3, 0.0)

    threads = [threading.Thread(target=work, args=(i * 40,)) for i in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert cache.num_replies() == 160 and budget.spent().num_tokens == 480


def test_cached_items_are_replayed_fast(tmp_path):
    """1,000 items here; 20,000 have to be replayed within 60 s, one server or none."""
    cache, prompts = Cache(tmp_path / "c"), many(1000)
    with serve_in_turn(GOOD) as server:
        where = fast(server.url)
        list(ask_all(prompts[:1], Decision, where, cache=cache))
    keys = [key_of(request_body(prompt, Decision, where)) for prompt in prompts]
    reply = cache.get(keys[0])
    with cache.kept_open():
        for key in keys[1:]:
            cache.put(key, where.model, reply)
    start_s = time.monotonic()
    answers = list(ask_all(prompts, Decision, fast(server.url), cache=cache))
    assert all(a.cached for a in answers) and time.monotonic() - start_s < 4


def test_a_damaged_cache_entry_is_asked_again_and_a_damaged_file_named(tmp_path):
    cache = Cache(tmp_path / "c")
    with serve_in_turn(GOOD) as server:
        where = fast(server.url)
        ask(PROMPT, Decision, where, cache=cache)
        cache.put(key_of(request_body(PROMPT, Decision, where)), "m", {"content": "{"})
        again = ask(PROMPT, Decision, where, cache=cache)
    assert again.status == "answered" and not again.cached and len(server.requests) == 2
    (tmp_path / "broken").write_bytes(b"not a database" * 100)
    with pytest.raises(ValueError, match="move the file away"):
        Cache(tmp_path / "broken").get("key")


KEY = "sk-proj-0123456789abcdefghijkl"


def test_a_key_is_sent_and_never_shown(tmp_path, monkeypatch, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("MY_KEY", KEY)
    cache = Cache(tmp_path / "c")
    echo = Reply(f'{{"error": {{"message": "bad key {KEY} ({KEY[:12]}...)"}}}}'.encode(), 401)
    with serve_in_turn(echo, GOOD) as server:
        where = fast(server.url, api_key_variable="MY_KEY")
        answer = ask(PROMPT, Decision, where, cache=cache)
        ask(PROMPT, Decision, where, cache=cache)
    assert server.requests[0][0]["Authorization"] == f"Bearer {KEY}"
    seen = repr(answer) + repr(where) + caplog.text + "".join(capfd.readouterr())
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert KEY[:10] not in seen and KEY[:10].encode() not in stored
    assert "401" in answer.reason


def test_a_key_that_is_not_set_is_an_error_before_anything_is_sent(monkeypatch):
    monkeypatch.delenv("MY_KEY", raising=False)
    with serve_in_turn(GOOD) as server:
        with pytest.raises(ValueError, match="MY_KEY"):
            ask(PROMPT, Decision, fast(server.url, api_key_variable="MY_KEY"))
    assert server.requests == []


@pytest.mark.parametrize(
    "settings",
    [
        {"url": "127.0.0.1:8000"},
        {"url": "ftp://127.0.0.1/"},
        {"url": "http://user:secret@127.0.0.1/v1"},
        {"url": "http://127.0.0.1/v1?key=secret"},
        {"model": ""},
        {"response_format": "grammar"},
        {"timeout_s": 0},
        {"num_workers": 0},
    ],
    ids=str,
)
def test_endpoint_settings_are_checked_and_secrets_not_repeated(settings):
    with pytest.raises(ValueError) as error:
        Endpoint(**{"url": "http://127.0.0.1/v1", "model": "m"} | settings)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("10.1.2.3", True),
        ("172.16.0.1", True),
        ("172.32.0.1", False),
        ("192.168.1.20", True),
        ("192.169.1.20", False),
        ("8.8.8.8", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("203.0.113.5", False),
        ("::1", True),
        ("fd12::1", True),
        ("fe80::1%eth0", False),
        ("::ffff:127.0.0.1", True),
        ("::ffff:8.8.8.8", False),
        ("2001:4860:4860::8888", False),
    ],
)
def test_which_addresses_are_local(address, local):
    assert endpoint.is_private(address) is local


def test_a_name_is_local_only_if_all_its_addresses_are(monkeypatch):
    table = {"near.test": ["10.0.0.5"], "both.test": ["10.0.0.5", "8.8.8.8"], "none.test": []}

    def resolve(host, port, **_):
        if not table[host]:
            raise OSError("no such name")
        return [(2, 1, 6, "", (address, port)) for address in table[host]]

    monkeypatch.setattr(endpoint.socket, "getaddrinfo", resolve)
    assert [is_local(f"https://{name}/v1") for name in table] == [True, False, False]


@pytest.mark.parametrize(
    "url", ["https://api.example.com/v1", "http://8.8.8.8/v1", "http://no-such-host.invalid/v1"]
)
def test_credentialed_data_goes_to_no_remote_server(url):
    secret = Prompt(user="An echo of patient 7.", credentialed=True)
    with pytest.raises(ValueError, match="allow_credentialed"):
        ask(secret, Decision, fast(url))
    with pytest.raises(ValueError, match="allow_credentialed"):
        ask_all([PROMPT, secret], Decision, fast(url))  # before the first answer is asked for


def test_credentialed_data_goes_to_the_very_address_that_was_checked(monkeypatch):
    """A name that means this machine when checked, and nothing when connected to."""
    secret = Prompt(user="An echo of patient 7.", credentialed=True)
    with serve_in_turn(GOOD) as server:
        port = server.server_address[1]
        here = [(2, 1, 6, "", ("127.0.0.1", port))]
        resolve = endpoint.socket.getaddrinfo

        def checked_only(host, *args, **kwargs):
            is_check = "type" in kwargs
            return here if host == "judge.test" and is_check else resolve(host, *args, **kwargs)

        monkeypatch.setattr(endpoint.socket, "getaddrinfo", checked_only)
        assert ask(secret, Decision, fast(f"http://judge.test:{port}/v1")).status == "answered"
    assert server.requests[0][0]["Host"] == f"judge.test:{port}"


def test_a_local_server_is_not_reached_through_a_proxy(monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with serve_in_turn(GOOD) as server:
        assert ask(PROMPT, Decision, fast(server.url)).status == "answered"


def test_the_user_may_allow_a_remote_server_for_credentialed_data(monkeypatch):
    monkeypatch.setattr(endpoint, "is_private", lambda address: False)  # as if it were remote
    secret = Prompt(user="An echo of patient 7.", credentialed=True)
    with serve_in_turn(GOOD) as server:
        with pytest.raises(ValueError, match="allow_credentialed"):
            ask(secret, Decision, fast(server.url))
        assert ask(secret, Decision, fast(server.url, allow_credentialed=True)).value.keep


@pytest.mark.slow
def test_a_real_local_model_fills_the_schema(tmp_path):
    server, url = start_smollm2()
    where = Endpoint(url=url, model="smollm2", max_tokens=60, num_workers=2)
    texts = ["The loop shows the left ventricle.", "lone \ud800 \x00"]
    prompts = [
        Prompt(
            user=text, system="Is this about a medical image? Answer in JSON.", credentialed=True
        )
        for text in texts
    ]
    cache = Cache(tmp_path / "c")
    answers = list(ask_all(prompts, Decision, where, cache=cache))
    assert [a.status for a in answers] == ["answered"] * 2
    assert all(isinstance(a.value, Decision) and a.num_new_tokens > 0 for a in answers)
    assert [a.cached for a in ask_all(prompts, Decision, where, cache=cache)] == [True] * 2
    del server
