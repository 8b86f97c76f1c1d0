"""Who owns an output directory: one run works in it at a time, and no run writes over what it did
not make.

A run claims its directory before it writes: `.obv-claim` (JSON) says which command makes which
files there, with which settings. A file of such a name that was there before is not ours and is
refused by name; another command's directory is refused as a whole. While a run works, it holds
`.obv-lock`.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from obvlib.core import files
from obvlib.core.identity import Present
from obvlib.core.locations import filesystem, is_remote, join, shown
from obvlib.core.messages import one_line

CLAIM, LOCK = ".obv-claim", ".obv-lock"
POLL_S = 0.5
RENEWED_S, LEASE_S = 20.0, 120.0  # of a lock in a remote directory, which dies with its holder
SETTLE_S = 1.0  # after which a lock that two wrote at once is the later one's


class Claim:
    """The files that a command makes in its output directory."""

    def __init__(self, directory: str, made_by: str, settings: dict[str, Any]) -> None:
        self.directory, self.made_by, self.settings = directory, made_by, settings
        found = _read(directory)
        self.names = set(found.get("files", []))
        if found.get("made_by", made_by) != made_by:
            if still_there := sorted(self.names - self.absent(self.names)):
                raise ValueError(
                    f"output directory {shown(directory)} holds what `{found['made_by']}` made"
                    f" ({still_there[0]} and {len(still_there) - 1} more): choose another"
                )
            self.names = set()

    def take(self, names: Iterable[str]) -> set[str]:
        """Claim files that are about to be made; return those that are there and are not ours."""
        wanted = set(names)
        foreign = wanted - self.names - self.absent(wanted - self.names)
        self.names |= wanted - foreign
        self._write()
        return foreign

    def require(self, names: Iterable[str]) -> None:
        """Claim files that are about to be made; ValueError where one is there and is not ours."""
        if foreign := self.take(names):
            raise ValueError(
                f"{shown(join(self.directory, min(foreign)))} was not made by `{self.made_by}`:"
                " choose another output directory, or move it away"
            )

    def absent(self, names: set[str]) -> set[str]:
        """Return those of the files that are not there."""
        if not is_remote(self.directory):
            return {n for n in names if not os.path.lexists(join(self.directory, n))}
        present = Present()
        return {n for n in names if present.identity(join(self.directory, n)) is None}

    def release(self) -> None:
        """Give back the names of files that were not made after all."""
        self.names -= self.absent(self.names)
        self._write()

    def _write(self) -> None:
        claim = {"made_by": self.made_by, "settings": self.settings, "files": sorted(self.names)}
        text = json.dumps(claim, indent=1) + "\n"
        files.write_text(join(self.directory, CLAIM), text)


@contextmanager
def claimed(
    directory: str | os.PathLike, made_by: str, settings: dict[str, Any]
) -> Iterator[Claim]:
    """Hold an output directory for one run: make it, wait for another run in it to end, and yield
    the claim. ValueError where it holds what another command made, or cannot be written to.
    """
    directory = os.fspath(directory)
    if not is_remote(directory):
        try:
            os.makedirs(directory, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise ValueError(
                f"output directory {directory} is a file, or below one: choose another"
            ) from None
        if not os.access(directory, os.W_OK):
            raise ValueError(
                f"output directory {directory} cannot be written to: choose another, or change its"
                " permissions"
            )
    with _lease(directory) if is_remote(directory) else _lock(directory):
        if not is_remote(directory):
            files.remove_leftovers(directory)
        claim = Claim(directory, made_by, settings)
        try:
            yield claim
        finally:
            claim.release()


def _read(directory: str) -> dict[str, Any]:
    """Return an earlier run's claim; nothing where there is none, or none that can be read."""
    location = join(directory, CLAIM)
    try:
        if not is_remote(location):
            with open(location, encoding="utf-8") as file:
                found = json.load(file)
        else:
            fs, path = filesystem(location)
            found = json.loads(fs.cat_file(path))
    except (FileNotFoundError, ValueError, RecursionError):
        return {}
    if not isinstance(found, dict) or not isinstance(found.get("made_by"), str):
        return {}
    names = found.get("files")
    files_claimed = [n for n in names if isinstance(n, str)] if isinstance(names, list) else []
    return {"made_by": found["made_by"], "files": files_claimed}


@contextmanager
def _lock(directory: str) -> Iterator[None]:
    """Hold a local directory's lock, which the system gives back when this process ends."""
    import fcntl

    # never through a link: what is written here would end up in another file
    at = os.open(join(directory, LOCK), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    with open(at, "r+", encoding="utf-8") as file:
        told = False
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                file.seek(0)
                told = told or _tell(directory, file.read())
                time.sleep(POLL_S)
        file.truncate(0)
        file.write(f"process {os.getpid()} on {platform.node()}")
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)


@contextmanager
def _lease(directory: str) -> Iterator[None]:
    """Hold a remote directory's lock: an object that its holder renews; one that is not renewed may
    be taken.
    """
    fs, path = filesystem(join(directory, LOCK))
    holder = {"process": os.getpid(), "machine": files.machine_id(), "node": platform.node()}
    try:
        _take_lease(fs, path, holder, directory)
    except Exception as error:  # stores and web servers each raise their own
        raise ValueError(
            f"output directory {shown(directory)} cannot be written to: choose another, or check"
            f" your access to it ({type(error).__name__}: {shown(str(error))})"
        ) from error
    ended = threading.Event()
    renewing = threading.Thread(target=_keep, args=(fs, path, holder, ended), daemon=True)
    renewing.start()
    try:
        yield
    finally:
        ended.set()
        renewing.join()
        with suppress(OSError):  # else the lease runs out
            fs.rm_file(path)


def _holder(fs: Any, path: str) -> dict[str, Any]:
    """Return who holds a lock; nothing where nobody does, or its object is not one of ours."""
    try:
        fs.invalidate_cache()
        found = json.loads(fs.cat_file(path))
        is_fresh = time.time() - found.pop("renewed_at") < LEASE_S
    except (FileNotFoundError, ValueError, RecursionError, AttributeError, KeyError, TypeError):
        return {}
    is_whole = {"process", "machine", "node"} == found.keys()
    return found if is_fresh and is_whole else {}


def _holds(holder: dict[str, Any]) -> bool:
    is_here = holder["machine"] == files.machine_id()
    return not is_here or files.is_alive(holder["process"])


def _take_lease(fs: Any, path: str, holder: dict[str, Any], directory: str) -> None:
    """Wait until nobody holds a lock, and write it."""
    told = False
    while (found := _holder(fs, path)) != holder:
        if found and _holds(found):
            told = told or _tell(directory, f"process {found['process']} on {found['node']}")
            time.sleep(POLL_S)
        else:
            _renew(fs, path, holder)
            time.sleep(SETTLE_S)


def _renew(fs: Any, path: str, holder: dict[str, Any]) -> None:
    fs.pipe_file(path, json.dumps(holder | {"renewed_at": time.time()}).encode())


def _keep(fs: Any, path: str, holder: dict[str, Any], ended: threading.Event) -> None:
    while not ended.wait(RENEWED_S):
        with suppress(Exception):  # a lost connection is tried again; the lease outlives five
            _renew(fs, path, holder)


def _tell(directory: str, holder: str) -> bool:
    who = holder or "another run"
    print(one_line(f"waiting for {who}, which works in {directory}"), file=sys.stderr, flush=True)
    return True
