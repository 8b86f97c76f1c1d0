"""Setting where an MP4 track's presentation ends: the one thing about edit lists that the muxer
does not let us say.

A copied stretch of video must carry frames after its end that earlier ones refer to. The edit list
says that they are not shown, and every reader built on libav (this book's, OpenCV's, decord's) and
browsers honour it.
"""

from __future__ import annotations

import os
import struct

_PARENTS = {b"moov", b"trak", b"edts", b"mdia"}


def set_track_ends(path: str | os.PathLike, ends: dict[int, int]) -> None:
    """Give track number i (from 0, in file order) a presentation of `ends[i]` units of the movie's
    time scale.
    """
    with open(path, "r+b") as file:
        track = -1
        for kind, start, _ in _boxes(file, 0, os.fstat(file.fileno()).st_size):
            if kind == b"trak":
                track += 1
            elif kind == b"elst" and track in ends:
                _set_last_duration(file, start, ends[track])
            elif kind == b"tkhd" and track in ends:
                _set_field(file, start, 28, 20, ends[track])


def _boxes(file, start: int, end: int):
    """Walk (kind, content start, content size) of all boxes, going into those that hold the ones we
    look for.
    """
    while start + 8 <= end:
        file.seek(start)
        size, kind = struct.unpack(">I4s", file.read(8))
        header = 8
        if size == 1:
            size, header = struct.unpack(">Q", file.read(8))[0], 16
        size = size or end - start
        if size < header:
            return
        yield kind, start + header, size - header
        if kind in _PARENTS:
            yield from _boxes(file, start + header, start + size)
        start += size


def _set_last_duration(file, start: int, duration: int) -> None:
    """elst: version and flags, count, then entries of (duration, media time, rate); the last is the
    one that is shown.
    """
    file.seek(start)
    wide, count = file.read(4)[0] == 1, struct.unpack(">I", file.read(4))[0]
    file.seek(start + 8 + (count - 1) * (20 if wide else 12))
    file.write(struct.pack(">Q" if wide else ">I", duration))


def _set_field(file, start: int, wide_offset: int, offset: int, value: int) -> None:
    file.seek(start)
    wide = file.read(1)[0] == 1
    file.seek(start + (wide_offset if wide else offset))
    file.write(struct.pack(">Q" if wide else ">I", value))
