"""Small generated videos whose every frame says its number, in eight bars, and whose sound beeps at
each full second.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np

from obvlib import media

NUM_BARS = 8
SAMPLE_RATE = 16_000


def numbered_frames(num_frames: int, height: int = 120, width: int = 160) -> Iterator[np.ndarray]:
    """Frames (H, W, 3) uint8: grey drifting noise below, the frame number in binary, white on
    black, above.
    """
    noise = np.random.default_rng(0).integers(60, 120, (height, width), dtype=np.uint8)
    for number in range(num_frames):
        frame = np.repeat(np.roll(noise, number, axis=1)[:, :, None], 3, axis=2)
        for bar in range(NUM_BARS):
            frame[: height // 2, bar * width // NUM_BARS : (bar + 1) * width // NUM_BARS] = 235 * (
                number >> bar & 1
            )
        yield frame


def bars(frames: np.ndarray) -> np.ndarray:
    """The brightness (T, bars) of the bars of frames (T, H, W, 3)."""
    height, width = frames.shape[1:3]
    xs = [bar * width // NUM_BARS + width // (2 * NUM_BARS) for bar in range(NUM_BARS)]
    return frames[:, height // 4, xs].mean(axis=-1)


def numbers(frames: np.ndarray) -> list[int]:
    """The numbers that frames (T, H, W, 3) show."""
    return [int(sum((value > 127) << bar for bar, value in enumerate(row))) for row in bars(frames)]


def beeps(duration_s: float) -> np.ndarray:
    """Sound (N,) float32 with 50 ms of 1 kHz at each full second."""
    t = np.arange(round(duration_s * SAMPLE_RATE)) / SAMPLE_RATE
    return np.where(t % 1 < 0.05, np.sin(2 * np.pi * 1000 * t), 0).astype(np.float32)


def beep_times(sound: np.ndarray) -> list[float]:
    """When the beeps begin, in seconds, to the millisecond."""
    loud = np.convolve(np.abs(sound), np.ones(80) / 80, mode="same") > 0.2
    starts = np.flatnonzero(loud & ~np.concatenate([[False], loud[:-1]]))
    return [round(float(s) / SAMPLE_RATE, 3) for s in starts]


def make(
    path,
    num_frames: int = 250,
    fps: float = 25,
    height: int = 120,
    width: int = 160,
    with_sound: bool = True,
    **encoding,
):
    """Write such a video, encoded as told; frame numbers wrap at 256."""
    sound = beeps(num_frames / fps) if with_sound else None
    frames = numbered_frames(num_frames, height, width)
    how = media.Encoding(**encoding)
    return media.write_video(path, frames, fps, sound, SAMPLE_RATE, encoding=how)


def encode(
    path,
    codec: str,
    *,
    times_s: list[float] | None = None,
    num_frames: int = 100,
    fps: int = 25,
    size: tuple[int, int] = (120, 160),
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
    sound: str = "",
    num_sounds: int = 1,
    start_s: float = 0.0,
    sound_late_s: float = 0.0,
    mux: dict[str, str] | None = None,
) -> list[float]:
    """Write a numbered video in any codec and container; return the frames' times from the first,
    in seconds.

    `times_s` gives a variable rate, `start_s` where the container's time begins. Of several sounds
    only the last beeps and is the default.
    """
    times_s = times_s if times_s is not None else [i / fps for i in range(num_frames)]
    with av.open(str(path), "w", options=mux or {}) as out:
        stream = out.add_stream(codec, rate=fps, options=options or {})
        stream.height, stream.width, stream.pix_fmt = *size, pix_fmt
        stream.codec_context.time_base = Fraction(
            1, fps if codec.startswith("mpeg") or str(path).endswith(".avi") else 90_000
        )
        sounds = [
            out.add_stream(sound, rate=48_000, layout="mono")
            for _ in range(num_sounds if sound else 0)
        ]
        for track in sounds[:-1]:
            track.disposition = 0
        if len(sounds) > 1:
            sounds[-1].disposition = av.stream.Disposition.default
        for time_s, pixels in zip(times_s, numbered_frames(len(times_s), *size), strict=True):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format=pix_fmt)
            frame.pts, frame.time_base = round((time_s + start_s) * 90_000), Fraction(1, 90_000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        length_s = times_s[-1] + 1 / fps if sounds else 0.0
        wave = np.repeat(beeps(length_s), 48_000 // SAMPLE_RATE)
        for track in sounds:
            _encode_sound(
                out, track, wave if track is sounds[-1] else wave * 0, start_s + sound_late_s
            )
    return times_s


def _encode_sound(out, track, wave: np.ndarray, start_s: float) -> None:
    resampler = av.AudioResampler(
        format=track.codec_context.format,
        layout="mono",
        rate=48_000,
        frame_size=track.frame_size or 1024,
    )
    for at in range(0, len(wave), 4800):
        chunk = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(wave[None, at : at + 4800]), format="fltp", layout="mono"
        )
        chunk.sample_rate, chunk.pts, chunk.time_base = 48_000, at, Fraction(1, 48_000)
        for frame in resampler.resample(chunk):
            _encode_frame(out, track, frame, start_s)
    for frame in resampler.resample(None):
        _encode_frame(out, track, frame, start_s)
    out.mux(track.encode(None))


def _encode_frame(out, track, frame, start_s: float) -> None:
    frame.pts, frame.time_base = frame.pts + round(start_s * 48_000), Fraction(1, 48_000)
    out.mux(track.encode(frame))


def rotate_mp4(path, degrees: int) -> None:
    """Write a rotation into an MP4's first track header, as phones do: the picture is to be turned
    clockwise by `degrees`.
    """
    data = bytearray(path.read_bytes())
    cos, sin = {90: (0, 1), 180: (-1, 0), 270: (0, -1)}[degrees]
    matrix = [cos, sin, 0, -sin, cos, 0, 0, 0, 1]
    units = [1 << 16, 1 << 16, 1 << 30]
    at = data.find(b"tkhd") + 4 + 40
    data[at : at + 36] = b"".join(
        (value * units[i % 3]).to_bytes(4, "big", signed=True) for i, value in enumerate(matrix)
    )
    path.write_bytes(data)
