"""One way to write a file, and one to fetch one: under a temporary name beside it, which takes its
place when it is whole.

A temporary name holds the process, the machine and a random part, so that two writers never meet,
also where machines share a disk. What a dead process left behind is found by that name.
"""

from __future__ import annotations

import errno
import functools
import hashlib
import os
import platform
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from obvlib.core.checks import check_path
from obvlib.core.identity import FileIdentity, remote_identity
from obvlib.core.locations import (
    MAX_CACHE_BYTES,
    exists,
    file_names,
    filesystem,
    is_remote,
    join,
    shown,
    size_bytes,
)
from obvlib.core.settings import data_root

PARTIAL_PREFIX = ".partial-"  # then process@machine-random-name.tmp
_PARTIAL = re.compile(re.escape(PARTIAL_PREFIX) + r"(\d+)@(\w+)-[0-9a-f]{8}-.*\.tmp\w*", re.DOTALL)
FOREIGN_PARTIAL_S = 24 * 3600  # without a change, after which another machine's file is left over
MIN_FREE_BYTES = 1 << 18
DISK_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}  # no room, or read-only

__all__ = [
    "MAX_CACHE_BYTES", "exists", "file_names", "filesystem", "is_alive", "is_remote", "join",
    "local_clip", "local_copy", "machine_id", "partial_name", "publish", "remove_leftovers",
    "replacing", "shown", "size_bytes", "write_text",
]  # fmt: skip


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path beside `path`; what was written there takes its place on success and
    is removed on failure.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(partial_name(path.name))
    try:
        yield partial
        os.replace(partial, path)
    except Exception as error:
        _name_full_disk(partial, error)
        raise
    finally:
        partial.unlink(missing_ok=True)


def partial_name(name: str) -> str:
    """Return what a file is called while this process writes it; no two calls return the same."""
    # *.tmp at the end, so that no *.mp4 finds it
    return f"{PARTIAL_PREFIX}{os.getpid()}@{machine_id()}-{secrets.token_hex(4)}-{name}.tmp"


@functools.cache
def machine_id() -> str:
    """Return a name for the place where this process's id means something: the machine since it
    started, and the container.
    """
    parts = [platform.node()]
    try:
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text())
        parts.append(os.readlink("/proc/self/ns/pid"))
    except OSError:  # not Linux: the host name alone
        pass
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def write_text(location: str | os.PathLike, text: str) -> None:
    """Write a small text file, whole or not at all, to a local path or a remote location."""
    location = os.fspath(location)
    if is_remote(location):
        fs, path = filesystem(location)
        fs.pipe_file(path, text.encode())
        return
    with replacing(location) as partial:
        partial.write_text(text, encoding="utf-8")


def publish(path: str | os.PathLike, location: str) -> None:
    """Move a finished local file to its place, whole or not at all; check that it arrived there if
    the place is remote.
    """
    if not is_remote(location):
        Path(location).parent.mkdir(parents=True, exist_ok=True)
        os.replace(path, location)
        return
    fs, remote = filesystem(location)
    fs.put_file(os.fspath(path), remote)
    if size_bytes(location) != os.path.getsize(path):
        raise ConnectionError(f"{shown(location)} did not arrive whole")
    os.unlink(path)


def remove_leftovers(directory: str | os.PathLike) -> None:
    """Remove what processes that no longer live were writing, anywhere below `directory`. Files of
    other names are left alone, whatever their age.
    """
    for file in Path(directory).rglob(f"{PARTIAL_PREFIX}*"):
        made_by = _PARTIAL.fullmatch(file.name)
        if made_by and not _is_in_use(file, int(made_by[1]), made_by[2]):
            if file.is_dir() and not file.is_symlink():
                shutil.rmtree(file, ignore_errors=True)
            else:
                file.unlink(missing_ok=True)


def is_alive(pid: int) -> bool:
    """Return whether a process of this machine still runs; a killed one that its parent has not
    reaped does not.
    """
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat")
        return not state.exists() or state.read_text().rpartition(")")[2].split()[0] not in "ZX"
    except PermissionError:
        return True
    except (OverflowError, OSError):
        return False


def _is_in_use(file: Path, pid: int, machine: str) -> bool:
    """Return whether its process lives; of another machine's, only the file's age is known."""
    if machine == machine_id():
        return is_alive(pid)
    return time.time() - _changed_at(file) < FOREIGN_PARTIAL_S


def _changed_at(file: Path) -> float:
    """Return when a file, or anything in a directory, was last written."""
    latest = 0.0
    for item in [file, *(file.rglob("*") if file.is_dir() else ())]:
        try:
            latest = max(latest, item.lstat().st_mtime)
        except OSError:  # gone in between
            continue
    return latest


def _name_full_disk(partial: Path, error: Exception) -> None:
    """Raise what is behind a failed write: a writer that ran out of room may only notice that its
    file is wrong.
    """
    if (
        not isinstance(error, OSError)
        and partial.parent.exists()
        and shutil.disk_usage(partial.parent).free < MIN_FREE_BYTES
    ):
        raise OSError(errno.ENOSPC, f"no room left for {partial.name}") from error


def local_copy(
    location: str,
    cache_dir: str | os.PathLike | None = None,
    max_bytes: int = MAX_CACHE_BYTES,
    options: dict[str, Any] | None = None,
) -> str:
    """Return the path of a local copy of `location`; itself where it is local.

    A copy is fetched once; it is fetched again when the file has changed at its origin, or when its
    origin does not say (neither an ETag nor a time). The least recently used copies make room when
    the cache would exceed `max_bytes`. `options` are those of fsspec's file system.
    """
    if not is_remote(location):
        return location
    fs, path = filesystem(location, options)
    now = remote_identity(fs, path)
    if now is None:
        raise FileNotFoundError(f"no file at {shown(location)}")
    target = _target(location, now, Path(cache_dir or data_root() / "cache" / "files"))
    if target.exists() and now.is_marked:
        os.utime(target)
        return str(target)
    _make_room(target.parent, max_bytes - max(0, now.size_bytes))
    with replacing(target) as partial:
        fs.get_file(path, str(partial))
        got = partial.stat().st_size
        if now.size_bytes >= 0 and got != now.size_bytes:
            raise ConnectionError(f"{shown(location)}: got {got} of {now.size_bytes} bytes")
    return str(target)


def local_clip(
    clips_dir: str | os.PathLike, video: str, storage_options: dict[str, Any] | None = None
) -> Path:
    """Return the path of a clip on this machine: in `clips_dir`, or a copy of it where that is a
    URL (s3://bucket/clips; fsspec's options). RecordError for a name that leaves the directory.
    """
    location = join(os.fspath(clips_dir), check_path(video))
    return Path(local_copy(location, options=storage_options))


def _target(location: str, now: FileIdentity, cache_dir: Path) -> Path:
    mark = f"{location} {now.size_bytes} {now.etag} {now.mtime_ns}"
    suffix = os.path.splitext(location.partition("?")[0])[1][:8]
    return cache_dir / f"{hashlib.sha256(mark.encode()).hexdigest()[:24]}{suffix}"


def _make_room(directory: Path, allowed_bytes: int) -> None:
    copies = sorted(
        (f.stat().st_mtime, f.stat().st_size, f) for f in directory.glob("[!.]*") if f.is_file()
    )
    total = sum(size for _, size, _ in copies)
    for _, size, file in copies:
        if total <= allowed_bytes:
            return
        file.unlink(missing_ok=True)
        total -= size
