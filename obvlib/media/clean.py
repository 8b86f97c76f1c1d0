"""Opening a video for reading: as it is where it is well behaved, else from a clean intermediate.

The intermediate is made once and kept in the cache; all readers then go the same ways as for any
other video, and what was wrong travels with the clips as a note.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from obvlib.core.files import replacing
from obvlib.core.settings import data_root
from obvlib.media.decode import frames_on_screen
from obvlib.media.inspect import CUT_SHORT, duration_s, oddity
from obvlib.media.normalise import write_clean
from obvlib.media.opening import MediaError
from obvlib.media.source import PAST_END_S, SNAP_S, OddVideo, Source, open_raw

VERSION = 3  # of what is written: counted up when it changes
MAX_CACHE_BYTES = 50 << 30
Result = TypeVar("Result")


@contextmanager
def open_source(
    location: str | os.PathLike | Source, num_threads: int = 0, need_video: bool = True
) -> Iterator[Source]:
    """Open a local path or any fsspec location for reading; MediaError says what is wrong with it.
    `num_threads` 0: one per core. A source that is open already is given back, and stays open.
    """
    if isinstance(location, Source):
        yield location
        return
    with open_raw(os.fspath(location), num_threads, need_video) as source:
        if reason := oddity(source):
            make_clean(source, reason)
        yield source


def retried(source: Source, work: Callable[..., Result], *args: Any) -> Result:
    """Return `work(source, *args)`, of the clean intermediate where it finds the video odd."""
    while True:
        try:
            return work(source, *args)
        except OddVideo as odd:
            make_clean(source, odd)


def make_clean(source: Source, reason: object) -> None:
    """Let an open source read from its clean intermediate from now on, made where the cache has
    none. MediaError where it does so already.
    """
    if source.note or source.video is None:
        raise MediaError(str(reason))
    path = data_root() / "cache" / "clean" / f"{_fingerprint(source)}.mp4"
    notes = path.with_suffix(".json")
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        _make_room(path.parent)
        with replacing(path) as partial:
            damage = write_clean(source.name, partial, source.num_threads)
            said = {"reason": str(reason).removeprefix(f"{source.name}: "), "damage": damage}
            with replacing(notes) as partial_notes:
                partial_notes.write_text(json.dumps(said), encoding="utf-8")
    os.utime(path)
    said = json.loads(notes.read_text(encoding="utf-8"))
    clean = open_raw(str(path), source.num_threads)
    clean.name, clean.note = source.name, f"decoded once into a clean copy: {said['reason']}"
    clean.damage = [(start, end, missing) for start, end, missing in said["damage"]]
    clean.metadata = source.metadata
    source.resources.close()
    vars(source).update(vars(clean))


def frames_shown(source: Source, times_s: list[float]) -> Iterator[Any]:
    """Yield the frame on screen at each of the sorted times; from where the video turns out odd on,
    those of the clean intermediate.
    """
    num_shown = 0
    while num_shown < len(times_s):
        try:
            for _, frame in frames_on_screen(source, times_s[num_shown:]):
                yield frame
                num_shown += 1
        except OddVideo as odd:
            make_clean(source, odd)


def _fingerprint(source: Source) -> str:
    """Return whether a file is the one that an intermediate was made of."""
    if "://" in source.name:
        info = source.file.fs.info(source.file.path)
        mark = [source.name, info.get("size"), str(info.get("ETag") or info.get("LastModified"))]
    else:
        status = os.stat(source.name)
        mark = [os.path.realpath(source.name), status.st_size, status.st_mtime_ns, status.st_ino]
    return hashlib.sha256(json.dumps([VERSION, *mark]).encode()).hexdigest()[:24]


def _make_room(directory: Path) -> None:
    """Remove the intermediates that were not read for longest, down to the cache's limit."""
    total = 0
    for file in sorted(directory.glob("[!.]*.mp4"), key=lambda file: -file.stat().st_mtime):
        total += file.stat().st_size
        if total > MAX_CACHE_BYTES:
            file.unlink(missing_ok=True)


def check_range(source: Source, start_s: float, end_s: float | None) -> tuple[float, str]:
    """Return the end to use, and what is to be noted of the stretch; MediaError where the times are
    not part of the video, or more than a second or half of the clip does not decode.
    """
    available_s = duration_s(source)
    if end_s is None:
        end_s = max(available_s, start_s + SNAP_S)
    if not 0 <= start_s < end_s < float("inf"):
        raise MediaError(
            f"clip [{start_s}, {end_s}] of {source.name}: needs 0 <= start < end, in seconds",
            "settings",
        )
    if start_s >= available_s or end_s > available_s + PAST_END_S:
        is_cut = CUT_SHORT in source.note
        raise MediaError(
            f"clip [{start_s}, {end_s}] is past the end: {source.name} is {available_s:.3f} s long"
            + (f", {CUT_SHORT}: truncated; download it again" if is_cut else ""),
            "broken" if is_cut else "past_end",
        )
    notes = [source.note] if source.note else []
    if end_s > available_s + SNAP_S:
        notes.append(f"end moved from {end_s} to the video's end at {available_s:.3f} s")
    end_s = min(end_s, available_s)
    return end_s, "; ".join([*notes, *_damage_notes(source, start_s, end_s)])


def _damage_notes(source: Source, start_s: float, end_s: float) -> list[str]:
    damaged_s = 0.0
    for begin_s, stop_s, is_missing in source.damage:
        overlap_s = min(stop_s, end_s) - max(begin_s, start_s)
        if is_missing and overlap_s > min(PAST_END_S, (end_s - start_s) / 2):
            raise MediaError(
                f"{source.name}: no frame can be decoded between {begin_s:.3f} and {stop_s:.3f} s;"
                " the file is damaged there"
            )
        damaged_s += max(0.0, overlap_s)
    return [f"{damaged_s:.2f} s of it are damaged in the source"] if damaged_s else []
