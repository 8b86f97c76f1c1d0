"""Files anywhere: a local path or any location that fsspec knows (`s3://…`, `https://…`), with a
bounded local cache for sources.
"""

from __future__ import annotations

import errno
import hashlib
import os
import platform
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from obvlib.core.settings import data_root

MAX_CACHE_BYTES = 50 << 30
FOREIGN_PARTIAL_S = 24 * 3600


def is_remote(location: str) -> bool:
    return "://" in location


def join(directory: str, name: str) -> str:
    return (
        f"{directory.rstrip('/')}/{name}" if is_remote(directory) else os.path.join(directory, name)
    )


def filesystem(location: str) -> tuple[Any, str]:
    """The fsspec file system of a location and the path in it."""
    import fsspec

    try:
        return fsspec.core.url_to_fs(location)
    except ImportError as error:
        raise ValueError(
            f"{location}: {error}; for s3:// that is pip install 'obvlib[s3]'"
        ) from None


def file_names(directory: str) -> dict[str, int] | None:
    """Names of the files in a directory and their sizes in bytes; None where the place cannot be
    listed.
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
    fs, path = filesystem(location)
    return fs.exists(path)


def size_bytes(location: str) -> int:
    """Size of a file; -1 where there is none."""
    if not is_remote(location):
        return os.path.getsize(location) if os.path.isfile(location) else -1
    fs, path = filesystem(location)
    fs.invalidate_cache()
    try:
        return fs.info(path)["size"]
    except FileNotFoundError:
        return -1


def local_copy(
    location: str, cache_dir: str | os.PathLike, max_bytes: int = MAX_CACHE_BYTES
) -> str:
    """The path of a local copy of `location`, fetched once in small pieces; itself where it is
    local.

    The least recently used copies make room when the cache would exceed `max_bytes`. A file that
    changes at its origin is fetched anew.
    """
    if not is_remote(location):
        return location
    fs, path = filesystem(location)
    fs.invalidate_cache()
    info = fs.info(path)
    mark = f"{location} {info.get('size')} {info.get('ETag') or info.get('LastModified') or ''}"
    target = (
        Path(cache_dir)
        / f"{hashlib.sha256(mark.encode()).hexdigest()[:24]}{os.path.splitext(path)[1][:8]}"
    )
    if target.exists():
        os.utime(target)
        return str(target)
    _make_room(target.parent, max_bytes - (info.get("size") or 0))
    with replacing(target) as partial:
        fs.get_file(path, str(partial))
        if info.get("size") and partial.stat().st_size != info["size"]:
            raise ConnectionError(
                f"{location}: got {partial.stat().st_size} of {info['size']} bytes"
            )
    return str(target)


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


def publish(path: str | os.PathLike, location: str) -> None:
    """Send a finished local file to its remote place, whole or not at all, and check that it
    arrived.
    """
    fs, remote = filesystem(location)
    fs.put_file(os.fspath(path), remote)
    if size_bytes(location) != os.path.getsize(path):
        raise ConnectionError(f"{location} did not arrive whole")


def write_text(location: str, text: str) -> None:
    """Write a small text file, whole or not at all."""
    if is_remote(location):
        fs, path = filesystem(location)
        fs.pipe_file(path, text.encode())
        return
    with replacing(location) as partial:
        partial.write_text(text, encoding="utf-8")


def remove_leftovers(directory: str | os.PathLike) -> None:
    """Remove what runs that no longer live were writing."""
    for file in Path(directory).rglob(f"{PARTIAL_PREFIX}*"):
        if not _is_in_use(file):
            (
                file.unlink(missing_ok=True)
                if file.is_file()
                else shutil.rmtree(file, ignore_errors=True)
            )


def _is_in_use(file: Path) -> bool:
    """Is the process that writes this file alive? Of another machine's nothing is known: its files
    may go after a day.
    """
    pid, _, rest = file.name.removeprefix(PARTIAL_PREFIX).partition("@")
    if not rest.startswith(f"{platform.node()[:30]}-"):
        return file.exists() and time.time() - file.stat().st_mtime < FOREIGN_PARTIAL_S
    try:
        os.kill(int(pid), 0)
        state = Path(f"/proc/{pid}/stat")
        return (
            not state.exists() or state.read_text().rpartition(")")[2].split()[0] not in "ZX"
        )  # killed, not yet buried
    except PermissionError:
        return True
    except (ValueError, OSError):
        return False


# then process id and machine: what no living process owns is left over and may go
PARTIAL_PREFIX = ".partial-"


MIN_FREE_BYTES = 1 << 18


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
    """What a file is called while this process writes it."""
    return f"{PARTIAL_PREFIX}{os.getpid()}@{platform.node()[:30]}-{name}.tmp"  # no *.mp4 finds it


def _name_full_disk(partial: Path, error: Exception) -> None:
    """A writer that ran out of room may only notice that its file is wrong: say what is behind it."""
    if (
        not isinstance(error, OSError)
        and partial.parent.exists()
        and shutil.disk_usage(partial.parent).free < MIN_FREE_BYTES
    ):
        raise OSError(errno.ENOSPC, f"no room left for {partial.name}") from error


def local_clip(
    clips_dir: str | os.PathLike, video: str, storage_options: dict[str, Any] | None = None
) -> Path:
    """The clip's file on this machine. From a URL (s3://bucket/clips; fsspec's options) it is
    copied under the data root, whole or not at all.
    """
    text = os.fspath(clips_dir)
    if "://" not in text:
        return Path(text) / video
    import fsspec

    kept = data_root() / "cache" / "clips" / hashlib.sha256(text.encode()).hexdigest()[:16] / video
    if not kept.is_file():
        kept.parent.mkdir(parents=True, exist_ok=True)
        partial = kept.with_name(f".{os.getpid()}.{video}")
        with (
            fsspec.open(f"{text.rstrip('/')}/{video}", **(storage_options or {})) as far,
            open(partial, "wb") as near,
        ):
            shutil.copyfileobj(far, near)
        os.replace(partial, kept)
    return kept
