"""Opening a video, and the one clock that every reader shares.

Time 0 of a video is its first presented video frame. Containers start wherever they like (a
transport stream at 1.4 s, an MP4 with an edit list before 0); sound that comes before that frame is
left out, sound that starts later begins with silence.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av

# rows round times to milliseconds: a frame that begins this soon after an asked time counts as
# being on screen
SNAP_S = 0.001
READ_BLOCK_BYTES = 1 << 20  # of one request to a remote store


class MediaError(ValueError):
    """A video that cannot be used as asked. `kind` sorts it in reports: missing, broken, no_video,
    past_end or settings.
    """

    def __init__(self, message: str, kind: str = "broken") -> None:
        super().__init__(message)
        self.kind = kind

    def __reduce__(self) -> tuple:  # keeps `kind` on the way back from a worker process
        return type(self), (str(self), self.kind)


@dataclass
class Source:
    """An open video: its container, the streams in use and the clock's origin in seconds of the
    container's own time.
    """

    name: str
    container: Any
    video: Any
    audio: Any
    origin_s: Fraction
    read_until: int = 0  # end of the last video packet read, in its ticks
    num_damaged: int = 0  # packets that would not decode
    scales: dict[int, tuple[int, int, int]] = field(default_factory=dict)

    def seconds(self, ticks: int, stream: Any = None) -> float:
        """Time from the first presented frame for a timestamp of `stream` (the video's by default)."""
        stream = stream or self.video
        key = stream.index
        if key not in self.scales:  # whole numbers: this is asked for every packet
            base, origin = stream.time_base, self.origin_s
            self.scales[key] = (
                base.numerator * origin.denominator,
                origin.numerator * base.denominator,
                base.denominator * origin.denominator,
            )
        scale, origin, divisor = self.scales[key]
        return (ticks * scale - origin) / divisor

    def ticks(self, time_s: float, stream: Any = None) -> int:
        """The timestamp of `stream` at or just below a time from the first presented frame."""
        return int((Fraction(time_s) + self.origin_s) // (stream or self.video).time_base)

    def seek(self, time_s: float, stream: Any = None) -> None:
        """Go to the last key frame at or before `time_s`; formats without an index may land
        elsewhere.
        """
        stream = stream or self.video
        for ticks in (self.ticks(time_s, stream), self.ticks(0.0, stream), stream.start_time or 0):
            try:
                return self.container.seek(ticks, stream=stream)
            except (av.FFmpegError, OSError):
                continue  # AVI refuses what is before its first packet
        raise MediaError(f"{self.name} cannot be sought in: convert it to MP4 or Matroska")


def clip_clock(time_base: Fraction, start: Fraction, tick: Fraction) -> Callable[[int], int]:
    """A function from timestamps in `time_base` to the nearest number of ticks after `start`; in
    whole numbers, since it is asked often.
    """
    scale = time_base.numerator * start.denominator * tick.denominator
    offset = start.numerator * time_base.denominator * tick.denominator
    divisor = time_base.denominator * start.denominator * tick.numerator
    return lambda pts: (2 * (pts * scale - offset) + divisor) // (2 * divisor)


def exact(time_s: float) -> Fraction:
    """A time that was written with at most six decimals, as that number."""
    return Fraction(time_s).limit_denominator(1_000_000)


@contextmanager
def open_source(
    location: str | os.PathLike, num_threads: int = 0, need_video: bool = True
) -> Iterator[Source]:
    """Open a local path or any fsspec location for reading; MediaError says what is wrong with it.
    `num_threads` 0: one per core.
    """
    name = os.fspath(location)
    with _open_container(name) as container:
        video, audio = _pick_streams(container, num_threads)
        if video is None and need_video:
            raise MediaError(f"{name} has no video stream: nothing to cut from it", "no_video")
        yield Source(name, container, video, audio, _origin(container, video or audio))


@contextmanager
def _open_container(name: str) -> Iterator[Any]:
    remote = "://" in name
    if not remote and not os.path.exists(name):
        raise MediaError(f"no file {name}: download it, or check the input directory", "missing")
    if not remote and os.path.getsize(name) == 0:
        raise MediaError(f"{name} is empty (0 bytes): download it again")
    file = _open_remote(name) if remote else None
    try:
        container = av.open(file or name, metadata_errors="ignore", options=_options(name))
    except (av.FFmpegError, OSError, ValueError) as error:
        if file:
            file.close()
        # the library's "invalid data" says no more than this sentence; other reasons, such as a
        # lack of rights, do
        why = (
            ""
            if isinstance(error, av.InvalidDataError)
            else f" ({getattr(error, 'strerror', None) or error})"
        )
        raise MediaError(
            f"{name} does not open as a video{why}: truncated or not a video; download it again"
        ) from None
    try:
        yield container
    finally:
        container.close()
        if file:
            file.close()


def _open_remote(name: str) -> Any:
    import fsspec

    try:
        fs, path = fsspec.core.url_to_fs(name)
        return fs.open(path, "rb", block_size=READ_BLOCK_BYTES, cache_type="readahead")
    except FileNotFoundError:
        raise MediaError(
            f"nothing at {name}: check the address and your access to it", "missing"
        ) from None


def _options(name: str) -> dict[str, str]:
    """AVI and raw streams store no presentation times: have them worked out. A file that is really
    a playlist may not reach out.
    """
    timeless = name.lower().endswith((".avi", ".h264", ".264", ".hevc", ".265", ".m4v"))
    return {"protocol_whitelist": "file"} | ({"fflags": "+genpts"} if timeless else {})


def _pick_streams(container: Any, num_threads: int) -> tuple[Any, Any]:
    """The first real video stream (not a cover picture) and the audio stream marked as default,
    else the first.
    """
    pictures = av.stream.Disposition.attached_pic
    videos = [
        s
        for s in container.streams.video
        if not s.disposition & pictures and s.codec_context is not None
    ]
    audios = [
        s
        for s in container.streams.audio
        if s.codec_context is not None and s.codec_context.sample_rate
    ]
    audios.sort(key=lambda s: not s.disposition & av.stream.Disposition.default)
    video = videos[0] if videos else None
    if video is not None:
        video.thread_type = "AUTO"
        video.codec_context.thread_count = num_threads
    return video, audios[0] if audios else None


def _origin(container: Any, stream: Any) -> Fraction:
    if stream is not None and stream.start_time is not None:
        first = _first_shown(container, stream) if container.format.name == "avi" else None
        return (stream.start_time if first is None else first) * stream.time_base
    return Fraction(container.start_time or 0, av.time_base)


def _first_shown(container: Any, stream: Any) -> int | None:
    """AVI stores no presentation times and its start is that of decoding: look at the first
    packets.
    """
    packets = itertools.islice(container.demux(stream), 17)
    first = min((packet.pts for packet in packets if packet.pts is not None), default=None)
    container.seek(stream.start_time, stream=stream)
    return first


@contextmanager
def as_source(source: str | os.PathLike | Source, num_threads: int = 0) -> Iterator[Source]:
    """An open source stays open, a location is opened and closed."""
    if isinstance(source, Source):
        yield source
    else:
        with open_source(source, num_threads) as opened:
            yield opened
