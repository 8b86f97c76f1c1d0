"""Frames as a viewer sees them: upright, mirrored back, square pixels, one size, whole lines."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
import numpy as np

from obvlib.media.opening import MAX_PIXELS, MediaError

MAX_STRETCH = 8  # of a pixel's sides: a shape beyond it is a mistake in the header
# whether to swap rows and columns, and then to mirror left-right and up-down
Turn = tuple[bool, bool, bool]
UPRIGHT: Turn = (False, False, False)


def viewer_size(frame: Any, pixel_shape: Fraction) -> tuple[int, int]:
    """Return height and width in px that a viewer sees of a frame whose pixels are `pixel_shape`
    times as wide as high.
    """
    height, width = _square(frame, pixel_shape)
    size = (width, height) if (turn_of(frame) or UPRIGHT)[0] else (height, width)
    if size[0] * size[1] > MAX_PIXELS:
        raise MediaError(f"a frame of {size[1]}x{size[0]} px is too large: scale it down first")
    return size


def as_seen(frame: Any, pixel_shape: Fraction, turn: Turn, size: tuple[int, int]) -> Any:
    """Return the frame as a viewer sees it, turned as told, fitted into (height, width) with black
    bars where its shape is another.
    """
    steps = ["estdif=mode=frame"] if frame.interlaced_frame else []
    swapped, left_right, up_down = turn
    height, width = _square(frame, pixel_shape)
    seen = (width, height) if swapped else (height, width)
    scale = min(size[0] / seen[0], size[1] / seen[1])
    fitted = [max(2, round(side * scale)) for side in (height, width)]
    if fitted != [frame.height, frame.width]:
        steps.append(f"scale={fitted[1]}:{fitted[0]}:flags=bicubic")
    steps += ["transpose=cclock_flip"] * swapped + ["hflip"] * left_right + ["vflip"] * up_down
    if size != tuple(fitted[::-1] if swapped else fitted):
        steps.append(f"pad={size[1]}:{size[0]}:(ow-iw)/2:(oh-ih)/2")
    return _filtered(frame, steps) if steps else frame


def _square(frame: Any, pixel_shape: Fraction) -> tuple[int, int]:
    """Return height and width with square pixels: the side that would shrink is kept."""
    if not Fraction(1, MAX_STRETCH) <= pixel_shape <= MAX_STRETCH:
        pixel_shape = Fraction(1)
    if pixel_shape >= 1:
        return frame.height, _even(frame.width * pixel_shape, frame.width)
    return _even(frame.height / pixel_shape, frame.height), frame.width


def _even(length: Fraction, original: int) -> int:
    return original if length == original else 2 * round(length / 2)


def turn_of(frame: Any) -> Turn | None:
    """Return what a frame's display matrix asks for, x' = ax + cy, y' = bx + dy; None where it has
    none, which then is that of the frame before it.
    """
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return None
    a, b, _, c, d = np.frombuffer(bytes(data), np.int32)[:5].tolist()
    if abs(b) + abs(c) > abs(a) + abs(d):
        return True, c < 0, b < 0
    return False, a < 0, d < 0


def _filtered(frame: Any, steps: list[str]) -> Any:
    """Return one frame through a chain of filters."""
    graph = av.filter.Graph()
    head = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
    )
    for step in steps:
        name, _, args = step.partition("=")
        node = graph.add(name, args)
        head.link_to(node)
        head = node
    head.link_to(graph.add("buffersink"))
    graph.configure()
    graph.push(frame)
    graph.push(None)
    return graph.pull()
