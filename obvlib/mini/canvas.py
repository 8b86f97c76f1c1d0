"""What the four renderers share: the picture plane, soft shapes, textures, tone and the machine's
overlay.

The plane is resolution-free: x runs from -4/3 (left) to 4/3 (right), y from -1 (top) to 1 (bottom),
whatever the pixel grid. A scene drawn at 320x240 px and one drawn at 56x56 px are the same picture,
squeezed as a decoder and a resize would squeeze it. Everything is float32.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

ASPECT = 4 / 3
_TEXTURE_SIZE = 512  # texels a side; textures repeat
_TEXELS_PER_UNIT = 100.0  # at 320x240 px one texel is about 1.2 px


@dataclass(frozen=True)
class Plane:
    """A pixel grid laid over the picture plane: `x` is (1, W) and `y` is (H, 1), in plane units."""

    x: np.ndarray
    y: np.ndarray

    @classmethod
    def of(cls, height: int, width: int) -> Plane:
        x = (np.arange(width, dtype=np.float32) + 0.5) / width * 2 * ASPECT - ASPECT
        y = (np.arange(height, dtype=np.float32) + 0.5) / height * 2 - 1
        return cls(x.astype(np.float32)[None, :], y.astype(np.float32)[:, None])

    def turned(
        self, center: tuple[float, float], angle: float, scale: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the coordinates (H, W) of every pixel in a frame centred at `center`, turned by
        `angle` radians and enlarged by `scale`.
        """
        cos, sin = np.float32(np.cos(angle) / scale), np.float32(np.sin(angle) / scale)
        dx, dy = self.x - np.float32(center[0]), self.y - np.float32(center[1])
        return dx * cos + dy * sin, dy * cos - dx * sin


def inside(distance: np.ndarray, softness: float) -> np.ndarray:
    """Return 1 where a signed distance is negative, 0 where positive, with a linear edge `softness`
    wide (plane units).
    """
    return np.clip(np.float32(0.5) - distance * np.float32(1 / softness), 0, 1)


def bell(value: np.ndarray, width: float) -> np.ndarray:
    """Return a cheap bell of height 1 around zero: one at 0, a quarter at `width`."""
    scaled = value * np.float32(1 / width)
    return 1 / np.square(1 + scaled * scaled)


def ease(value: np.ndarray | float, start: float, end: float) -> np.ndarray:
    """Return 0 before `start`, 1 after `end`, and a smooth step between."""
    t = np.clip((np.asarray(value, dtype=np.float32) - start) / (end - start), 0, 1)
    return (t * t * (3 - 2 * t)).astype(np.float32)


def along_time(values: np.ndarray | float) -> np.ndarray:
    """Reshape (T,) to (T, 1, 1) float32, to combine with (H, W) maps."""
    return np.asarray(values, dtype=np.float32).reshape(-1, 1, 1)


@cache
def texture(grain: float, seed: int = 0) -> np.ndarray:
    """Return a repeating noise field, (512, 512) float32 of mean 0 and variance 1, whose features
    are about `grain` texels across.
    """
    rng = np.random.default_rng([17, seed, round(grain * 100)])
    frequency = np.fft.fftfreq(_TEXTURE_SIZE)
    squared = frequency[:, None] ** 2 + frequency[None, :] ** 2
    spectrum = np.fft.fft2(rng.standard_normal((_TEXTURE_SIZE, _TEXTURE_SIZE))) * np.exp(
        -squared * (grain * 2.2) ** 2
    )
    field = np.fft.ifft2(spectrum).real
    return ((field - field.mean()) / field.std()).astype(np.float32)


def look_up(
    field: np.ndarray, u: np.ndarray, v: np.ndarray, texels_per_unit: float = _TEXELS_PER_UNIT
) -> np.ndarray:
    """Return the texture's value at plane coordinates (u, v), which broadcast against each other;
    nearest texel, repeating.
    """
    column = (u * np.float32(texels_per_unit)).astype(np.int32) & (_TEXTURE_SIZE - 1)
    row = (v * np.float32(texels_per_unit)).astype(np.int32) & (_TEXTURE_SIZE - 1)
    return field.take(row * _TEXTURE_SIZE + column)


def flicker(seed: int, moments: np.ndarray, plane: Plane, grain: float = 2.0) -> np.ndarray:
    """Return sensor noise, (T, H, W) of variance 1: the same field at another place for every
    moment (whole milliseconds, or a slice's number).
    """
    moments = np.asarray(moments, dtype=np.int64)
    scattered = (
        (moments[:, None] * np.array([2654435761, 2246822519]) + seed * 40503) % 2**32 / 2**32 * 5
    )
    return look_up(
        texture(grain, 9),
        plane.x + along_time(scattered[:, 0]),
        plane.y + along_time(scattered[:, 1]),
    )


def milliseconds(times_s: np.ndarray) -> np.ndarray:
    """Return times as whole milliseconds, (T,) int64."""
    return np.round(np.asarray(times_s) * 1000).astype(np.int64)


def tinted(gray: np.ndarray, tint: tuple[float, float, float], gamma: float = 1.0) -> np.ndarray:
    """Turn brightness (T, H, W) in 0..1 into (T, H, W, 3), coloured by `tint`."""
    gray = np.clip(gray, 0, 1)
    if gamma != 1.0:
        gray = gray ** np.float32(gamma)
    return gray[..., None] * np.asarray(tint, dtype=np.float32)


@cache
def overlay(
    height: int, width: int, texts: tuple[tuple[float, float, str], ...], lines: tuple = ()
) -> np.ndarray:
    """Return the machine's lettering as coverage (H, W) in 0..1: `texts` are (x, y, text) from
    their top left, `lines` (x0, y0, x1, y1).

    Drawn at 320x240 px or finer and averaged down, so that a small picture carries what is left of
    it and no more.
    """
    from PIL import Image, ImageDraw, ImageFont

    scale = max(1, -(-height // 240))
    image = Image.new("L", (320 * scale, 240 * scale))
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(9 * scale)
    for x, y, text in texts:
        draw.text(_pixel(image.size, x, y), text, fill=215, font=font)
    for x0, y0, x1, y1 in lines:
        ends = [_pixel(image.size, x0, y0), _pixel(image.size, x1, y1)]
        draw.line(ends, fill=170, width=scale)
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BOX)
    return np.asarray(image, dtype=np.float32) / 255


def _pixel(size: tuple[int, int], x: float, y: float) -> tuple[float, float]:
    """Return where a point of the canvas is in a picture of (width, height) px."""
    return (x / ASPECT + 1) / 2 * size[0], (y + 1) / 2 * size[1]


def average_down(frames: np.ndarray, factor: int) -> np.ndarray:
    """Shrink (T, H·f, W·f, 3) to (T, H, W, 3) by the mean of each f x f block."""
    if factor == 1:
        return frames
    num_frames, height, width, channels = frames.shape
    blocks = frames.reshape(num_frames, height // factor, factor, width // factor, factor, channels)
    return blocks.mean(axis=(2, 4), dtype=np.float32)
