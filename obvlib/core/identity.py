"""What a file is, so that a changed one is noticed and an unchanged one is not worked on again.

Size, modification time, change time and a remote file's ETag are compared first. Only where one of
them differs (a copy, a moved file, another server) do the contents decide, by their SHA-256.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from obvlib.core.locations import filesystem, is_remote


@dataclass(frozen=True, kw_only=True)
class FileIdentity:
    """A file as it was at one moment; what is unknown is -1, 0 or empty."""

    size_bytes: int = -1
    mtime_ns: int = 0
    ctime_ns: int = 0
    etag: str = ""
    sha256: str = ""

    @property
    def is_marked(self) -> bool:
        """Is there anything but the size by which a change would show?"""
        return bool(self.etag or self.mtime_ns)

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, row: dict[str, Any]) -> FileIdentity:
        return cls(**row)

    def looks_like(self, other: FileIdentity) -> bool:
        """Return whether size, times and ETag agree, and say enough to be trusted."""
        return (
            self.is_marked
            and dataclasses.replace(self, sha256="") == dataclasses.replace(other, sha256="")
        )  # fmt: skip


def identify(location: str) -> FileIdentity | None:
    """Return what the file at a location is now, without its hash; None where there is none."""
    if is_remote(location):
        return remote_identity(*filesystem(location))
    try:
        found = os.stat(location)
    except OSError:
        return None
    return FileIdentity(
        size_bytes=found.st_size, mtime_ns=found.st_mtime_ns, ctime_ns=found.st_ctime_ns
    )


def remote_identity(fs: Any, path: str) -> FileIdentity | None:
    """Return what a remote file is now, as its server says; None where there is none."""
    fs.invalidate_cache()
    try:
        info = fs.info(path)
    except FileNotFoundError:
        return None
    return _from_info(info)


def _from_info(info: dict[str, Any]) -> FileIdentity:
    """Return what a server says; its time only where it gives no ETag, since listings round it."""
    size = info.get("size")
    etag = str(info.get("ETag") or info.get("Content-MD5") or "")
    names = ("LastModified", "Last-Modified", "mtime", "created")
    time = next((info[name] for name in names if info.get(name)), None)
    return FileIdentity(
        size_bytes=-1 if size is None else size, mtime_ns=0 if etag else _time_ns(time), etag=etag
    )


class Present:
    """What files are now, each looked at once: a remote directory is listed, not asked file by
    file.
    """

    def __init__(self) -> None:
        self._found: dict[str, FileIdentity | None] = {}
        self._listed: dict[str, dict[str, dict[str, Any]]] = {}

    def identity(self, location: str) -> FileIdentity | None:
        """Return what a file is now; None where there is none."""
        if location not in self._found:
            directory, _, name = location.rpartition("/")
            if is_remote(location) and not location.startswith("http"):
                rows = self._rows(directory)
                self._found[location] = _from_info(rows[name]) if name in rows else None
            else:
                self._found[location] = identify(location)
        return self._found[location]

    def _rows(self, directory: str) -> dict[str, dict[str, Any]]:
        if directory not in self._listed:
            fs, path = filesystem(directory)
            fs.invalidate_cache()
            try:
                rows = fs.ls(path, detail=True)
            except FileNotFoundError:
                rows = []
            self._listed[directory] = {
                row["name"].rpartition("/")[2]: row for row in rows if row["type"] == "file"
            }
        return self._listed[directory]


def is_unchanged(
    before: FileIdentity, now: FileIdentity | None, hash_now: Callable[[], str], verify: bool
) -> bool:
    """Return whether a file is still what it was. `hash_now` is called only where size, times and
    ETag do not settle it, or always with `verify`.
    """
    if now is None or now.size_bytes != before.size_bytes:
        return False
    if before.looks_like(now) and not verify:
        return True
    return bool(before.sha256) and before.sha256 == hash_now()


def sha256_of(path: str | os.PathLike) -> str:
    """Return the SHA-256 of a local file's contents, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _time_ns(value: Any) -> int:
    if isinstance(value, str):
        try:
            value = parsedate_to_datetime(value)
        except ValueError:
            return 0
    return int(value.timestamp() * 1e9) if isinstance(value, datetime) else 0
