"""Files of PhysioNet: fetched with a user's credentials, resumed, and believed only when their
published checksum and their content agree.

Whoever is not logged in gets a web page with status 200. So what arrives under the name of a video
is looked at, and a page is never kept as one.
"""

from __future__ import annotations

import netrc
import os
import re
import urllib.parse
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from obvlib.core.checks import check_path
from obvlib.core.identity import sha256_of
from obvlib.engine import Stage
from obvlib.manifests.failures import DownloadError, PassingError

CHECKSUMS = "SHA256SUMS.txt"
CHUNK_BYTES = 1 << 14  # what a cut connection loses at most
TIMEOUT_S = 60.0  # without a byte
PASSING = (408, 425, 429, 500, 502, 503, 504)


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """A file of a PhysioNet project: its path below the project's address, and its checksum."""

    path: str
    sha256: str


def credentials(host: str) -> tuple[str, str] | None:
    """Return (user, password) from PHYSIONET_USER and PHYSIONET_PASSWORD, else from ~/.netrc."""
    user, password = os.environ.get("PHYSIONET_USER"), os.environ.get("PHYSIONET_PASSWORD")
    if user and password:
        return user, password
    try:
        found = netrc.netrc().authenticators(host)
    except (OSError, netrc.NetrcParseError):
        return None
    return (found[0], found[2] or "") if found else None


def parse_checksums(text: str) -> dict[str, str]:
    """Return {path: SHA-256} of a SHA256SUMS file; ValueError where it holds none."""
    lines = re.findall(r"^([0-9a-f]{64})\s+\*?(\S.*?)\s*$", text, re.MULTILINE)
    if not lines:
        raise ValueError(
            f"{CHECKSUMS} lists no checksum: it may be a login page; check your credentials"
        )
    return {path.removeprefix("./"): digest for digest, path in lines}


def list_files(base_url: str, wanted: Iterable[str] = ()) -> list[RemoteFile]:
    """Return the files that a project publishes with checksums, or those of them in `wanted`.

    DownloadError where the list cannot be had or lacks a wanted file.
    """
    response = _get(f"{base_url.rstrip('/')}/{CHECKSUMS}")
    known = parse_checksums(response.text)
    names = list(wanted) or list(known)
    if missing := [name for name in names if name not in known]:
        raise DownloadError(f"{len(missing)} files are not published: {missing[0]} …", "removed")
    return [RemoteFile(path=check_path(name), sha256=known[name]) for name in names]


@dataclass(frozen=True, kw_only=True)
class PhysioNetStage(Stage):
    """Fetch one file of a project to the same path below `output_dir`."""

    base_url: str
    output_dir: str

    name = "physionet"
    num_retries = 5

    def params(self) -> dict[str, Any]:
        return {"base_url": self.base_url}

    def key(self, record: RemoteFile) -> str:
        return record.path

    def outputs(self, result: RemoteFile) -> list[str]:
        return [os.path.join(self.output_dir, result.path)]

    def __call__(self, record: RemoteFile) -> RemoteFile:
        """Return the record once its file is there and has the published checksum."""
        target = Path(self.output_dir, record.path)
        if target.is_file() and sha256_of(target) == record.sha256:
            return record
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.{record.sha256[:12]}.part")  # resumed by name
        _resume(f"{self.base_url.rstrip('/')}/{urllib.parse.quote(record.path)}", partial)
        _check(partial, record)
        os.replace(partial, target)
        return record


def _resume(url: str, partial: Path) -> None:
    """Append to `partial` what it lacks; PassingError where the connection ends early."""
    have = partial.stat().st_size if partial.exists() else 0
    response = _get(url, {"Range": f"bytes={have}-"} if have else {}, stream=True)
    if response.status_code == 416:  # nothing is left, or the file is another one
        partial.unlink()
        raise PassingError(f"{partial.name}: its beginning belongs to another file; fetched again")
    is_rest = response.status_code == 206
    expected = int(response.headers.get("Content-Length") or -1)
    got = 0
    import requests

    try:
        with open(partial, "ab" if is_rest else "wb") as file:
            for chunk in response.iter_content(CHUNK_BYTES):
                got += file.write(chunk)
    except requests.RequestException as error:
        raise PassingError(f"the connection ended after {have + got} bytes ({error})") from None
    if expected >= 0 and got < expected:
        raise PassingError(f"got {got} of {expected} bytes")


def _check(partial: Path, record: RemoteFile) -> None:
    """Remove what is not the published file, and say what it is."""
    if sha256_of(partial) == record.sha256:
        return
    with open(partial, "rb") as file:
        head = file.read(512).lstrip().lower()
    partial.unlink()
    if head.startswith((b"<!doctype html", b"<html")):
        raise DownloadError(f"{record.path}: a web page came instead of the file", "login")
    raise PassingError(f"{record.path}: its checksum differs from the published one")


def _get(url: str, headers: dict[str, str] | None = None, stream: bool = False) -> Any:
    import requests

    host = urllib.parse.urlsplit(url).hostname or ""
    try:
        response = requests.get(
            url, headers=headers, stream=stream, timeout=TIMEOUT_S, auth=credentials(host)
        )
    except requests.RequestException as error:
        raise PassingError(f"{host} cannot be reached ({type(error).__name__})") from None
    if response.status_code in (401, 403):
        raise DownloadError(
            f"{host} refuses these credentials: sign the data use agreement, and set PHYSIONET_USER"
            " and PHYSIONET_PASSWORD or ~/.netrc",
            "login",
        )
    if response.status_code in (404, 410):
        raise DownloadError(f"{host} has no such file", "removed")
    if response.status_code in PASSING:
        raise PassingError(f"{host} answers {response.status_code}")
    if response.status_code not in (200, 206, 416):
        raise DownloadError(f"{host} answers {response.status_code}", "other")
    return response
