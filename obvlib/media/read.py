"""What a video file is, the frames it shows at given times, and its sound."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np

from obvlib.media.clean import open_source, retried
from obvlib.media.decode import frames_on_screen, packets_from, to_rgb
from obvlib.media.inspect import duration_s
from obvlib.media.opening import MediaError
from obvlib.media.sound import Timeline, cut_to, heard
from obvlib.media.source import PAST_END_S, Source, open_raw


@dataclass(frozen=True, kw_only=True)
class VideoInfo:
    """What `probe` says of a file. Sizes are those a viewer sees, after rotation; times are seconds
    from the first frame.
    """

    duration_s: float
    height: int
    width: int
    fps: float
    codec: str
    pixel_format: str
    container: str
    start_s: float  # of the first frame in the container's own time
    num_audio_streams: int
    audio_codec: str
    sample_rate: int
    size_bytes: int
    metadata: dict[str, str]
    note: str = ""  # what is not well behaved

    @property
    def has_audio(self) -> bool:
        return self.num_audio_streams > 0


def probe(path: str | os.PathLike) -> VideoInfo:
    """Read a file's headers; of one that is not well behaved, also its clean intermediate. Raises
    MediaError for what is missing, broken or no video.
    """
    with ExitStack() as stack:
        source = stack.enter_context(open_source(path, num_threads=1))
        retried(source, _first_frame)
        raw = stack.enter_context(open_raw(path)) if source.note else source
        video, audio = raw.video, raw.audio
        return VideoInfo(
            duration_s=duration_s(source),
            height=source.size[0],
            width=source.size[1],
            fps=_frame_rate(video),
            codec=video.codec_context.name,
            pixel_format=video.codec_context.pix_fmt or "",
            container=raw.container.format.name,
            start_s=float(raw.origin_s),
            num_audio_streams=len(raw.container.streams.audio),
            audio_codec=audio.codec_context.name if audio else "",
            sample_rate=audio.codec_context.sample_rate if audio else 0,
            size_bytes=raw.container.size,
            metadata=dict(raw.container.metadata),
            note=source.note,
        )


def _first_frame(source: Source) -> Any:
    return next(frames_on_screen(source, [0.0]))


def _frame_rate(video: Any) -> float:
    """Return frames per second: the nominal rate, unless it is far from the average one."""
    average, nominal = float(video.average_rate or 0), float(video.guessed_rate or 0)
    return nominal if not average or abs(nominal - average) < 0.05 * average else average


@dataclass(frozen=True)
class PacketInfo:
    """One stored frame: when it is shown, its size, and whether it is a key frame, from which
    decoding can start.
    """

    time_s: float
    size_bytes: int
    is_key: bool


def packets(path: str | os.PathLike) -> list[PacketInfo]:
    """Return the frames as they are stored, in the order of decoding. Nothing is decoded."""
    with open_source(path) as source:
        return retried(source, _stored)


def _stored(source: Source) -> list[PacketInfo]:
    return [
        PacketInfo(source.seconds(packet.pts), packet.size, packet.is_keyframe)
        for packet in packets_from(source, source.ticks(0.0))
        if packet.pts is not None and not packet.is_discard
    ]


def frames_at(
    path: str | os.PathLike,
    times_s: Sequence[float] | np.ndarray,
    height: int | None = None,
    width: int | None = None,
    num_threads: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the frames on screen at `times_s` (seconds from the first frame, any order) and the
    times at which they came on.

    Returns frames (T, H, W, 3) uint8, upright, resized if a size is given, and pts_s (T,) float64.
    MediaError for a time that is negative or more than a second past the end.
    """
    times = np.asarray(times_s, dtype=np.float64).reshape(-1)
    if (height is None) != (width is None):
        raise MediaError(
            f"height is {height} and width is {width}: give both or neither", "settings"
        )
    with open_source(path, num_threads) as source:
        known = source.note
        found = retried(source, _frames_and_times, times, height, width)
        if source.note != known:
            warnings.warn(f"{source.name} was {source.note}", stacklevel=2)
        return found


def _frames_and_times(
    source: Source, times: np.ndarray, height: int | None, width: int | None
) -> tuple[np.ndarray, np.ndarray]:
    _check_times(source, times)
    size = height or source.size[0], width or source.size[1]
    return stacked_frames(source, times, size)


def stacked_frames(
    source: Source, times_s: np.ndarray, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the frames on screen at times in any order, (T, H, W, 3) uint8 of a (height, width),
    and when they came on, (T,) float64 seconds.
    """
    order = np.argsort(times_s, kind="stable")
    frames = np.empty((len(times_s), *size, 3), dtype=np.uint8)  # (T, H, W, 3)
    pts_s, last, previous = np.zeros(len(times_s)), 0, None
    for index, frame in frames_on_screen(source, times_s[order].tolist()):
        place = order[index]
        frames[place] = frames[last] if frame is previous else to_rgb(frame, *size)
        previous, last, pts_s[place] = frame, place, source.seconds(frame.pts)
    return frames, pts_s


def _check_times(source: Source, times: np.ndarray) -> None:
    if not np.isfinite(times).all() or (len(times) and times.min() < 0):
        raise MediaError(
            f"times_s for {source.name} must be finite and not negative, got {times.tolist()}",
            "settings",
        )
    end_s = duration_s(source)
    if len(times) and end_s and times.max() > end_s + PAST_END_S:
        raise MediaError(
            f"{source.name} is {end_s:.3f} s long, frames were asked for at {times.max():.3f} s",
            "past_end",
        )
    for begin_s, stop_s, is_missing in source.damage:
        if ((times >= begin_s) & (times < stop_s)).any():
            warnings.warn(
                f"{source.name} is damaged from {begin_s:.3f} to {stop_s:.3f} s: frames asked for"
                " there may not be the right ones",
                stacklevel=5,
            )
        stale = times[(times > begin_s + PAST_END_S) & (times < stop_s - PAST_END_S)]
        if is_missing and len(stale):
            raise MediaError(
                f"{source.name}: no frame can be decoded at {stale[0]:.3f} s; the file is damaged"
                " there"
            )


def audio(
    path: str | os.PathLike,
    sample_rate: int = 16_000,
    start_s: float = 0.0,
    end_s: float | None = None,
) -> np.ndarray:
    """Return the sound between two times as (N,) float32 in [-1, 1], one channel, N = (end_s -
    start_s) * sample_rate.

    Without an `end_s` it goes to the end of the sound. A file without sound gives an empty array;
    gaps are silence.
    """
    with open_source(path, num_threads=1, need_video=False) as source:
        return retried(source, _samples, sample_rate, start_s, end_s)


def _samples(source: Source, sample_rate: int, start_s: float, end_s: float | None) -> np.ndarray:
    if source.audio is None:
        return np.zeros(0, np.float32)
    length = float("inf") if end_s is None else round((end_s - start_s) * sample_rate)
    pieces = list(cut_to(heard(source, Timeline(sample_rate), start_s, end_s), length))
    if end_s is None:
        length = max((at + samples.shape[1] for at, samples in pieces), default=0)
    sound = np.zeros(max(0, int(length)), np.float32)
    for at, samples in pieces:
        sound[at : at + samples.shape[1]] = samples[0]
    return sound
