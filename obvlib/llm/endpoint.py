"""Where a language model is served, and whether that place is this machine or its private network.

A key is never held here: `api_key_variable` names the environment variable that has it, so that no
log, cache, ledger or error message can show it.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

_PRIVATE = tuple(
    ipaddress.ip_network(block)
    for block in ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1", "fc00::/7")
)


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """An OpenAI-compatible server and how to ask it.

    `url` is the base that `/chat/completions` is appended to, such as `http://127.0.0.1:8000/v1`.
    `allow_credentialed` is the user's explicit word that data under an access agreement may go to a
    server that is not local. Prices are in US dollars for a million tokens; 0 where nothing is
    billed. `response_format` "json_object" is for servers that take no schema.
    """

    url: str
    model: str
    api_key_variable: str = ""
    allow_credentialed: bool = False
    response_format: str = "json_schema"
    temperature: float = 0.0
    seed: int | None = 0
    max_tokens: int = 1024
    timeout_s: float = 120.0  # for a whole call, from connecting to the last byte
    max_attempts: int = 5
    max_wait_s: float = 60.0  # between two attempts, also where the server asks for more
    num_workers: int = 8  # calls at the same time
    usd_per_million_prompt_tokens: float = 0.0
    usd_per_million_new_tokens: float = 0.0

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(
                f"url {self.url!r} is not an address: give the server's base, such as"
                " http://127.0.0.1:8000/v1"
            )
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError(
                "url holds a user name, a password, a query or a fragment: give the address alone,"
                " and the name of the environment variable with the key as api_key_variable"
            )
        if not self.model:
            raise ValueError("model is blank: give the name that the server knows the model by")
        if self.response_format not in ("json_schema", "json_object"):
            raise ValueError(
                f"response_format {self.response_format!r}: use 'json_schema' or 'json_object'"
            )
        for name in ("max_tokens", "timeout_s", "max_attempts", "num_workers"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} {getattr(self, name)}: give a number above 0")

    def api_key(self) -> str:
        """Return the key from the environment, "" where none is needed."""
        if not self.api_key_variable:
            return ""
        key = os.environ.get(self.api_key_variable, "").strip()
        if not key:
            raise ValueError(
                f"api_key_variable {self.api_key_variable!r} names an environment variable that is"
                " not set: set it to the key, or leave the field out for a server without keys"
            )
        return key

    def usd(self, num_prompt_tokens: int, num_new_tokens: int) -> float:
        """Return what a call with so many tokens costs."""
        return (
            num_prompt_tokens * self.usd_per_million_prompt_tokens
            + num_new_tokens * self.usd_per_million_new_tokens
        ) / 1e6


def chosen_endpoint(**settings: Any) -> Endpoint | None:
    """Return the endpoint that `OBV_LLM_URL` and `OBV_LLM_MODEL` name, with these settings; None
    where they are not set.
    """
    url = os.environ.get("OBV_LLM_URL", "").strip()
    model = os.environ.get("OBV_LLM_MODEL", "").strip()
    return Endpoint(url=url, model=model, **settings) if url else None


def is_local(url: str) -> bool:
    """Return whether every address that the URL's host stands for is loopback or private."""
    addresses = addresses_of(url)
    return bool(addresses) and all(is_private(address) for address in addresses)


def addresses_of(url: str) -> list[str]:
    """Return the addresses of the URL's host as the system resolves it now, none if it does not."""
    parts = urlsplit(url)
    try:
        found = socket.getaddrinfo(parts.hostname, parts.port or 80, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def is_private(address: str) -> bool:
    """Return whether an IP address is loopback or of a private network (RFC 1918, RFC 4193).

    Link-local addresses, carrier-grade NAT and 0.0.0.0 do not count.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    return any(ip.version == block.version and ip in block for block in _PRIVATE)


def checked_address(endpoint: Endpoint, credentialed: bool) -> str | None:
    """Return the local address to connect to where only a local one is allowed, else None.

    Connecting to the very address that was checked leaves no moment in which the name could come
    to mean another one. ValueError where credentialed data would leave the private network.
    """
    if not credentialed or endpoint.allow_credentialed:
        return None
    if not is_local(endpoint.url):
        raise ValueError(
            f"url {endpoint.url!r} is not on a loopback or private address, and data of a"
            " credentialed dataset may not be sent elsewhere: serve the model locally, or set"
            " allow_credentialed if the data's terms permit it"
        )
    return addresses_of(endpoint.url)[0]
