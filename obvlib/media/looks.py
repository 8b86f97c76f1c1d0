"""What a stretch of a video looks like, and which stretches look almost the same, whatever their
size and compression.

A look is the brightness in 16 x 16 fields of four frames; how alike two are is the correlation of
all these numbers. Measured on the mini corpus (42 clips, all 861 pairs of different ones;
constructed by `tests/benchmarks/near_clips.py`): copies of a clip in another size, brighter, or
compressed to crf 23 to 40 have at least 0.992 with it, different clips at most 0.948. Copies that
lost a fiftieth off each side have 0.956 to 0.987, and most of them pass for different.
"""

from __future__ import annotations

import os

import numpy as np

from obvlib.media.read import frames_at, probe

NUM_MOMENTS, NUM_FIELDS = 4, 16
MIN_CORRELATION = 0.98


def look_at(
    path: str | os.PathLike, start_s: float = 0.0, end_s: float | None = None
) -> np.ndarray:
    """Return the look of what is shown from `start_s` to `end_s` (the file's end): brightness
    (moments, fields, fields) uint8.
    """
    end_s = probe(path).duration_s if end_s is None else end_s
    shares = (np.arange(NUM_MOMENTS) + 0.5) / NUM_MOMENTS
    frames, _ = frames_at(path, start_s + shares * (end_s - start_s), NUM_FIELDS, NUM_FIELDS)
    return frames.mean(axis=-1).round().astype(np.uint8)  # (moments, fields, fields)


def correlations(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return how alike looks (n, moments, fields, fields) and (m, …) are, as (n, m) from -1 to 1;
    a stretch of one brightness is like no other.
    """
    return _centred(first) @ _centred(second).T


def _centred(looks: np.ndarray) -> np.ndarray:
    """Return the looks as vectors (n, values) float32 of mean 0 and length 1."""
    values = looks.reshape(len(looks), int(np.prod(looks.shape[1:]))).astype(np.float32)
    values -= values.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    return values / np.where(lengths == 0, 1, lengths)
