"""Tissue, cells and retinas drawn from a random stream: stained sections, smears, fluorescence and
the back of an eye.

Few packages ship pictures of them, so the frame head also learns from these; they are never used to
measure it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageDraw, ImageFilter

TISSUES = ("section", "smear", "fluorescence", "fundus")
_STAINS = (  # background, fibres, nuclei
    ((243, 232, 240), (226, 150, 190), (96, 60, 140)),  # haematoxylin and eosin
    ((240, 236, 232), (205, 190, 180), (120, 70, 40)),  # brown marker
    ((236, 240, 246), (170, 190, 220), (70, 90, 150)),
    ((244, 226, 214), (216, 140, 130), (150, 50, 80)),
)


def draw_tissue(rng: np.random.Generator, kind: str, height: int, width: int) -> np.ndarray:
    """Return a drawn picture of `kind` (one of `TISSUES`), (height, width, 3) uint8."""
    if kind not in TISSUES:
        raise ValueError(f"tissue {kind!r} is not drawn: use one of {', '.join(TISSUES)}")
    values = _DRAWERS[kind](rng, height, width)
    values = values * rng.uniform(0.9, 1.1, 3) + rng.normal(0, rng.uniform(1, 6), values.shape)
    return np.clip(values, 0, 255).astype(np.uint8)


def _clouds(rng: np.random.Generator, height: int, width: int, cells: int) -> np.ndarray:
    """Return smooth noise (H, W) from 0 to 1, of about `cells` lumps across, finer ones on top."""
    total = np.zeros((height, width), np.float32)
    for octave in range(3):
        number = max(2, cells * 2**octave)
        grid = Image.fromarray(rng.random((number, number)).astype(np.float32))
        field = np.asarray(grid.resize((width, height), Image.Resampling.BICUBIC))
        total += field / 2**octave
    return (total - total.min()) / max(float(np.ptp(total)), 1e-6)


def _blobs(
    rng: np.random.Generator, height: int, width: int, number: int, radius: float, hollow: float
) -> np.ndarray:
    """Return a mask (H, W) from 0 to 1 of soft ellipses of about `radius` px, pale inside by
    `hollow`.
    """
    mask = Image.new("L", (width, height))
    draw = ImageDraw.Draw(mask)
    for _ in range(number):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        a, b = radius * rng.uniform(0.6, 1.4, 2)
        level = int(rng.integers(120, 256))
        draw.ellipse((x - a, y - b, x + a, y + b), fill=level)
        if hollow:
            inner = (x - a * 0.5, y - b * 0.5, x + a * 0.5, y + b * 0.5)
            draw.ellipse(inner, fill=round(level * (1 - hollow)))
    blurred = mask.filter(ImageFilter.GaussianBlur(max(0.5, radius * rng.uniform(0.05, 0.3))))
    return np.asarray(blurred, np.float32) / 255


def _mixed(back: np.ndarray, ink: ArrayLike, share: np.ndarray) -> np.ndarray:
    return back + (np.asarray(ink, np.float32) - back) * share[..., None]


def _section(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    paper, fibres, nuclei = _STAINS[rng.integers(len(_STAINS))]
    values = np.broadcast_to(np.asarray(paper, np.float32), (height, width, 3))
    strands = _clouds(rng, height, width, int(rng.integers(3, 20)))
    holes = _clouds(rng, height, width, int(rng.integers(2, 8))) > rng.uniform(0.1, 0.35)
    values = _mixed(values, fibres, np.clip(0.3 + strands, 0, 1) * holes)
    radius = rng.uniform(2, 12)
    number = int(height * width / radius**2 * rng.uniform(0.01, 0.09))
    inside = _blobs(rng, height, width, number, radius, rng.uniform(0, 0.4))
    return _mixed(values, nuclei, inside * np.where(holes, 0.9, 0.2))


def _smear(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    light = rng.uniform(200, 245, 3)
    values = np.broadcast_to(light.astype(np.float32), (height, width, 3))
    radius = rng.uniform(10, 34)
    number = int(height * width / radius**2 * rng.uniform(0.08, 0.3))
    cells = _blobs(rng, height, width, number, radius, rng.uniform(0.1, 0.6))
    values = _mixed(values, (rng.uniform(170, 225), 120, rng.uniform(100, 160)), cells * 0.8)
    large = _blobs(rng, height, width, int(rng.integers(1, 5)), radius * 1.2, 0.0)
    return _mixed(values, (110, 60, 150), large)


def _fluorescence(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    values = np.full((height, width, 3), rng.uniform(0, 14), np.float32)
    tints = rng.permutation(np.array([(40, 90, 255), (60, 255, 80), (255, 60, 60), (230,) * 3]))
    for tint in tints[: rng.integers(1, 4)]:
        radius = rng.uniform(4, 26)
        number = int(height * width / radius**2 * rng.uniform(0.02, 0.16))
        glow = _blobs(rng, height, width, number, radius, rng.uniform(0, 0.5))
        glow *= 0.5 + 0.5 * _clouds(rng, height, width, 30)
        values += glow[..., None] * np.asarray(tint, np.float32) * rng.uniform(0.4, 1)
    return values


def _fundus(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width].astype(np.float32)
    radius = min(height, width) * rng.uniform(0.45, 0.75)
    middle = (width / 2, height / 2)
    away = np.hypot(x - middle[0], y - middle[1]) / radius
    base = np.array([rng.uniform(170, 230), rng.uniform(70, 120), rng.uniform(20, 60)])
    light = 1 - 0.5 * away[..., None] ** 2 + 0.1 * _clouds(rng, height, width, 4)[..., None]
    values = base * light
    lines = Image.new("L", (width, height))
    draw = ImageDraw.Draw(lines)
    disc = (
        middle[0] + radius * rng.uniform(-0.5, 0.5),
        middle[1] + radius * rng.uniform(-0.1, 0.1),
    )
    for _ in range(rng.integers(6, 14)):
        at, angle, thick = np.array(disc), rng.uniform(0, 2 * np.pi), rng.uniform(2, 5)
        for _ in range(40):
            angle += rng.normal(0, 0.18)
            to = at + radius * 0.05 * np.array([np.cos(angle), np.sin(angle)])
            draw.line((*at, *to), fill=200, width=max(1, round(thick)))
            at, thick = to, thick * 0.97
    vessels = np.asarray(lines.filter(ImageFilter.GaussianBlur(0.8)), np.float32) / 255
    values = _mixed(values, (110, 20, 20), vessels)
    spot = np.exp(-(((x - disc[0]) ** 2 + (y - disc[1]) ** 2) / (radius * 0.13) ** 2))
    values = _mixed(values, (255, 225, 160), spot)
    return np.where(away[..., None] < 1, values, rng.uniform(0, 10))


_DRAWERS = {
    "section": _section, "smear": _smear, "fluorescence": _fluorescence, "fundus": _fundus,
}  # fmt: skip
