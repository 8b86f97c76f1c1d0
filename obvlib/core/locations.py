"""Where files are: a local path or any location that fsspec knows (`s3://…`, `https://…`), looked
at in one way.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

MAX_CACHE_BYTES = 50 << 30
CONNECT_S, IDLE_S = 30.0, 60.0  # without a byte, after which a connection counts as broken

# user names and passwords; a password may hold a slash, which makes its host end in no port
_CREDENTIALS = re.compile(r"(\b[\w+.-]+://)(?:[^/\s]*|[^/\s:@]*:(?!\d+/)[^\s?#@]*)@")
_USER = re.compile(r"[^\s'\"/:@]+:[^\s'\"/@]+@(?=[\w.-])")  # where an error repeats only that part
# to the end of the address: a quote or a bracket counts where only punctuation follows it
_END = r"\S*?(?=['\")\]>]*[,;:.]*(?:\s|$))"
_QUERY = re.compile(rf"(\bhttps?://[^\s?#]*)[?#]{_END}|(\b[\w+.-]+://[^\s?]*)[?]{_END}")
# what carries a secret outside an address: parameters and headers by name, keys by their form
_NAMED = re.compile(
    r"(?i)((?<![\w-])(?:[\w-]*(?:token|signature|secret|passw(?:or)?d|credential)|sig|api[_-]?key)="
    r"|\b(?:authorization|(?:set-)?cookie|x-[\w-]*(?:token|key))['\"]?:\s*['\"]?"
    r"(?:(?:bearer|basic)\s+)?"
    r"|\bbearer\s+(?=[\w.~+/-]{16}))[^\s&;,'\"]+"
)
_KEYS = re.compile(r"\b(?:hf_\w{20,}|AKIA[0-9A-Z]{16})\b")


def is_remote(location: str) -> bool:
    """Return whether a location is one that fsspec opens, not a local path."""
    return "://" in location


def local_dir(directory: str | os.PathLike) -> Path:
    """Return a directory as a path; ValueError where it is a URL, which would become a folder of
    that name.
    """
    if re.match(r"[A-Za-z][\w+.-]+:/", os.fspath(directory)):
        raise ValueError(
            f"{shown(os.fspath(directory))} is not on this machine: choose a local directory"
        )
    return Path(directory)


def join(directory: str, name: str) -> str:
    """Return the location of a file in a directory; a URL's query (a token) stays at its end."""
    if not is_remote(directory):
        return os.path.join(directory, name)
    path, mark, query = directory.partition("?")
    return f"{path.rstrip('/')}/{name}{mark}{query}"


def shown(text: str) -> str:
    """Return text without what may be secret in it: user names, passwords and queries of locations,
    headers that authorize, and keys.
    """
    text = _USER.sub("", _QUERY.sub(r"\1\2", _CREDENTIALS.sub(r"\1", text)))
    return _KEYS.sub("…", _NAMED.sub(r"\1…", text))


def filesystem(location: str, options: dict[str, Any] | None = None) -> tuple[Any, str]:
    """Return the fsspec file system of a location and the path in it. A connection may take any
    time as long as bytes arrive.
    """
    import fsspec

    options = dict(options or {})
    if location.startswith("http"):
        import aiohttp

        timeout = aiohttp.ClientTimeout(total=None, connect=CONNECT_S, sock_read=IDLE_S)
        options = {"client_kwargs": {"timeout": timeout}} | options
    try:
        return fsspec.core.url_to_fs(location, **options)
    except (ImportError, TypeError, ValueError) as error:
        raise ValueError(
            f"{shown(location)} cannot be opened ({shown(str(error))}): give a local path, s3://"
            " (pip install 'obvlib[s3]') or https://"
        ) from None


def file_names(directory: str) -> dict[str, int] | None:
    """Return the names of the files in a directory and their sizes in bytes; None where the place
    cannot be listed.
    """
    if not is_remote(directory):
        if not os.path.isdir(directory):
            raise ValueError(
                f"input directory {directory} does not exist: download the videos first, or name"
                " another"
            )
        return {
            entry.name: size for entry in os.scandir(directory) if (size := _size_of(entry)) >= 0
        }
    if directory.startswith("http"):
        return None  # some web servers list their files, none reliably
    fs, path = filesystem(directory)
    fs.invalidate_cache()
    try:
        rows = fs.ls(path, detail=True)
    except FileNotFoundError:
        return {}
    return {
        row["name"].rstrip("/").rpartition("/")[2]: row.get("size") or 0
        for row in rows
        if row["type"] == "file"
    }


def _size_of(entry: os.DirEntry) -> int:
    try:
        return entry.stat().st_size if entry.is_file() else -1
    except OSError:  # a link that leads in a circle
        return -1


def exists(location: str) -> bool:
    """Return whether there is something at a location."""
    fs, path = filesystem(location)
    return fs.exists(path)


def size_bytes(location: str) -> int:
    """Return the size of a file; -1 where there is none."""
    if not is_remote(location):
        return os.path.getsize(location) if os.path.isfile(location) else -1
    fs, path = filesystem(location)
    fs.invalidate_cache()
    try:
        return fs.info(path)["size"]
    except FileNotFoundError:
        return -1
