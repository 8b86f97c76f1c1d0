"""Cutting one clip out of a video: re-encoded, or copied with as little re-encoding as the mode
asks for.

In every mode the clip shows, at each time t, what the source shows at start + t: the frame on
screen at the cut is presented from 0 on, and what must be carried along before or after (`copy`,
`smart`) is hidden by the file's edit list, which every reader honours. Sound is copied where MP4
can hold it as it is. Every clip is checked before it gets its name.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from obvlib.core.files import DISK_ERRNOS, replacing
from obvlib.media import copying
from obvlib.media.clean import check_range, open_source, retried
from obvlib.media.copying import Plan
from obvlib.media.decode import decode
from obvlib.media.mp4 import set_track_ends
from obvlib.media.opening import MediaError
from obvlib.media.sound import Sound
from obvlib.media.source import SNAP_S, OddVideo, Source
from obvlib.media.verify import verify_clip
from obvlib.media.write import MUX_OPTIONS, TIME_BASE, VideoTrack, same_anywhere, video_stream

MODES = ("exact", "smart", "copy")
# every stored frame of an `exact` clip is shown, so readers that count stored frames are right too
DEFAULT_MODE = "exact"
# as fast as plain ultrafast and a third of its size: B-frames, arithmetic coding and a short
# lookahead save more than they cost (measured: tests/benchmarks/slicing.py)
ENCODING = {
    "preset": "ultrafast",
    "crf": "23",
    "bf": "3",
    "b_strategy": "0",
    "coder": "1",
    "x264-params": "mbtree=1:rc-lookahead=8" + same_anywhere(),
}
FRAME_RATE_MAX = 240


@dataclass(frozen=True, kw_only=True)
class Slice:
    """A clip that was written. `mode` is how: `smart` becomes `exact` or `copy` where the source
    leaves no better way, `note` says why.
    """

    path: str
    mode: str
    start_s: float
    end_s: float
    num_frames: int
    lead_in_s: float = 0.0  # hidden by the edit list, yet to be decoded first
    note: str = ""

    @property
    def duration_s(self) -> float:
        return self.end_s - self.start_s


def slice_clip(
    source: str | os.PathLike | Source,
    out: str | os.PathLike,
    start_s: float,
    end_s: float | None,
    mode: str = DEFAULT_MODE,
    num_threads: int = 0,
) -> Slice:
    """Write [start_s, end_s) of a video to the MP4 file `out` and check it; `source` may be one
    that is open already.

    `exact` re-encodes, `smart` re-encodes up to the first key frame and copies the rest, `copy`
    copies from the key frame before. MediaError says what is wrong with the source or the times; an
    `end_s` up to a second past the end is moved to it and noted; None is the end.
    """
    if mode not in MODES:
        raise MediaError(f"mode is {mode!r}: use {', '.join(MODES)}", "settings")
    with open_source(source, num_threads) as video:
        return retried(video, _slice, out, start_s, end_s, mode, num_threads)


def _slice(
    source: Source,
    out: str | os.PathLike,
    start_s: float,
    end_s: float | None,
    mode: str,
    num_threads: int,
) -> Slice:
    end_s, note = check_range(source, start_s, end_s)
    with replacing(out) as partial:
        made = _write_clip(source, partial, start_s, end_s, mode, num_threads)
        verify_clip(partial, made.times, made.duration, made.decoded, source.num_threads)
    return Slice(
        path=os.fspath(out), mode=made.mode, start_s=start_s, end_s=end_s,
        num_frames=len(made.times), lead_in_s=made.lead_in_s,
        note="; ".join(n for n in (note, made.reason) if n),
    )  # fmt: skip


def _write_clip(
    source: Source, path: Path, start_s: float, end_s: float, mode: str, num_threads: int
) -> Plan:
    audio = Sound(source, start_s, end_s)
    try:
        with av.open(str(path), "w", format="mp4", options=MUX_OPTIONS) as out:
            made = copying.plan(source, start_s, end_s, mode)
            if made.mode == "exact":
                _encode(source, out, audio, num_threads, made)
            else:
                copying.write(source, out, audio, made)
    except (av.FFmpegError, ValueError) as error:
        if isinstance(error, MediaError) or getattr(error, "errno", 0) in DISK_ERRNOS:
            raise
        raise OddVideo(f"{source.name}: its packets cannot be written ({error})") from error
    num_tracks = 2 if audio.reaches_end() else 1
    set_track_ends(path, dict.fromkeys(range(num_tracks), made.duration))
    return made


def _encode(source: Source, out: Any, audio: Sound, num_threads: int, made: Plan) -> None:
    rate = source.video.average_rate or source.video.guessed_rate or Fraction(30)
    even = (source.size[0] // 2 * 2, source.size[1] // 2 * 2)  # 4:2:0 needs even sizes
    rate = min(rate, Fraction(FRAME_RATE_MAX))
    stream = video_stream(out, "libx264", even, rate, ENCODING, num_threads, source)
    track = VideoTrack(out, stream)
    audio.add_to(out)
    for pts, frame in clip_frames_between(source, audio.start_s, audio.end_s):
        track.add(frame, pts)
        made.times.append(pts)
    track.finish(made.duration)
    made.decoded = [0, made.times[-1]]


def clip_frames_between(source: Source, start_s: float, end_s: float) -> Iterator[tuple[int, Any]]:
    """Yield (ticks from start_s, frame) for what is on screen in [start_s, end_s); the frame on
    screen at the start comes at 0.
    """
    first, last = source.ticks(start_s + SNAP_S), source.ticks(end_s - SNAP_S)
    opening, begun = None, False
    for frame in decode(source, first, last, lambda pts, after: after > first and pts <= last):
        if frame.pts > last:
            break
        if frame.pts <= first:
            opening = frame
            continue
        if not begun:  # nothing on screen at the start: the first frame stands for it
            yield 0, opening or frame
            begun = True
            if opening is None:
                continue
        yield round((source.seconds(frame.pts) - start_s) / TIME_BASE), frame
    if not begun:
        if opening is None:
            raise OddVideo(f"{source.name}: no frame decodes between {start_s} and {end_s} s")
        yield 0, opening
