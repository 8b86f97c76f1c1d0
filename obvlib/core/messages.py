"""Messages as a person sees them: one line that fits a screen, no secret, no control character."""

from __future__ import annotations

import unicodedata

from obvlib.core.locations import shown

MAX_LINE = 200  # columns of a reason: more does not fit on one screen line
_TAIL = 80  # the remedy stands at the end


def one_line(text: object, max_line: int = MAX_LINE) -> str:
    """Return a message on one line of at most `max_line` columns, without what may be secret.

    Characters that do not print or that turn the direction of writing are escaped, so that a file's
    name cannot steer the terminal; the middle of a long message is left out.
    """
    words = " ".join(shown(str(text)).split())
    line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in words)
    if _width(line) <= max_line:
        return line
    return f"{_head(line, max_line - _TAIL - 3)} … {_head(line[::-1], _TAIL)[::-1]}"


def _width(text: str) -> int:
    """Return how many columns of a terminal a text takes: Chinese characters take two."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _head(text: str, max_width: int) -> str:
    """Return as much of a text's beginning as fits."""
    text = text[:max_width]
    while _width(text) > max_width:
        text = text[: -max(1, (_width(text) - max_width) // 2)]
    return text
