"""What a lecture or any other video shows beside pictures: slides, code, charts, tables, cartoons
and patterns, drawn from a random stream.
"""

from __future__ import annotations

import colorsys

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Color = tuple[int, int, int]  # red, green, blue, 0 to 255
Size = tuple[int, int]  # width, height in px

KINDS = ("slide", "code", "bars", "lines", "pie", "table", "pattern", "clouds", "person", "plain")
_WORDS = (
    "heart image the of risk model patient data sample review market lesson chapter and blood"
    " first growth dose price step energy result method lung question history total energy plan"
).split()


def draw_picture(rng: np.random.Generator, kind: str, height: int, width: int) -> np.ndarray:
    """Return a drawn picture of `kind` (one of `KINDS`), (height, width, 3) uint8."""
    if kind not in KINDS:
        raise ValueError(f"kind {kind!r} is not drawn: use one of {', '.join(KINDS)}")
    if kind in ("pattern", "clouds"):
        return _field(rng, kind, height, width)
    back = background(rng)
    image = Image.new("RGB", (width, height), back)
    draw, ink = ImageDraw.Draw(image), contrasting(back)
    _DRAWERS[kind](rng, draw, ink, (width, height))
    return np.asarray(image)


def background(rng: np.random.Generator) -> Color:
    """Return a colour that slides and screens stand on: mostly white or dark, sometimes strong."""
    light = rng.choice([rng.uniform(0.85, 1), rng.uniform(0.02, 0.25), rng.uniform(0.3, 0.8)])
    return color(rng, saturation=rng.choice([0.0, rng.uniform(0, 0.8)]), value=light)


def color(rng: np.random.Generator, saturation: float = 0.8, value: float = 0.9) -> Color:
    """Return a random hue as (R, G, B)."""
    red, green, blue = colorsys.hsv_to_rgb(rng.random(), saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)


def contrasting(back: Color) -> Color:
    """Return an ink that can be read on `back`."""
    return (20, 24, 30) if sum(back) > 380 else (236, 238, 242)


def words(rng: np.random.Generator, low: int, high: int) -> str:
    """Return between `low` and `high` - 1 words."""
    return " ".join(rng.choice(_WORDS, rng.integers(low, high)))


def write(
    draw: ImageDraw.ImageDraw, at: tuple[float, float], text: str, size: float, ink: Color
) -> None:
    """Write one line of text `size` px high."""
    draw.text(at, text, font=ImageFont.load_default(max(6, size)), fill=ink)


def _slide(rng: np.random.Generator, draw: ImageDraw.ImageDraw, ink: Color, size: Size) -> None:
    w, h = size
    left = w * rng.uniform(0.04, 0.15)
    write(draw, (left, h * 0.08), words(rng, 2, 5).title(), h * rng.uniform(0.07, 0.12), ink)
    for i in range(rng.integers(1, 8)):
        line = ("- " if rng.random() < 0.7 else "") + words(rng, 2, 9)
        write(draw, (left, h * (0.26 + 0.09 * i)), line, h * 0.05, ink)


def _code(rng: np.random.Generator, draw: ImageDraw.ImageDraw, ink: Color, size: Size) -> None:
    w, h = size
    text = h * rng.uniform(0.025, 0.05)
    for i in range(int(0.9 * h / (text * 1.5))):
        x = w * (0.03 + 0.04 * rng.integers(0, 4))
        for word in rng.choice([*_WORDS, "def", "=", "()", "return", "for", "[0]:"], 5):
            tint = ink if rng.random() < 0.6 else color(rng, 0.6, 0.7)
            write(draw, (x, h * 0.03 + i * text * 1.5), word, text, tint)
            x += text * 0.62 * (len(word) + 1)


def _axes(draw: ImageDraw.ImageDraw, ink: Color, size: Size) -> tuple[float, float, float, float]:
    w, h = size
    x0, y0, x1, y1 = w * 0.12, h * 0.12, w * 0.92, h * 0.85
    draw.line((x0, y0, x0, y1, x1, y1), fill=ink, width=2)
    for i in range(5):
        write(draw, (w * 0.05, y1 - (y1 - y0) * i / 5), str(20 * i), h * 0.035, ink)
    return x0, y0, x1, y1


def _bars(rng: np.random.Generator, draw: ImageDraw.ImageDraw, ink: Color, size: Size) -> None:
    x0, y0, x1, y1 = _axes(draw, ink, size)
    number, tint = rng.integers(3, 14), color(rng)
    step = (x1 - x0) / number
    for i in range(number):
        top = y1 - (y1 - y0) * rng.uniform(0.05, 1)
        fill = tint if rng.random() < 0.7 else color(rng)
        draw.rectangle((x0 + step * (i + 0.15), top, x0 + step * (i + 0.85), y1), fill=fill)
    write(draw, (x0, y0 / 4), words(rng, 2, 5).title(), size[1] * 0.06, ink)


def _lines(rng: np.random.Generator, draw: ImageDraw.ImageDraw, ink: Color, size: Size) -> None:
    x0, y0, x1, y1 = _axes(draw, ink, size)
    for _ in range(rng.integers(1, 5)):
        walk = np.cumsum(rng.standard_normal(60))
        walk = (walk - walk.min()) / (np.ptp(walk) + 1e-9)
        points = [(x0 + (x1 - x0) * i / 59, y1 - (y1 - y0) * 0.95 * v) for i, v in enumerate(walk)]
        if rng.random() < 0.3:
            for x, y in points:
                draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=color(rng))
        else:
            draw.line(points, fill=color(rng), width=int(rng.integers(1, 5)))


def _pie(rng: np.random.Generator, draw: ImageDraw.ImageDraw, ink: Color, size: Size) -> None:
    w, h = size
    r, x, y, angle = h * rng.uniform(0.2, 0.4), w * rng.uniform(0.3, 0.6), h * 0.52, 0.0
    for share in rng.dirichlet(np.ones(rng.integers(3, 8))):
        draw.pieslice((x - r, y - r, x + r, y + r), angle, angle + 360 * share, fill=color(rng))
        angle += 360 * share
    write(draw, (w * 0.05, h * 0.03), words(rng, 2, 5).title(), h * 0.07, ink)


def _table(rng: np.random.Generator, draw: ImageDraw.ImageDraw, ink: Color, size: Size) -> None:
    w, h = size
    rows, columns = rng.integers(4, 11), rng.integers(2, 6)
    for i in range(rows):
        y = h * (0.08 + 0.84 * i / rows)
        draw.line((w * 0.05, y, w * 0.95, y), fill=ink, width=1)
        for j in range(columns):
            text = words(rng, 1, 2) if i == 0 or j == 0 else f"{rng.uniform(0, 99):.1f}"
            write(draw, (w * (0.07 + 0.88 * j / columns), y + 4), text, h * 0.04, ink)


def _person(rng: np.random.Generator, draw: ImageDraw.ImageDraw, ink: Color, size: Size) -> None:
    w, h = size
    x, skin = w * rng.uniform(0.3, 0.7), color(rng, rng.uniform(0.2, 0.6), rng.uniform(0.4, 1))
    r = h * rng.uniform(0.1, 0.22)
    y = h * rng.uniform(0.3, 0.45)
    draw.rounded_rectangle((x - 2 * r, y + 1.2 * r, x + 2 * r, h * 1.2), r, fill=color(rng, 0.6))
    draw.ellipse((x - r, y - 1.25 * r, x + r, y + 1.25 * r), fill=skin)
    draw.chord((x - r, y - 1.4 * r, x + r, y + r), 180, 360, fill=color(rng, 0.5, 0.3))
    for side in (-1, 1):
        draw.ellipse((x + side * r / 3 - 4, y - 4, x + side * r / 3 + 4, y + 4), fill=(20, 20, 20))
    draw.arc((x - r / 2, y, x + r / 2, y + r * 0.8), 20, 160, fill=(120, 30, 30), width=3)
    for _ in range(rng.integers(0, 4)):
        a, b = rng.uniform(0, w), rng.uniform(0, h * 0.5)
        draw.rectangle((a, b, a + w * 0.12, b + h * 0.2), outline=ink, width=2)


def _plain(rng: np.random.Generator, draw: ImageDraw.ImageDraw, ink: Color, size: Size) -> None:
    w, h = size
    for _ in range(rng.integers(0, 6)):
        a, b, r = rng.uniform(0, w), rng.uniform(0, h), rng.uniform(0.03, 0.3) * h
        shape = draw.ellipse if rng.random() < 0.5 else draw.rectangle
        shape((a - r, b - r, a + r, b + r), fill=color(rng, rng.random(), rng.random()))


def _field(rng: np.random.Generator, kind: str, height: int, width: int) -> np.ndarray:
    """Return stripes, checks, noise and star fields, or clouds of any grain, in two colours."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    if kind == "clouds":
        values = np.zeros((height, width), np.float32)
        for octave in range(2, rng.integers(4, 8)):
            coarse = rng.random((2**octave, 2**octave), np.float32)
            layer = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
            values += np.asarray(layer) / 2**octave
    else:
        angle, period = rng.uniform(0, np.pi), rng.uniform(6, 80)
        along = (x * np.cos(angle) + y * np.sin(angle)) / period
        across = (y * np.cos(angle) - x * np.sin(angle)) / period
        noise = rng.random((height, width), np.float32)
        choices = (
            np.sin(2 * np.pi * along),
            (np.floor(along) + np.floor(across)) % 2,
            noise,
            noise > rng.uniform(0.98, 0.9995),
            along % 1 + across % 1,
        )
        values = choices[rng.integers(len(choices))].astype(np.float32)
    values = (values - values.min()) / (np.ptp(values) + 1e-9)
    low = np.array(color(rng, rng.random() * 0.8, rng.uniform(0, 0.4)), np.float32)
    high = np.array(color(rng, rng.random() * 0.8, rng.uniform(0.5, 1)), np.float32)
    return (low + (high - low) * values[..., None]).astype(np.uint8)


_DRAWERS = {
    "slide": _slide, "code": _code, "bars": _bars, "lines": _lines, "pie": _pie,
    "table": _table, "person": _person, "plain": _plain,
}  # fmt: skip
