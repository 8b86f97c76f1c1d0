"""Cutting one clip out of a video: re-encoded, or copied with as little re-encoding as the mode
asks for.

In every mode the clip shows, at each time t, what the source shows at start + t: the frame on
screen at the cut is presented from 0 on, and what must be carried along before or after (`copy`,
`smart`) is hidden by the file's edit list, which every reader honours. Sound is copied where MP4
can hold it. Every clip is checked before it gets its name.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from obvlib.core.files import replacing
from obvlib.media import copying, sound
from obvlib.media.decode import PAST_END_S, decode, upright
from obvlib.media.mp4 import set_track_ends
from obvlib.media.read import check_range
from obvlib.media.source import SNAP_S, MediaError, Source, as_source
from obvlib.media.verify import verify_clip
from obvlib.media.write import MUX_OPTIONS, TIME_BASE, VideoTrack, copy_look, video_stream

MODES = ("exact", "smart", "copy")
ENCODING = {
    "preset": "ultrafast",
    "crf": "23",
}  # fast to write and to decode again; files are larger than a slower preset makes them
FRAME_RATE_MAX = 240
DISK_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}


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


@dataclass
class Cut:
    """What writing a clip found out, for its check: the times shown in ticks from the clip's start,
    and times to decode as a probe.
    """

    times: list[int] = field(default_factory=list)
    probe_times: list[int] = field(default_factory=lambda: [0])
    lead_in_s: float = 0.0
    mode: str = "exact"
    note: str = ""


def slice_clip(
    source: str | os.PathLike | Source,
    out: str | os.PathLike,
    start_s: float,
    end_s: float | None,
    mode: str = "exact",
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
    with as_source(source, num_threads) as video:
        end_s, note = check_range(video, start_s, end_s)
        with replacing(out) as partial:
            try:
                cut = _write_clip(video, partial, start_s, end_s, mode, num_threads)
            except (av.FFmpegError, ValueError) as error:
                if (
                    isinstance(error, MediaError)
                    or getattr(error, "errno", 0) in DISK_ERRNOS
                    or video.audio is None
                ):
                    raise
                cut = _write_clip(
                    video, partial, start_s, end_s, mode, num_threads, may_copy_sound=False
                )
            verify_clip(
                partial,
                cut.times,
                round((end_s - start_s) / TIME_BASE),
                cut.probe_times,
                video.audio is not None,
            )
        note = "; ".join(n for n in (note, cut.note) if n)
        return Slice(
            path=os.fspath(out), mode=cut.mode, start_s=start_s, end_s=end_s, num_frames=len(cut.times),
            lead_in_s=cut.lead_in_s, note=note,
        )  # fmt: skip


def _write_clip(
    source: Source,
    path: Path,
    start_s: float,
    end_s: float,
    mode: str,
    num_threads: int,
    may_copy_sound: bool = True,
) -> Cut:
    audio = sound.clip_sound(source, start_s, end_s, may_copy_sound)
    with av.open(str(path), "w", format="mp4", options=MUX_OPTIONS) as out:
        plan = copying.plan(source, start_s, end_s, mode) if mode != "exact" else None
        if plan is None or plan.reason:
            cut = _encode(source, out, audio, start_s, end_s, num_threads)
            cut.note = plan.reason if plan else ""
        else:
            cut = Cut(plan.times, plan.probe_times, plan.lead_in_s, plan.mode)
            copying.write(source, out, audio, plan)
    duration = round((end_s - start_s) / TIME_BASE)
    set_track_ends(path, {0: duration} | ({1: duration} if audio.reaches(end_s - start_s) else {}))
    return cut


def _encode(
    source: Source, out: Any, audio: sound.Sound, start_s: float, end_s: float, num_threads: int
) -> Cut:
    cut, track = Cut(), None
    for pts, frame in clip_frames_between(source, start_s, end_s):
        frame = upright(frame)
        if track is None:
            track = VideoTrack(out, _stream_like(out, source, frame, num_threads))
            audio.add_to(out)
        audio.mux_until(out, pts)
        track.add(frame, pts)
        cut.times.append(pts)
    if track is None:
        raise MediaError(
            f"{source.name}: no frame can be decoded between {start_s} and {end_s} s; the file is"
            " damaged there"
        )
    track.finish(round((end_s - start_s) / TIME_BASE))
    audio.mux_until(out, None)
    cut.probe_times.append(cut.times[-1])
    return cut


def clip_frames_between(source: Source, start_s: float, end_s: float) -> Iterator[tuple[int, Any]]:
    """Yield (ticks from start_s, frame) for what is on screen in [start_s, end_s); the frame on
    screen at the start comes at 0.
    """
    first, last = source.ticks(start_s + SNAP_S), source.ticks(end_s - SNAP_S)
    opening, begun, end, lasts_s = None, False, 0.0, 0.0
    for frame in decode(source, first, last, lambda pts, after: after > first and pts <= last):
        if frame.pts > last:
            break
        end, lasts_s = source.seconds(frame.pts), float((frame.duration or 0) * frame.time_base)
        if frame.pts <= first:
            opening = frame
            continue
        # nothing before it decodes: it stands for that, if it is not much
        if opening is None and not begun:
            if end > start_s + PAST_END_S:
                raise MediaError(
                    f"{source.name}: no frame decodes between {start_s} and {end:.3f} s; the file"
                    " is damaged there"
                )
            opening = frame
        elif opening is not None:
            yield 0, opening
            opening = None
        begun = True
        if opening is frame:
            continue
        yield round((end - start_s) / TIME_BASE), frame
    if opening is not None:
        yield 0, opening
    if end + max(lasts_s, 0.0) + PAST_END_S < end_s:
        raise MediaError(
            f"{source.name} stops showing frames at {end:.3f} s, before {end_s} s: truncated;"
            " download it again"
        )


def _stream_like(out: Any, source: Source, frame: Any, num_threads: int) -> Any:
    rate = source.video.average_rate or source.video.guessed_rate or Fraction(30)
    # 4:2:0 needs even sizes
    even = (frame.height - frame.height % 2, frame.width - frame.width % 2)
    stream = video_stream(out, "libx264", *even, min(rate, Fraction(FRAME_RATE_MAX)), ENCODING)
    stream.codec_context.thread_count = num_threads
    copy_look(stream.codec_context, source.video.codec_context)
    return stream
