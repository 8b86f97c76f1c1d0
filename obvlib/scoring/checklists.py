"""Lists in which a response gives the options a verdict of one word each: `A: no ⏎ B: yes`."""

from __future__ import annotations

import re
from collections.abc import Mapping

from obvlib.scoring.letters import letter_of
from obvlib.scoring.words import Parsed, plain, words

# A letter at the head of a line, perhaps the option's text, a delimiter, a verdict, and no more
# than a remark after another delimiter: "A. No gradient" gives no verdict.
_LINE = re.compile(
    r"[^\w(]*\(?([^\W\d_])\b(?:[\s).:|–—-]+[^\n|]*?)??\s*[).:|,(–—-]+\s*"
    r"(?:(yes|correct|true)|no|incorrect|not correct|wrong|false)\s*(?:[,.;:|)!–—-].*)?$",
    re.IGNORECASE,
)
_VERDICTS = ("yes", "no", "correct", "incorrect", "true", "false", "wrong")


def confirmed(text: str, options: Mapping[str, str]) -> Parsed | None:
    """Return the only option that its line confirms and no line rejects, "ambiguous" for several;
    None where there is none, or an option's own text is such a verdict ("no").
    """
    if any(" ".join(words(plain(option))) in _VERDICTS for option in options.values()):
        return None
    yes: set[str] = set()
    no: set[str] = set()
    for line in text.split("\n"):
        checked = _LINE.match(line)
        letter = letter_of(checked[1], options) if checked else None
        if checked and letter:
            (yes if checked[2] else no).add(letter)
    left = sorted(yes - no)
    if not left:
        return None
    return Parsed(left[0], "checked") if len(left) == 1 else Parsed(None, "ambiguous")
