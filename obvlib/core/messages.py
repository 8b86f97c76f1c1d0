"""Messages as a person sees them: one line that fits a screen, no secret, no control character."""

from __future__ import annotations

from obvlib.core.locations import shown

MAX_LINE = 200  # characters of a reason: more does not fit on one screen line
_TAIL = 80  # the remedy stands at the end


def one_line(text: object, max_line: int = MAX_LINE) -> str:
    """Return a message on one line of at most `max_line` characters, without what may be secret.

    Characters that do not print are escaped, so that a file's name cannot steer the terminal; the
    middle of a long message is left out.
    """
    words = " ".join(shown(str(text)).split())
    line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in words)
    if len(line) <= max_line:
        return line
    return f"{line[: max_line - _TAIL - 3]} … {line[-_TAIL:]}"
