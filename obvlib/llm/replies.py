"""Prompts, answers, and what a server's reply says: a value of the schema, a refusal, or nothing
that can be used.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from obvlib.llm.endpoint import Endpoint

STATUSES = ("answered", "rejected", "refused", "failed")
_REFUSAL = re.compile(
    r"\W*(?:(?:i(?:'|’)?m|i am|we(?:'|’)re)\s+(?:\w+\s+)?(?:sorry|unable|not able|not comfortable)"
    r"|i (?:can(?:no|'|’)t|won(?:'|’)t|must decline|will not|refuse)"
    r"|sorry,|unfortunately,? i can|as an ai\b)",
    re.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """What is asked: instructions (`system`) and the material they apply to (`user`).

    `credentialed` says whether the text holds data of a dataset under an access agreement; it has
    no default, so that nobody forgets to decide.
    """

    user: str
    credentialed: bool
    system: str = ""

    def messages(self) -> list[dict[str, str]]:
        """Return chat messages; lone surrogates, which JSON cannot carry, become "?"."""
        turns = [("system", self.system), ("user", self.user)]
        return [
            {"role": role, "content": text.encode("utf-8", "replace").decode()}
            for role, text in turns
            if text
        ]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """How a prompt ended.

    "answered": `value` fits the schema and the caller's rule; "rejected": it fits the schema but
    the rule said no; "refused": the model declined; "failed": no usable reply. All but "answered"
    have a `reason`. Tokens and cost are what this call spent: nothing if it was `cached`.
    """

    status: str
    value: Any = None
    reason: str = ""
    num_prompt_tokens: int = 0
    num_new_tokens: int = 0
    usd: float = 0.0
    num_attempts: int = 0
    cached: bool = False


class Unusable(Exception):
    """A reply that cannot be used.

    `again`: asking again may help, after at least `wait_s`; `down`: the server cannot be reached or
    lets nobody in; `billed`: the server may have worked on it.
    """

    def __init__(
        self,
        reason: str,
        *,
        again: bool,
        wait_s: float = 0.0,
        down: bool = False,
        billed: bool = False,
    ) -> None:
        super().__init__(reason)
        self.again, self.wait_s, self.down, self.billed = again, wait_s, down, billed


def request_body(prompt: Prompt, schema: type[BaseModel], endpoint: Endpoint) -> dict[str, Any]:
    """Return the chat request. Its hash is the cache key: model, messages, schema, parameters."""
    wanted = strict_schema(schema)
    messages = prompt.messages()
    if endpoint.response_format == "json_schema":
        named = {"name": schema.__name__, "schema": wanted, "strict": True}
        response_format: dict[str, Any] = {"type": "json_schema", "json_schema": named}
    else:
        response_format = {"type": "json_object"}
        text = f"Reply with one JSON object that fits this JSON schema: {json.dumps(wanted)}"
        messages = [{"role": "system", "content": text}, *messages]
    body: dict[str, Any] = {
        "model": endpoint.model,
        "messages": messages,
        "response_format": response_format,
        "temperature": endpoint.temperature,
        "max_tokens": endpoint.max_tokens,
    }
    return body if endpoint.seed is None else body | {"seed": endpoint.seed}


def key_of(body: dict[str, Any]) -> str:
    """Return the hash that names a request in the cache."""
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def strict_schema(schema: type[BaseModel]) -> dict[str, Any]:
    """Return the model's JSON schema as structured output wants it: every property required, no
    other property allowed, no default.
    """
    return _strict(schema.model_json_schema())


def _strict(node: Any) -> Any:
    if isinstance(node, list):
        return [_strict(item) for item in node]
    if not isinstance(node, dict):
        return node
    strict = {
        name: value if name in ("const", "enum", "properties", "$defs") else _strict(value)
        for name, value in node.items()
        if name != "default"
    }
    for named in ("properties", "$defs"):  # their keys are names, which may be "default" too
        if named in node:
            strict[named] = {name: _strict(value) for name, value in node[named].items()}
    if "properties" in node:
        strict |= {"additionalProperties": False, "required": list(node["properties"])}
    return strict


def read_value(content: str, schema: type[BaseModel]) -> BaseModel:
    """Return the value that a reply's text holds; Unusable where it is not JSON of the schema.

    Thoughts before `</think>` and a Markdown fence around the JSON are set aside.
    """
    text = content.rpartition("</think>")[2].strip()
    fenced = re.fullmatch(r"```(?:json)?\s*(.*?)\s*```", text, re.DOTALL)
    text = fenced[1] if fenced else text
    try:
        return schema.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "reply"
        reason = f"reply does not fit the schema: {place}: {first['msg']}"
        raise Unusable(reason, again=True) from None


def read_reply(reply: Any) -> tuple[str, str]:
    """Return (content, refusal) of a chat completion; one of the two is empty."""
    try:
        choice = reply["choices"][0]
        message, finish = choice["message"], choice.get("finish_reason")
        content, refusal = message.get("content") or "", message.get("refusal") or ""
        if not isinstance(content, str) or not isinstance(refusal, str):
            raise TypeError
    except (KeyError, IndexError, TypeError, AttributeError):
        raise Unusable("reply is JSON but not a chat completion", again=True) from None
    if refusal or finish == "content_filter":
        return "", refusal or "stopped by the server's content filter"
    if finish == "length":
        raise Unusable("reply was cut off at max_tokens: raise max_tokens", again=False)
    if _REFUSAL.match(content.rpartition("</think>")[2]) and "{" not in content:
        return "", " ".join(content.rpartition("</think>")[2].split())[:200]
    return content, ""


def tokens_of(reply: Any, body: dict[str, Any]) -> tuple[int, int]:
    """Return (prompt tokens, new tokens) as the server counted them, else as `estimate` does."""
    usage = reply.get("usage") if isinstance(reply, dict) else None
    usage = usage if isinstance(usage, dict) else {}
    counts = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")]
    known = [count for count in counts if isinstance(count, int) and count >= 0]
    return (known[0], known[1]) if len(known) == 2 else estimate(body)


def estimate(body: dict[str, Any]) -> tuple[int, int]:
    """Return the tokens that a call may take at most: one for every two bytes of the request, and
    all of `max_tokens`.
    """
    text = json.dumps(body, ensure_ascii=False)
    return len(text.encode("utf-8", "replace")) // 2 + 1, body["max_tokens"]
