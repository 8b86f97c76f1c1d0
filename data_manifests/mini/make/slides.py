"""What a lecture shows between the imaging: a title slide, and a lecturer who talks beside a
screen. Drawn, as everything here.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from lectures import HEIGHT, WIDTH
from PIL import Image, ImageDraw, ImageFont

from obvlib.mini.corpus import Part, Source

_FINE = 3  # drawn this many times finer, then averaged down
# Two background colours, the accent and the ink of each palette.
PALETTES = (
    ((16, 42, 67), (36, 84, 122), (255, 183, 77), (245, 248, 250)),
    ((33, 59, 47), (68, 117, 92), (255, 224, 130), (245, 250, 246)),
    ((72, 31, 56), (124, 58, 97), (255, 171, 145), (252, 244, 248)),
    ((242, 240, 232), (214, 222, 224), (196, 69, 54), (38, 50, 56)),
    ((28, 33, 48), (58, 68, 97), (100, 216, 203), (240, 244, 250)),
    ((235, 243, 248), (190, 215, 232), (21, 101, 152), (20, 40, 60)),
)
_SKINS = ((255, 219, 190), (234, 188, 150), (198, 140, 98), (141, 92, 62), (97, 62, 44))
_HAIR = ((40, 30, 26), (92, 58, 34), (170, 120, 62), (120, 120, 124), (206, 160, 92), (60, 26, 20))
_COATS = (
    (250, 250, 248),
    (62, 122, 148),
    (48, 92, 74),
    (118, 58, 72),
    (250, 250, 248),
    (70, 78, 108),
)


def title_frames(source: Source, part: Part, times_s: np.ndarray) -> Iterator[np.ndarray]:
    """Frames (240, 320, 3) uint8 of the title slide; only the accent line moves."""
    back, fore, accent, ink = PALETTES[source.style % len(PALETTES)]
    image = _gradient(back, fore)
    draw = ImageDraw.Draw(image)
    _emblem(draw, source.style, accent, fore)
    lines = _wrapped(source.title, 18)
    for i, line in enumerate(lines):
        _text(draw, 24, 78 - 15 * (len(lines) - 1) + 30 * i, line, 25, ink)
    top = 124 + 15 * (len(lines) - 1)
    _text(draw, 24, top + 8, f"Dr. {source.speaker}", 14, ink)
    _text(draw, 24, top + 27, "The Mini Lectures on Medical Imaging", 10, accent)
    for time_s in times_s:
        frame = image.copy()
        share = min(1.0, (time_s - part.start_s) / 1.2)
        _box(ImageDraw.Draw(frame), 24, top - 3, 24 + 150 * share + 4, top, accent)
        yield _finished(frame)


def speaker_frames(source: Source, part: Part, times_s: np.ndarray) -> Iterator[np.ndarray]:
    """Frames (240, 320, 3) uint8 of the lecturer, who sways, blinks and moves the mouth while
    speaking.
    """
    back, fore, accent, ink = PALETTES[source.style % len(PALETTES)]
    room = _gradient(fore, back)
    draw = ImageDraw.Draw(room)
    _screen(draw, source, accent)
    first = part == source.parts[1]
    for time_s in times_s:
        frame = room.copy()
        draw = ImageDraw.Draw(frame)
        _person(draw, source, time_s)
        if first:
            share = min(1.0, (time_s - part.start_s) / 0.6)
            _box(draw, 0, 198, 172 * share, 226, back)
            _box(draw, 0, 198, 5, 226, accent)
            if share == 1.0:
                _text(draw, 13, 200, f"Dr. {source.speaker}", 13, ink)
                _text(draw, 13, 214, "Mini Lectures", 9, accent)
        yield _finished(frame)


def mouth_opening(source: Source, time_s: float) -> float:
    """0 (closed) to 1: open while a word is being said, in a rhythm of syllables."""
    speaking = any(word.start_s <= time_s < word.end_s for word in source.words)
    return 0.35 + 0.65 * abs(np.sin(2 * np.pi * 2.6 * time_s)) if speaking else 0.0


def _person(draw: ImageDraw.ImageDraw, source: Source, time_s: float) -> None:
    """Shoulders, head, hair, face; the style number decides who it is."""
    style = source.style
    skin, hair, coat = _SKINS[style % 5], _HAIR[style // 2 % 6], _COATS[style // 3 % 6]
    darker = tuple(int(c * 0.86) for c in skin)
    sway, nod = 3.0 * np.sin(0.9 * time_s + style), 1.5 * np.sin(1.7 * time_s + style)
    x, y = 232 + sway, 112 + nod
    feminine = "+f" in source.voice
    long_hair = feminine and style % 2 == 0
    if long_hair:
        draw.rounded_rectangle(_scaled(x - 37, y - 34, x + 37, y + 50), 30 * _FINE, fill=hair)
    draw.rounded_rectangle(_scaled(166 + sway / 2, 168, 298 + sway / 2, 300), 34 * _FINE, fill=coat)
    shade = tuple(int(c * 0.88) for c in coat)
    shirt = PALETTES[style % len(PALETTES)][2]
    draw.polygon(_scaled(x - 22, 168, x + 22, 168, x, 212), fill=shirt)
    draw.polygon(_scaled(x - 24, 167, x - 12, 166, x - 1, 214, x - 14, 206), fill=shade)
    draw.polygon(_scaled(x + 24, 167, x + 12, 166, x + 1, 214, x + 14, 206), fill=shade)
    draw.rounded_rectangle(_scaled(x - 12, y + 28, x + 12, y + 64), 8 * _FINE, fill=darker)
    for side in (-1, 1):
        _disc(draw, x + 31 * side, y + 2, 6, 8, darker)
    _disc(draw, x, y, 31, 38, skin)
    if not feminine and style % 3 == 1:  # a beard
        draw.chord(_scaled(x - 30, y - 26, x + 30, y + 39), 20, 160, fill=hair)
    crown = -162 if style % 4 else -172
    draw.chord(_scaled(x - 33, y - 42, x + 33, y + 26), crown, -180 - crown, fill=hair)
    if feminine and not long_hair:
        _disc(draw, x, y - 44, 12, 11, hair)  # a bun
    _face(draw, source, x, y, time_s, hair)


def _face(
    draw: ImageDraw.ImageDraw, source: Source, x: float, y: float, time_s: float, hair: tuple
) -> None:
    blink = (time_s * 0.31 + source.style * 0.17) % 1 < 0.04
    for side in (-1, 1):
        eye = x + 12 * side
        _disc(draw, eye, y - 2, 5, 0.8 if blink else 4, (60, 40, 36) if blink else (255, 255, 255))
        if not blink:
            _disc(draw, eye + 0.6 * np.sin(time_s), y - 2, 2.3, 2.6, (44, 34, 32))
        draw.arc(_scaled(eye - 7, y - 13, eye + 7, y - 3), 205, 335, fill=hair, width=2 * _FINE)
        if source.style % 4 == 1:  # glasses
            draw.rounded_rectangle(
                _scaled(eye - 9, y - 9, eye + 9, y + 6),
                5 * _FINE,
                outline=(40, 40, 44),
                width=_FINE,
            )
    if source.style % 4 == 1:
        draw.line(_scaled(x - 3, y - 3, x + 3, y - 3), fill=(40, 40, 44), width=_FINE)
    draw.arc(_scaled(x - 4, y + 2, x + 4, y + 10), 20, 160, fill=(150, 96, 76), width=_FINE)
    opening = mouth_opening(source, time_s)
    if opening:
        _disc(draw, x, y + 20, 8, 1.5 + 5 * opening, (120, 40, 44))
        _disc(draw, x, y + 21.5 + 2.5 * opening, 5, 0.6 + 1.6 * opening, (214, 110, 108))
    else:
        draw.arc(
            _scaled(x - 9, y + 12, x + 9, y + 23), 25, 155, fill=(140, 60, 60), width=2 * _FINE
        )


def _screen(draw: ImageDraw.ImageDraw, source: Source, accent: tuple) -> None:
    """The projected slide beside the lecturer: a heading, three points, a small chart."""
    draw.rounded_rectangle(_scaled(14, 22, 160, 150), 5 * _FINE, fill=(30, 32, 36))
    draw.rounded_rectangle(_scaled(18, 26, 156, 146), 3 * _FINE, fill=(250, 250, 247))
    for i, line in enumerate(_wrapped(source.title, 22)):
        _text(draw, 26, 32 + 13 * i, line, 11, (36, 44, 52))
    _box(draw, 26, 60, 74, 62, accent)
    rng = np.random.default_rng(source.style)
    for i, length in enumerate(rng.integers(38, 66, 3)):
        _disc(draw, 29, 75 + 15 * i, 2, 2, accent)
        _box(draw, 36, 73 + 15 * i, 36 + int(length), 76 + 15 * i, (176, 182, 188))
    heights = rng.integers(12, 46, 4)
    for i, height in enumerate(heights):
        _box(
            draw,
            112 + 10 * i,
            118 - int(height),
            119 + 10 * i,
            118,
            accent if i == heights.argmax() else (196, 202, 206),
        )
    _box(draw, 26, 134, 148, 135, (214, 218, 222))


def _emblem(draw: ImageDraw.ImageDraw, style: int, accent: tuple, fore: tuple) -> None:
    """A quiet drawing on the right of the title slide: rings, as of a scanner."""
    center_x, center_y = 276, 52 + style % 3 * 8
    for i, radius in enumerate((50, 38, 26, 14)):
        color = tuple((a * (i + 1) + f * (5 - i)) // 6 for a, f in zip(accent, fore, strict=True))
        draw.ellipse(
            _scaled(center_x - radius, center_y - radius, center_x + radius, center_y + radius),
            outline=color,
            width=2 * _FINE,
        )
    _disc(draw, center_x, center_y, 5, 5, accent)


def _gradient(top: tuple, bottom: tuple) -> Image.Image:
    share = np.linspace(0, 1, HEIGHT * _FINE)[:, None, None]
    column = np.array(top) * (1 - share) + np.array(bottom) * share
    return Image.fromarray(np.repeat(column, WIDTH * _FINE, axis=1).astype(np.uint8))


def _wrapped(text: str, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + len(word) >= width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def _scaled(*numbers: float) -> list[float]:
    return [n * _FINE for n in numbers]


def _box(
    draw: ImageDraw.ImageDraw, x0: float, y0: float, x1: float, y1: float, color: tuple
) -> None:
    if x1 > x0:
        draw.rectangle(_scaled(x0, y0, x1, y1), fill=color)


def _disc(
    draw: ImageDraw.ImageDraw, x: float, y: float, radius_x: float, radius_y: float, color: tuple
) -> None:
    draw.ellipse(_scaled(x - radius_x, y - radius_y, x + radius_x, y + radius_y), fill=color)


def _text(
    draw: ImageDraw.ImageDraw, x: float, y: float, text: str, size: int, color: tuple
) -> None:
    draw.text(_scaled(x, y), text, fill=color, font=ImageFont.load_default(size * _FINE))


def _finished(image: Image.Image) -> np.ndarray:
    return np.asarray(image.reduce(_FINE))
