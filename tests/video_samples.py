"""Small generated videos whose every frame says its number, in eight bars, and whose sound beeps at each full second."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from obvlib import media

NUM_BARS = 8
SAMPLE_RATE = 16_000


def numbered_frames(num_frames: int, height: int = 120, width: int = 160) -> Iterator[np.ndarray]:
    """Frames (H, W, 3) uint8: grey drifting noise below, the frame number in binary, white on black, above."""
    noise = np.random.default_rng(0).integers(60, 120, (height, width), dtype=np.uint8)
    for number in range(num_frames):
        frame = np.repeat(np.roll(noise, number, axis=1)[:, :, None], 3, axis=2)
        for bar in range(NUM_BARS):
            frame[: height // 2, bar * width // NUM_BARS : (bar + 1) * width // NUM_BARS] = 235 * (number >> bar & 1)
        yield frame


def numbers(frames: np.ndarray) -> list[int]:
    """The numbers that frames (T, H, W, 3) show."""
    height, width = frames.shape[1:3]
    xs = [bar * width // NUM_BARS + width // (2 * NUM_BARS) for bar in range(NUM_BARS)]
    return [int(sum((frame[height // 4, x].mean() > 127) << bar for bar, x in enumerate(xs))) for frame in frames]


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
    path, num_frames: int = 250, fps: float = 25, height: int = 120, width: int = 160, with_sound: bool = True, **kwargs
):
    """Write such a video; frame numbers wrap at 256."""
    sound = beeps(num_frames / fps) if with_sound else None
    return media.write_video(path, numbered_frames(num_frames, height, width), fps, sound, SAMPLE_RATE, **kwargs)
