"""The boxes of an MP4 file: what its header says of each track, and where a track's presentation
ends, which the muxer does not let us say.

A copied stretch of video must carry frames that earlier ones refer to, and the edit list says that
they are not shown. Readers built on libav's demuxer (this book's, browsers, ffmpeg) honour it;
readers that count stored samples (decord, OpenCV's frame count) do not.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

_PARENTS = {b"moov", b"trak", b"edts", b"mdia", b"minf", b"stbl"}
MAX_BOXES = 20_000
UPRIGHT = (1, 0, 0, 1)


@dataclass
class Track:
    """One track by its header. Matrices are (a, b, c, d): x' = ax + cy, y' = bx + dy."""

    track_id: int = 0
    matrix: tuple[float, ...] = UPRIGHT
    edits: list[tuple[int, int, int]] = field(default_factory=list)  # duration, media time, rate
    num_descriptions: int = 1  # of how samples are coded: another size is another description
    length_s: float = 0.0  # that the header claims
    samples_s: float = 0.0  # sum over the samples
    time_scale: int = 1


@dataclass
class Structure:
    """The header of an MP4 file. `missing_bytes`: those that its boxes claim and it lacks."""

    tracks: list[Track] = field(default_factory=list)
    matrix: tuple[float, ...] = UPRIGHT
    is_fragmented: bool = False
    missing_bytes: int = 0


def structure(file: Any, size_bytes: int) -> Structure:
    """Read the structure of an MP4 file; ValueError or struct.error where it makes no sense."""
    found = Structure()
    for kind, start, size in _boxes(file, 0, size_bytes):
        found.missing_bytes = max(found.missing_bytes, start + size - size_bytes)
        if kind == b"trak":
            found.tracks.append(Track())
        elif kind in (b"mvex", b"moof"):
            found.is_fragmented = True
        elif kind == b"mvhd":
            found.matrix = _matrix(file, start, 48, 36)
        elif found.tracks:
            _read_track(found.tracks[-1], file, kind, start, min(size, size_bytes))
    return found


def _read_track(track: Track, file: Any, kind: bytes, start: int, size: int) -> None:
    if kind == b"tkhd":
        track.track_id = _read(file, start, ">I", 20, 12)
        track.matrix = _matrix(file, start, 52, 40)
    elif kind == b"mdhd":
        track.time_scale = _read(file, start, ">I", 20, 12)
        form, at = (">Q", 24) if _is_wide(file, start) else (">I", 16)
        track.length_s = _read_all(file, start + at, form)[0] / max(1, track.time_scale)
    elif kind == b"elst":
        count = _read(file, start, ">I", 4, 4)
        form = ">QqI" if _is_wide(file, start) else ">IiI"
        places = range(start + 8, start + size, struct.calcsize(form))[: min(count, 9)]
        track.edits = [_read_all(file, at, form) for at in places]
    elif kind == b"stsd":
        track.num_descriptions = _read(file, start, ">I", 4, 4)
    elif kind == b"stts":
        file.seek(start + 8)
        counts = np.frombuffer(file.read((size - 8) // 8 * 8), ">u4").astype(float)
        track.samples_s = float(counts[::2] @ counts[1::2]) / max(1, track.time_scale)


def _matrix(file: Any, start: int, wide_offset: int, offset: int) -> tuple[float, ...]:
    at = start + (wide_offset if _is_wide(file, start) else offset)
    a, b, _, c, d = _read_all(file, at, ">5i")
    return a / 65536, b / 65536, c / 65536, d / 65536


def set_track_ends(path: str | os.PathLike, ends: dict[int, int]) -> None:
    """Give track number i (from 0, in file order) a presentation of `ends[i]` units of the movie's
    time scale, the delay before it included, and the movie that of its longest track.
    """
    with open(path, "r+b") as file:
        track, movie, longest = -1, 0, 0
        for kind, start, _ in _boxes(file, 0, os.fstat(file.fileno()).st_size):
            wide = _is_wide(file, start)
            if kind == b"mvhd":
                movie = start
            elif kind == b"trak":
                track += 1
            elif kind == b"elst" and track in ends:
                _set_last_duration(file, start, ends[track])
            elif kind == b"tkhd":
                at = start + (28 if wide else 20)
                if track in ends:
                    _write(file, at, ends[track], wide)
                longest = max(longest, _read_all(file, at, ">Q" if wide else ">I")[0])
        wide = _is_wide(file, movie)
        _write(file, movie + (24 if wide else 16), longest, wide)


def _set_last_duration(file: Any, start: int, end: int) -> None:
    """Read elst: version and flags, count, then entries of (duration, media time, rate); the last
    is shown, an empty one before it delays it.
    """
    wide = _is_wide(file, start)
    size, count = (20 if wide else 12), _read(file, start, ">I", 4, 4)
    before = sum(
        _read_all(file, start + 8 + size * i, ">Q" if wide else ">I")[0] for i in range(count - 1)
    )
    _write(file, start + 8 + size * (count - 1), max(0, end - before), wide)


def _boxes(file: Any, start: int, end: int, depth: int = 0) -> Iterator[tuple[bytes, int, int]]:
    """Walk (kind, content start, content size) of all boxes, going into those that hold the ones we
    look for.
    """
    for _ in range(MAX_BOXES):
        if start + 8 > end:
            return
        size, kind = _read_all(file, start, ">I4s")
        header = 8
        if size == 1:
            size, header = _read_all(file, start + 8, ">Q")[0], 16
        size = size or end - start
        if size < header:
            return
        yield kind, start + header, size - header
        if kind in _PARENTS and depth < len(_PARENTS):
            yield from _boxes(file, start + header, min(start + size, end), depth + 1)
        start += size


def _is_wide(file: Any, start: int) -> bool:
    file.seek(start)
    return file.read(1) == b"\1"


def _read_all(file: Any, at: int, form: str) -> tuple:
    file.seek(at)
    return struct.unpack(form, file.read(struct.calcsize(form)))


def _read(file: Any, start: int, form: str, wide_offset: int, offset: int) -> int:
    return _read_all(file, start + (wide_offset if _is_wide(file, start) else offset), form)[0]


def _write(file: Any, at: int, value: int, wide: bool) -> None:
    file.seek(at)
    file.write(struct.pack(">Q" if wide else ">I", value))
