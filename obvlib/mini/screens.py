"""Screens as videos show them: a picture full-screen, in a viewer's window, on a slide, as an
inset, in panes or under captions, with what a codec and a camera do to it.

The layouts are the same for medical and for other pictures, so that a frame head cannot learn the
frame around the picture.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageOps
from PIL.Image import Image as Picture

from obvlib.mini.drawn import background, color, contrasting, words, write

LAYOUTS = ("full", "viewer", "slide", "inset", "panes", "captioned")
_MAPS = (
    ((0, 0, 0), (180, 40, 0), (255, 200, 40), (255, 255, 255)),  # hot metal
    ((68, 1, 84), (33, 144, 141), (253, 231, 37)),
    ((0, 0, 40), (60, 100, 160), (235, 245, 255)),
    ((20, 8, 4), (150, 95, 50), (255, 235, 190)),  # sepia, as ultrasound machines offer
    ((0, 0, 0), (0, 130, 60), (190, 255, 200)),
)


@dataclass(frozen=True, kw_only=True)
class Screen:
    """A drawn frame (H, W, 3) uint8, and `medical` (H, W) bool: where it is medical."""

    frame: np.ndarray
    medical: np.ndarray

    @property
    def is_medical(self) -> bool:
        """Is at least a twelfth of the screen a medical picture? The rest is neither."""
        return bool(self.medical.mean() >= 1 / 12)


def draw_screen(
    rng: np.random.Generator,
    layout: str,
    picture: np.ndarray,
    is_medical: bool,
    beside: np.ndarray,
    size: tuple[int, int] = (360, 640),
) -> Screen:
    """Draw `picture` (H, W, 3) in `layout` on a screen of `size` (height, width); `beside` is a
    picture that is not medical, for what stands next to it.
    """
    height, width = size
    canvas = Image.new("RGB", (width, height), background(rng))
    mask = Image.new("L", (width, height), 0)
    image = Image.fromarray(picture)
    _LAYOUTS[layout](rng, canvas, mask, image, Image.fromarray(beside))
    shown = np.asarray(mask) > 0
    return Screen(frame=np.asarray(canvas), medical=shown if is_medical else np.zeros_like(shown))


def vary_picture(rng: np.random.Generator, picture: np.ndarray, is_medical: bool) -> np.ndarray:
    """Return a picture flipped, cropped, in grey, in a colour map or in negative, at random."""
    image = Image.fromarray(picture)
    if rng.random() < 0.5:
        image = ImageOps.mirror(image)
    if rng.random() < (0.3 if is_medical else 0.1):
        image = image.rotate(rng.uniform(-25, 25), Image.Resampling.BILINEAR)
    if rng.random() < 0.5:
        share = rng.uniform(0.55, 1)
        w, h = round(image.width * share), round(image.height * share)
        x, y = int(rng.integers(image.width - w + 1)), int(rng.integers(image.height - h + 1))
        image = image.crop((x, y, x + w, y + h))
    if rng.random() < (0.15 if is_medical else 0.3):
        image = ImageOps.grayscale(image)
        if rng.random() < 0.5:
            stops = _MAPS[rng.integers(len(_MAPS))]
            levels = np.linspace(0, len(stops) - 1, 256)
            table = [np.interp(levels, range(len(stops)), [s[c] for s in stops]) for c in range(3)]
            gray = np.asarray(image)
            image = Image.fromarray(np.stack([t[gray] for t in table], axis=-1).astype(np.uint8))
        image = image.convert("RGB")
    if rng.random() < 0.07:
        image = ImageOps.invert(image)
    return np.asarray(image)


def vary_screen(rng: np.random.Generator, frame: np.ndarray) -> np.ndarray:
    """Return a frame as a camera, an editor and a codec leave it: light, contrast, blur, noise and
    blocks.
    """
    values = frame.astype(np.float32) / 255
    values = np.clip(values, 0, 1) ** rng.uniform(0.7, 1.4) * rng.uniform(0.75, 1.1)
    values *= 1 + rng.normal(0, 0.03, 3).astype(np.float32)
    if rng.random() < 0.3:
        values += rng.normal(0, rng.uniform(0.005, 0.04), values.shape).astype(np.float32)
    image = Image.fromarray((np.clip(values, 0, 1) * 255).astype(np.uint8))
    if rng.random() < 0.3:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.6)))
    stored = io.BytesIO()
    image.save(stored, "JPEG", quality=int(rng.integers(25, 90)))
    return np.asarray(Image.open(stored).convert("RGB"))


def _place(
    canvas: Picture,
    mask: Picture,
    image: Picture,
    box: Sequence[float],
    *,
    fill: bool = False,
    marks: bool = True,
) -> None:
    """Put `image` into `box` (left, top, right, bottom), whole or filling it."""
    left, top, right, bottom = (round(edge) for edge in box)
    room = (max(8, right - left), max(8, bottom - top))
    fitted = ImageOps.fit(image, room) if fill else ImageOps.contain(image, room)
    at = (left + (room[0] - fitted.width) // 2, top + (room[1] - fitted.height) // 2)
    canvas.paste(fitted, at)
    inside = (*at, at[0] + fitted.width - 1, at[1] + fitted.height - 1)
    ImageDraw.Draw(mask).rectangle(inside, fill=255 if marks else 0)


def _full(
    rng: np.random.Generator, canvas: Picture, mask: Picture, image: Picture, beside: Picture
) -> None:
    w, h = canvas.size
    if rng.random() < 0.7:
        canvas.paste((0, 0, 0) if rng.random() < 0.7 else background(rng), (0, 0, w, h))
    margin = rng.choice([0.0, rng.uniform(0, 0.12)])
    box = (w * margin, h * margin, w * (1 - margin), h * (1 - margin))
    _place(canvas, mask, image, box, fill=rng.random() < 0.4)


def _viewer(
    rng: np.random.Generator, canvas: Picture, mask: Picture, image: Picture, beside: Picture
) -> None:
    w, h = canvas.size
    gray = int(rng.integers(10, 70)) if rng.random() < 0.8 else int(rng.integers(190, 245))
    canvas.paste((gray, gray, gray + int(rng.integers(0, 10))), (0, 0, w, h))
    draw, ink = ImageDraw.Draw(canvas), contrasting((gray, gray, gray))
    bar, side = h * rng.uniform(0.05, 0.12), w * rng.uniform(0.0, 0.22)
    for i in range(rng.integers(4, 16)):
        x = w * 0.02 + i * bar * 0.9
        draw.rectangle((x, bar * 0.2, x + bar * 0.6, bar * 0.8), outline=ink)
    for i in range(rng.integers(0, 5) if side > w * 0.06 else 0):
        y = bar + i * side * 0.9
        draw.rectangle((4, y, side - 4, y + side * 0.8), outline=ink)
        write(draw, (8, y + 4), words(rng, 1, 3), h * 0.03, ink)
    canvas.paste((0, 0, 0), (round(side), round(bar), w, h))
    _place(canvas, mask, image, (side, bar, w, h), fill=rng.random() < 0.2)
    tint = (235, 235, 235) if rng.random() < 0.7 else color(rng)
    lines = [f"{words(rng, 1, 3)} {rng.integers(0, 999)}" for _ in range(rng.integers(2, 8))]
    for i, line in enumerate(lines):
        x = side + 6 if i % 2 else w * 0.8
        write(draw, (x, bar + 4 + i // 2 * h * 0.045), line, h * 0.035, tint)
    write(draw, (side + 6, h * 0.93), f"W {rng.integers(80, 900)} L 40", h * 0.035, tint)
    draw.line((w * 0.985, h * 0.3, w * 0.985, h * 0.7), fill=tint, width=2)


def _slide(
    rng: np.random.Generator, canvas: Picture, mask: Picture, image: Picture, beside: Picture
) -> None:
    w, h = canvas.size
    red, green, blue = np.asarray(canvas)[0, 0].tolist()
    draw, ink = ImageDraw.Draw(canvas), contrasting((red, green, blue))
    write(draw, (w * 0.05, h * 0.05), words(rng, 2, 6).title(), h * 0.08, ink)
    share, left = rng.uniform(0.42, 0.72), rng.random() < 0.3
    box = (0.04, 0.2, share, 0.95) if left else (1 - share, 0.2, 0.96, 0.95)
    _place(canvas, mask, image, [edge * (w, h)[i % 2] for i, edge in enumerate(box)])
    x = (share + 0.02) * w if left else w * 0.05
    for i in range(rng.integers(1, 6)):
        write(draw, (x, h * (0.24 + 0.1 * i)), words(rng, 1, 4), h * 0.045, ink)


def _inset(
    rng: np.random.Generator, canvas: Picture, mask: Picture, image: Picture, beside: Picture
) -> None:
    w, h = canvas.size
    share, edge = rng.uniform(0.4, 0.6), 0.03
    is_small = rng.random() < 0.5
    big, small = (beside, image) if is_small else (image, beside)
    if not is_small:
        share = rng.uniform(0.2, 0.33)
    _place(canvas, mask, big, (0, 0, w, h), fill=rng.random() < 0.7, marks=not is_small)
    left = w * (edge if rng.random() < 0.5 else 1 - edge - share)
    top = h * (edge if rng.random() < 0.5 else 1 - edge - share)
    box = (left, top, left + w * share, top + h * share)
    _place(canvas, mask, small, box, fill=rng.random() < 0.6, marks=is_small)


def _panes(
    rng: np.random.Generator, canvas: Picture, mask: Picture, image: Picture, beside: Picture
) -> None:
    w, h = canvas.size
    canvas.paste((0, 0, 0), (0, 0, w, h))
    rows, columns = ((1, 2), (2, 2), (1, 3))[rng.integers(3)]
    for row in range(rows):
        for column in range(columns):
            box = (w * column / columns, h * row / rows, w * (column + 1) / columns - 4)
            pane = ImageOps.mirror(image) if rng.random() < 0.3 else image
            _place(canvas, mask, pane, (*box, h * (row + 1) / rows - 4), fill=rng.random() < 0.5)


def _captioned(
    rng: np.random.Generator, canvas: Picture, mask: Picture, image: Picture, beside: Picture
) -> None:
    w, h = canvas.size
    _full(rng, canvas, mask, image, beside)
    draw = ImageDraw.Draw(canvas)
    if rng.random() < 0.6:
        top, tint = h * rng.uniform(0.72, 0.86), background(rng)
        draw.rectangle((0, top, w * rng.uniform(0.4, 1), top + h * 0.12), fill=tint)
        write(draw, (w * 0.04, top + h * 0.02), words(rng, 2, 5), h * 0.05, contrasting(tint))
    if rng.random() < 0.5:
        write(draw, (w * 0.2, h * 0.88), words(rng, 4, 9), h * 0.055, (255, 255, 255))
    if rng.random() < 0.4:
        draw.ellipse((w * 0.9, h * 0.03, w * 0.97, h * 0.03 + w * 0.07), fill=color(rng))
    if rng.random() < 0.3:
        x, y = rng.uniform(0.2, 0.8) * w, rng.uniform(0.2, 0.8) * h
        draw.polygon((x, y, x + 12, y + 30, x + 30, y + 12), fill=color(rng))


_LAYOUTS = {
    "full": _full, "viewer": _viewer, "slide": _slide,
    "inset": _inset, "panes": _panes, "captioned": _captioned,
}  # fmt: skip
