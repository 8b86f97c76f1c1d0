"""An open video, and the one clock that every reader shares.

Time 0 of a video is its first presented video frame. Containers start wherever they like (a
transport stream at 1.4 s, an MP4 with an edit list before 0); sound that comes before that frame is
left out, sound that starts later begins with silence.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av

from obvlib.media.opening import MediaError, open_bytes, open_container, pick_streams

# rows round times to milliseconds: a frame that begins this soon after an asked time counts as
# being on screen
SNAP_S = 0.001
PAST_END_S = 1.0  # headers round: so far past the end a clip's end is moved to it


class OddVideo(MediaError):
    """Something that a well-behaved video does not have. Whoever opened the video reads it again
    from its clean intermediate.
    """


@dataclass
class Source:
    """An open video: its container, the streams in use and the clock's origin in seconds of the
    container's own time.

    Of a clean intermediate, `note` says what was wrong with the original, and `damage` lists the
    stretches (start_s, end_s, whether frames are missing there) that did not decode.
    """

    name: str
    file: Any
    container: Any
    video: Any
    audio: Any
    origin_s: Fraction
    num_threads: int = 0
    note: str = ""
    damage: list[tuple[float, float, bool]] = field(default_factory=list)
    resources: ExitStack = field(default_factory=ExitStack)
    size: tuple[int, int] = (0, 0)  # height and width in px
    metadata: dict[str, str] = field(default_factory=dict)  # of the file as it was opened first
    scales: dict[int, tuple[int, int, int]] = field(default_factory=dict)

    def seconds(self, ticks: int, stream: Any = None) -> float:
        """Time from the first presented frame for a timestamp of `stream` (default: the video)."""
        stream = stream or self.video
        key = stream.index
        if key not in self.scales:  # whole numbers: this is asked for every packet
            base, start = stream.time_base, self.origin_s
            self.scales[key] = (
                base.numerator * start.denominator,
                start.numerator * base.denominator,
                base.denominator * start.denominator,
            )
        scale, origin, divisor = self.scales[key]
        return float((ticks * scale - origin) / divisor)

    def ticks(self, time_s: float, stream: Any = None) -> int:
        """Return the timestamp of `stream` at or just below a time from the first presented
        frame.
        """
        base = Fraction((stream or self.video).time_base)  # PyAV 19 has a type of its own
        return int((Fraction(time_s) + self.origin_s) // base)

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *error: object) -> None:
        self.resources.close()

    def seek(self, time_s: float, stream: Any = None) -> None:
        """Go to the last key frame at or before `time_s`; formats without an index may land
        elsewhere.
        """
        stream = stream or self.video
        for ticks in (self.ticks(time_s, stream), self.ticks(0.0, stream), stream.start_time or 0):
            try:
                return self.container.seek(ticks, stream=stream)
            except (av.FFmpegError, OSError):
                continue  # some formats refuse what is before their first packet
        raise OddVideo(f"{self.name} cannot be sought in")


def open_raw(name: str | os.PathLike, num_threads: int = 1, need_video: bool = True) -> Source:
    """Open a video as it is, for a `with` statement."""
    name = os.fspath(name)
    with ExitStack() as stack:
        file = stack.enter_context(open_bytes(name))
        container = stack.enter_context(open_container(name, file))
        video, audio = pick_streams(container, name, num_threads)
        if video is None and (need_video or audio is None):
            raise MediaError(f"{name} has no video stream: nothing to cut from it", "no_video")
        first = video or audio
        if first.start_time is not None:
            origin_s = first.start_time * first.time_base
        else:
            origin_s = Fraction(container.start_time or 0, av.time_base)
        source = Source(name, file, container, video, audio, origin_s, num_threads)
        if video is not None:
            source.size = (video.codec_context.height, video.codec_context.width)
        source.metadata = dict(container.metadata)
        source.resources = stack.pop_all()
        return source
    raise AssertionError("unreachable")


def clip_clock(time_base: Fraction, start: Fraction, tick: Fraction) -> Callable[[int], int]:
    """Return a function from timestamps in `time_base` to the nearest number of ticks after
    `start`; in whole numbers, since it is asked often.
    """
    scale = time_base.numerator * start.denominator * tick.denominator
    offset = start.numerator * time_base.denominator * tick.denominator
    divisor = time_base.denominator * start.denominator * tick.numerator
    return lambda pts: (2 * (pts * scale - offset) + divisor) // (2 * divisor)


def exact(time_s: float) -> Fraction:
    """Return a time that was written with at most six decimals, as that number."""
    return Fraction(time_s).limit_denominator(1_000_000)
