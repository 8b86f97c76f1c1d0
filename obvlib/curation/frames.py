"""Frames to scores: how likely each shows a medical picture, wherever on the screen that is.

A network gives features of every region of a frame. A small head scores 35 windows of it, by the
mean and the spread of the features in each: the whole, nine of half its height and width, 25 of a
third. Six numbers of the window scores are combined into the frame's logit, so that a small inset
counts as well as a full screen does.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from obvlib.core import manifests_dir

_GRIDS = ((1, 1.0), (3, 0.5), (5, 0.34))  # windows a side, and their share of the frame
WINDOWS = tuple(
    (float(y), float(x), share)
    for number, share in _GRIDS
    for y in np.linspace(0, 1 - share, number)
    for x in np.linspace(0, 1 - share, number)
)
NUM_WINDOWS = len(WINDOWS)
_BANDS = list(dict.fromkeys((y, share) for y, _, share in WINDOWS))  # of rows as of columns
_CROSSINGS = np.array(
    [[_BANDS.index((y, share)), _BANDS.index((x, share))] for y, x, share in WINDOWS]
).T
_FIRST_SMALL = 10  # windows 1 to 9 are halves, 10 to 34 thirds
MAX_APART = 6.0  # standard deviations


@dataclass(frozen=True, kw_only=True)
class FrameHead:
    """A score of a window's features, and how window scores become a frame's probability.

    Features, less `mean` (D,), over `scale` (D,), within `MAX_APART` of 0, go through one hidden
    layer: `hidden_weight` (H, D), `hidden_bias` (H,), then `weight` (H,) and `bias`. `pool_weight`
    (6,) and `pool_bias` act on the numbers of `pooled`.
    """

    mean: np.ndarray
    scale: np.ndarray
    hidden_weight: np.ndarray
    hidden_bias: np.ndarray
    weight: np.ndarray
    bias: float
    pool_weight: np.ndarray
    pool_bias: float
    encoder: str = "efficientnet-lite0"

    def standardised(self, features: np.ndarray) -> np.ndarray:
        """Return features (..., D) in units of their spread in training, float32."""
        apart = (features.astype(np.float32) - self.mean) / self.scale
        return np.clip(apart, -MAX_APART, MAX_APART)

    def window_logits(self, features: np.ndarray) -> np.ndarray:
        """Return a logit for every window, (N, 35), of their features (N, 35, D)."""
        hidden = self.standardised(features) @ self.hidden_weight.T + self.hidden_bias
        return np.maximum(hidden, 0) @ self.weight + self.bias

    def scores(self, features: np.ndarray) -> np.ndarray:
        """Return the probability that each frame is medical, (N,) float64, from features (N, 35,
        D).
        """
        logits = pooled(self.window_logits(features)) @ self.pool_weight + self.pool_bias
        return 1 / (1 + np.exp(-logits.astype(np.float64)))

    def save(self, path: str | os.PathLike) -> None:
        """Write the head as safetensors."""
        from safetensors.numpy import save_file

        tensors = {
            name: np.atleast_1d(np.asarray(getattr(self, name), np.float32))
            for name in (field.name for field in fields(self) if field.name != "encoder")
        }
        save_file(tensors, path, metadata={"encoder": self.encoder})

    @classmethod
    def load(cls, path: str | os.PathLike | None = None) -> FrameHead:
        """Read a head; without a path the one that ships with the project."""
        from safetensors import safe_open

        with safe_open(path or shipped_head(), framework="numpy") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            encoder = (file.metadata() or {}).get("encoder", "efficientnet-lite0")
        for name in ("bias", "pool_bias"):
            tensors[name] = float(tensors[name][0])
        return cls(**tensors, encoder=encoder)


def shipped_head() -> Path:
    """Return where the project's own head lies."""
    return manifests_dir() / "frame_head" / "frame_head.safetensors"


def pooled(logits: np.ndarray) -> np.ndarray:
    """Return six numbers a frame, (N, 6), of its window logits (N, 35): the whole frame, the best
    half, the best, third best and sixth best third, and the mean of the thirds.
    """
    thirds = np.sort(logits[:, _FIRST_SMALL:], axis=1)
    halves = logits[:, 1:_FIRST_SMALL].max(axis=1)
    return np.stack(
        [logits[:, 0], halves, thirds[:, -1], thirds[:, -3], thirds[:, -6], thirds.mean(axis=1)],
        axis=1,
    )


def window_features(maps: Sequence[np.ndarray]) -> np.ndarray:
    """Return the features of every window, (N, 35, D): the mean and the standard deviation of each
    channel of the feature maps, a list of (N, d, h, w), within it.
    """
    found = []
    for values in maps:
        whole = values.mean(axis=(2, 3), keepdims=True)
        apart = values - whole  # squares of what is far from 0 would round away the spread
        means = _window_means(apart)
        variance = _window_means(apart**2) - means**2
        found += [means + whole[:, None, :, 0, 0], np.sqrt(np.maximum(variance, 0))]
    return np.concatenate(found, axis=2).astype(np.float32)


def _window_means(values: np.ndarray) -> np.ndarray:
    """Return the means of values (N, d, h, w) within every window, (N, 35, d): of the nine bands
    of columns first, then of rows, then of the windows that two bands cross in.
    """
    rows, columns = (_bands(length) for length in values.shape[2:])  # (9, h), (9, w)
    crossed = rows @ (values @ columns.T)  # (N, d, 9, 9)
    return crossed[:, :, *_CROSSINGS].transpose(0, 2, 1)


def _bands(length: int) -> np.ndarray:
    """Return what turns `length` rows or columns into the means of the bands, (9, length)."""
    found = np.zeros((len(_BANDS), length), np.float32)
    for number, (start, share) in enumerate(_BANDS):
        band = _slice(start, share, length)
        found[number, band] = 1 / (band.stop - band.start)
    return found


def window_shares(mask: np.ndarray) -> np.ndarray:
    """Return the share of every window, (35,), in which `mask` (H, W) is true."""
    return np.array([mask[rows, columns].mean() for rows, columns in _slices(*mask.shape)])


def _slices(height: int, width: int) -> list[tuple[slice, slice]]:
    return [(_slice(y, share, height), _slice(x, share, width)) for y, x, share in WINDOWS]


def _slice(start: float, share: float, length: int) -> slice:
    first = min(round(start * length), length - 1)
    return slice(first, min(length, max(first + 1, round((start + share) * length))))


def resized(frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return a frame (H, W, 3) at `size` (height, width)."""
    from PIL import Image

    image = Image.fromarray(frame).resize(size[::-1], Image.Resampling.BILINEAR, reducing_gap=3)
    return np.asarray(image)


def frame_features(frames: Sequence[np.ndarray], encoder_name: str = "efficientnet-lite0") -> Any:
    """Return the features of every window of frames of one size, (N, 35, D) float32."""
    from obvlib.encoders.pictures import picture_encoder

    encoder = picture_encoder(encoder_name)
    size = encoder.input_size(*frames[0].shape[:2])
    return window_features(encoder.maps(np.stack([resized(frame, size) for frame in frames])))
