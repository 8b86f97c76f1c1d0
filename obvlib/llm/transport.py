"""One HTTP call to a chat endpoint, bounded in time and size; each way it can fail is named."""

from __future__ import annotations

import json
import ssl
import time
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import httpx

from obvlib.llm.endpoint import Endpoint, addresses_of, checked_address, is_private
from obvlib.llm.replies import Unusable

MAX_REPLY_BYTES = 8_000_000
_AGAIN = {408, 409, 425, 429}  # and every 5xx


def new_client(endpoint: Endpoint) -> httpx.Client:
    """Return a client for the endpoint; it follows no redirect, and no proxy to a local server."""
    addresses = addresses_of(endpoint.url)
    is_near = bool(addresses) and all(is_private(address) for address in addresses)
    limits = httpx.Limits(max_connections=endpoint.num_workers)
    return httpx.Client(
        timeout=endpoint.timeout_s, limits=limits, trust_env=not is_near, follow_redirects=False
    )


def post(
    client: httpx.Client, endpoint: Endpoint, body: dict[str, Any], credentialed: bool
) -> dict[str, Any]:
    """Return the reply's JSON object; Unusable with the reason otherwise. The key never shows."""
    key = endpoint.api_key()
    try:
        status, headers, content = _exchange(client, _request(client, endpoint, body, credentialed))
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        reason = f"cannot connect to {endpoint.url}: {_hidden(str(error), key)}"
        raise Unusable(reason, again=True, down=True) from None
    except httpx.TimeoutException:
        reason = f"no reply within {endpoint.timeout_s:g} s"
        raise Unusable(reason, again=True, down=True, billed=True) from None
    except (httpx.HTTPError, ssl.SSLError, OSError) as error:
        reason = _hidden(f"connection broke: {type(error).__name__}: {error}", key)
        raise Unusable(reason, again=True, down=True, billed=True) from None
    if status != 200:
        raise _refused_by_server(status, headers, _hidden(_message(content), key))
    try:
        reply = json.loads(content)
    except ValueError:  # also bytes that are not UTF-8
        reason = f"reply is not JSON: {_start(content)}"
        raise Unusable(reason, again=True, billed=True) from None
    if not isinstance(reply, dict):
        raise Unusable("reply is JSON but not a chat completion", again=True, billed=True)
    return reply


def _request(
    client: httpx.Client, endpoint: Endpoint, body: dict[str, Any], credentialed: bool
) -> httpx.Request:
    url = httpx.URL(endpoint.url.rstrip("/") + "/chat/completions")
    headers = {"Authorization": f"Bearer {endpoint.api_key()}"} if endpoint.api_key() else {}
    extensions: dict[str, Any] = {"timeout": httpx.Timeout(endpoint.timeout_s).as_dict()}
    address = checked_address(endpoint, credentialed)
    if address is not None:
        headers["Host"] = url.netloc.decode()
        extensions["sni_hostname"] = urlsplit(endpoint.url).hostname
        url = url.copy_with(host=address)
    return client.build_request("POST", url, json=body, headers=headers, extensions=extensions)


def _exchange(client: httpx.Client, request: httpx.Request) -> tuple[int, httpx.Headers, bytes]:
    """Return status, headers and body; a server that trickles bytes is cut off in time."""
    deadline = time.monotonic() + request.extensions["timeout"]["read"]
    content = bytearray()
    response = client.send(request, stream=True)
    try:
        for chunk in response.iter_bytes():
            content += chunk
            if time.monotonic() > deadline:
                raise httpx.ReadTimeout("the reply did not end in time")
            if len(content) > MAX_REPLY_BYTES:
                raise httpx.ReadError(f"the reply is longer than {MAX_REPLY_BYTES} bytes")
    finally:
        response.close()
    return response.status_code, response.headers, bytes(content)


def _refused_by_server(status: int, headers: httpx.Headers, message: str) -> Unusable:
    """Return what an HTTP status other than 200 means for the next attempt."""
    if 300 <= status < 400:
        return Unusable(f"HTTP {status}: redirects are not followed", again=False, down=True)
    again = (status in _AGAIN or status >= 500) and "insufficient_quota" not in message
    down = status in (401, 403, 404) or status >= 500
    return Unusable(
        f"HTTP {status}: {message}", again=again, wait_s=_retry_after_s(headers), down=down
    )


def _retry_after_s(headers: httpx.Headers) -> float:
    """Return the seconds that Retry-After asks for, given in seconds or as a date; else 0."""
    text = headers.get("retry-after", "").strip()
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError, IndexError):
        return 0.0


def _message(content: bytes) -> str:
    """Return the error message of a reply, or how it begins."""
    try:
        error = json.loads(content)["error"]
        found = error if isinstance(error, str) else f"{error.get('message')} {error.get('code')}"
    except (ValueError, KeyError, TypeError, AttributeError):
        return _start(content)
    return " ".join(found.split())[:300]


def _start(content: bytes) -> str:
    return repr(" ".join(content[:400].decode("utf-8", "replace").split())[:120])


def _hidden(text: str, key: str) -> str:
    """Hide the key in an answer: some servers repeat a rejected one in full or in part."""
    if not key:
        return text
    for length in range(len(key), min(7, len(key) - 1), -1):
        for part in (key[:length], key[-length:]):
            text = text.replace(part, "[key]")
    return text
