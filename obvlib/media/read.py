"""What a video file is, the frames it shows at given times, and its sound."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import av
import numpy as np

from obvlib.media.decode import PAST_END_S, frames_on_screen, packets_from, to_rgb
from obvlib.media.sound import _read_audio
from obvlib.media.source import SNAP_S, MediaError, Source, open_source


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
    rotation: int
    container: str
    start_s: float  # of the first frame in the container's own time
    num_audio_streams: int
    audio_codec: str
    sample_rate: int
    size_bytes: int
    metadata: dict[str, str]

    @property
    def has_audio(self) -> bool:
        return self.num_audio_streams > 0


def probe(path: str | os.PathLike) -> VideoInfo:
    """Read a file's headers and its first frame. Raises MediaError for what is missing, broken or
    no video.
    """
    with open_source(path, num_threads=1) as source:
        frame = first_frame(source)
        height, width = (
            (frame.width, frame.height) if frame.rotation % 180 else (frame.height, frame.width)
        )
        audio = source.audio
        return VideoInfo(
            duration_s=duration_s(source),
            height=height,
            width=width,
            fps=float(source.video.average_rate or source.video.guessed_rate or 0),
            codec=source.video.codec_context.name,
            pixel_format=frame.format.name,
            rotation=frame.rotation,
            container=source.container.format.name,
            start_s=float(source.origin_s),
            num_audio_streams=len(source.container.streams.audio),
            audio_codec=audio.codec_context.name if audio else "",
            sample_rate=audio.codec_context.sample_rate if audio else 0,
            size_bytes=source.container.size,
            metadata=dict(source.container.metadata),
        )


@dataclass(frozen=True)
class PacketInfo:
    """One stored frame: when it is shown, its size, and whether it is a key frame, from which
    decoding can start.
    """

    time_s: float
    size_bytes: int
    is_key: bool


def packets(path: str | os.PathLike) -> list[PacketInfo]:
    """The frames as they are stored, in the order of decoding. Nothing is decoded."""
    with open_source(path) as source:
        return [
            PacketInfo(source.seconds(packet.pts), packet.size, packet.is_keyframe)
            for packet in packets_from(source, source.ticks(0.0))
            if packet.pts is not None and not packet.is_discard
        ]


def first_frame(source: Source):
    """The first frame that decodes, with its size, format and rotation."""
    for _, frame in frames_on_screen(source, [0.0]):
        return frame
    raise MediaError(f"{source.name}: not one frame can be decoded; download it again")


def duration_s(source: Source) -> float:
    """Length from the first video frame to the end of the video stream, to the millisecond; of the
    container where unknown.
    """
    video = source.video
    if video.duration:
        return round(float(video.duration * video.time_base), 3)
    if source.container.duration:
        start = (
            0 if "matroska" in source.container.format.name else source.container.start_time or 0
        )  # its duration counts from 0
        return round((source.container.duration + start) / av.time_base - float(source.origin_s), 3)
    last = 0.0
    for packet in packets_from(source, source.ticks(0.0)):
        if packet.pts is not None:
            last = max(last, source.seconds(packet.pts + (packet.duration or 0)))
    return round(last, 3)


def frames_at(
    path: str | os.PathLike,
    times_s: Sequence[float] | np.ndarray,
    height: int | None = None,
    width: int | None = None,
    num_threads: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """The frames on screen at `times_s` (seconds from the first frame, any order) and the times at
    which they came on.

    Returns frames (T, H, W, 3) uint8, upright, resized if a size is given, and pts_s (T,) float64.
    MediaError for a time that is negative or more than a second past the end.
    """
    times = np.asarray(times_s, dtype=np.float64).reshape(-1)
    if (height is None) != (width is None):
        raise MediaError(
            f"height is {height} and width is {width}: give both or neither", "settings"
        )
    with open_source(path, num_threads) as source:
        _check_times(source, times)
        order = np.argsort(times, kind="stable")
        frames, pts_s, previous = None, np.zeros(len(times)), (None, None)
        for index, frame in frames_on_screen(source, [float(times[i]) for i in order]):
            pixels = previous[1] if frame is previous[0] else to_rgb(frame, height, width)
            previous = (frame, pixels)
            if frames is None:
                frames = np.empty((len(times), *pixels.shape), dtype=np.uint8)  # (T, H, W, 3)
            frames[order[index]] = (
                pixels if pixels.shape == frames.shape[1:] else to_rgb(frame, *frames.shape[1:3])
            )
            pts_s[order[index]] = source.seconds(frame.pts)
        return (
            np.zeros((0, height or 0, width or 0, 3), np.uint8) if frames is None else frames
        ), pts_s


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


def audio(
    path: str | os.PathLike,
    sample_rate: int = 16_000,
    start_s: float = 0.0,
    end_s: float | None = None,
) -> np.ndarray:
    """The sound between two times as (N,) float32 in [-1, 1], one channel, N = (end_s - start_s) *
    sample_rate.

    Without an `end_s` it goes to the end of the sound. A file without sound gives an empty array;
    gaps are silence.
    """
    with open_source(path, num_threads=1, need_video=False) as source:
        if source.audio is None:
            return np.zeros(0, np.float32)
        return _read_audio(source, sample_rate, start_s, end_s)


def check_range(source: Source, start_s: float, end_s: float | None) -> tuple[float, str]:
    """The end to use and a note if it was moved; MediaError where the times are no part of the
    video.
    """
    if end_s is None:
        end_s = max(duration_s(source), start_s + SNAP_S)
    if not 0 <= start_s < end_s < float("inf"):
        raise MediaError(
            f"clip [{start_s}, {end_s}] of {source.name}: needs 0 <= start < end, in seconds",
            "settings",
        )
    available_s = duration_s(source)
    if start_s >= available_s or end_s > available_s + PAST_END_S:
        raise MediaError(
            f"clip [{start_s}, {end_s}] is past the end: {source.name} is {available_s:.3f} s long",
            "past_end",
        )
    if end_s > available_s + SNAP_S:
        return available_s, f"end moved from {end_s} to the video's end at {available_s:.3f} s"
    return min(end_s, available_s), ""
