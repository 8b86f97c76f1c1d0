"""Ask a language model for values of a schema, once or many times, with nothing paid for twice.

A reply goes through the cache, the budget, bounded attempts with back-off, the schema and the
caller's rule, in that order. Every prompt ends as one `Answer`; only settings that are wrong raise.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import tenacity
from pydantic import BaseModel

from obvlib.llm import replies
from obvlib.llm.budget import Budget, OverBudget
from obvlib.llm.cache import Cache
from obvlib.llm.endpoint import Endpoint, checked_address
from obvlib.llm.replies import Answer, Prompt, Unusable
from obvlib.llm.transport import new_client, post

MAX_FAILURES_IN_A_ROW = 20  # of the connection; then the rest of a batch is not tried
Rule = Callable[[Any], str]


@dataclass
class _Spending:
    """What one prompt has spent so far, over all its attempts."""

    num_prompt_tokens: int = 0
    num_new_tokens: int = 0
    num_attempts: int = 0


@dataclass
class _Fuse:
    """Connection failures in a row, over all threads of a batch."""

    num_failures: int = 0
    lock: Any = field(default_factory=threading.Lock)

    def record(self, is_down: bool) -> None:
        with self.lock:
            self.num_failures = self.num_failures + 1 if is_down else 0

    @property
    def is_blown(self) -> bool:
        return self.num_failures >= MAX_FAILURES_IN_A_ROW


@dataclass(frozen=True, kw_only=True)
class _Call:
    """What all prompts of a batch have in common."""

    schema: type[BaseModel]
    endpoint: Endpoint
    cache: Cache | None
    budget: Budget | None
    rule: Rule | None
    client: httpx.Client
    fuse: _Fuse


def ask(
    prompt: Prompt,
    schema: type[BaseModel],
    endpoint: Endpoint,
    *,
    cache: Cache | None = None,
    budget: Budget | None = None,
    rule: Rule | None = None,
) -> Answer:
    """Return the model's answer to one prompt as a value of `schema`.

    `rule` takes the value and returns why it is rejected, "" if it is not. Answers and refusals are
    cached, failures never. ValueError, before anything is sent, where `prompt` is credentialed and
    the endpoint is neither local nor allowed.
    """
    [answer] = ask_all([prompt], schema, endpoint, cache=cache, budget=budget, rule=rule)
    return answer


def ask_all(
    prompts: Iterable[Prompt],
    schema: type[BaseModel],
    endpoint: Endpoint,
    *,
    cache: Cache | None = None,
    budget: Budget | None = None,
    rule: Rule | None = None,
) -> Iterator[Answer]:
    """Return the answers to many prompts, in their order, each once those before it are there.

    `endpoint.num_workers` calls run at the same time; equal prompts are asked once. As `ask`.
    """
    prompts = list(prompts)
    endpoint.api_key()
    checked_address(endpoint, any(prompt.credentialed for prompt in prompts))
    return _answers(prompts, schema, endpoint, cache, budget, rule)


def _answers(
    prompts: list[Prompt],
    schema: type[BaseModel],
    endpoint: Endpoint,
    cache: Cache | None,
    budget: Budget | None,
    rule: Rule | None,
) -> Iterator[Answer]:
    with ExitStack() as stack:
        client = stack.enter_context(new_client(endpoint))
        for store in (cache, budget):
            if store is not None:
                stack.enter_context(store.kept_open())
        call = _Call(
            schema=schema,
            endpoint=endpoint,
            cache=cache,
            budget=budget,
            rule=rule,
            client=client,
            fuse=_Fuse(),
        )
        if len(prompts) == 1:
            yield _answer(prompts[0], call)
            return
        pool = ThreadPoolExecutor(endpoint.num_workers)
        stack.callback(pool.shutdown, cancel_futures=True)  # also where the caller stops early
        first = {prompt: pool.submit(_answer, prompt, call) for prompt in dict.fromkeys(prompts)}
        seen: set[Prompt] = set()
        for prompt in prompts:
            answer = first[prompt].result()
            yield _unpaid(answer) if prompt in seen else answer
            seen.add(prompt)


def _unpaid(answer: Answer) -> Answer:
    return replace(
        answer, num_prompt_tokens=0, num_new_tokens=0, usd=0.0, num_attempts=0, cached=True
    )


def _answer(prompt: Prompt, call: _Call) -> Answer:
    body = replies.request_body(prompt, call.schema, call.endpoint)
    key = replies.key_of(body)
    stored = call.cache.get(key) if call.cache else None
    if stored is not None:
        try:
            return replace(_end(stored, call), cached=True)
        except (Unusable, KeyError):
            pass  # the schema's validators have changed: ask again
    if call.fuse.is_blown:
        return Answer(
            status="failed",
            reason=f"not tried: {MAX_FAILURES_IN_A_ROW} calls in a row failed to reach the server",
        )
    spending = _Spending()
    try:
        reply = _attempts(call.endpoint)(_attempt, body, prompt.credentialed, call, spending)
        answer = _end(reply, call)
        if call.cache:
            call.cache.put(key, call.endpoint.model, reply)
    except Unusable as error:
        answer = Answer(status="failed", reason=str(error))
        call.fuse.record(error.down)
    except OverBudget as error:
        answer = Answer(status="failed", reason=str(error))
    else:
        call.fuse.record(False)
    spent = (spending.num_prompt_tokens, spending.num_new_tokens)
    return replace(
        answer,
        num_prompt_tokens=spent[0],
        num_new_tokens=spent[1],
        usd=call.endpoint.usd(*spent),
        num_attempts=spending.num_attempts,
    )


def _attempts(endpoint: Endpoint) -> tenacity.Retrying:
    return tenacity.Retrying(
        stop=tenacity.stop_after_attempt(endpoint.max_attempts),
        retry=tenacity.retry_if_exception(_is_worth_another),
        wait=_Wait(endpoint.max_wait_s),
        reraise=True,
    )


def _is_worth_another(error: BaseException) -> bool:
    return isinstance(error, Unusable) and error.again


class _Wait(tenacity.wait.wait_base):
    """Wait as long as the server asks, else up to 0.5, 1, 2, 4 … s at random; both bounded."""

    def __init__(self, max_wait_s: float) -> None:
        self.max_wait_s = max_wait_s
        self.backoff = tenacity.wait_random_exponential(multiplier=0.5, max=max_wait_s)

    def __call__(self, retry_state: tenacity.RetryCallState) -> float:
        error = retry_state.outcome.exception() if retry_state.outcome else None
        asked_s = error.wait_s if isinstance(error, Unusable) else 0.0
        return min(self.max_wait_s, max(asked_s, self.backoff(retry_state)))


def _attempt(
    body: dict[str, Any], credentialed: bool, call: _Call, spending: _Spending
) -> dict[str, Any]:
    """Return one reply that fits the schema, or a refusal; whatever it cost is counted."""
    if "seed" in body and spending.num_attempts:  # the same seed would repeat the same bad reply
        body = body | {"seed": body["seed"] + spending.num_attempts}
    at_most = replies.estimate(body)
    reserved = call.budget.reserve(sum(at_most), call.endpoint.usd(*at_most)) if call.budget else ""
    spending.num_attempts += 1
    used = (0, 0)
    try:
        reply = post(call.client, call.endpoint, body, credentialed)
        used = replies.tokens_of(reply, body)
    except Unusable as error:
        used = at_most if error.billed else used
        raise
    finally:
        spending.num_prompt_tokens += used[0]
        spending.num_new_tokens += used[1]
        if call.budget:
            call.budget.settle(reserved, sum(used), call.endpoint.usd(*used))
    content, refusal = replies.read_reply(reply)
    if not refusal:
        replies.read_value(content, call.schema)
    return {"content": content, "refusal": refusal}


def _end(reply: dict[str, Any], call: _Call) -> Answer:
    if reply["refusal"]:
        return Answer(status="refused", reason=reply["refusal"])
    value = replies.read_value(reply["content"], call.schema)
    reason = call.rule(value) if call.rule else ""
    if reason:
        return Answer(status="rejected", value=value, reason=reason)
    return Answer(status="answered", value=value)
