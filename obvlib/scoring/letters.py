"""Where option letters stand in a response as letters: alone, in brackets, after "option", joined.

A letter is not an article: a bare "A" counts only where a sentence could end after it. Letters
inside an option's text ("hepatitis B") are part of the text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from obvlib.scoring.words import Match, find_options, is_denied

NOUN = r"(?:options?|choices?|letters?|answers?)"
BETWEEN = " .:,;)]}\"'\n–—-"
_SENTENCE_COULD_END = re.compile(
    r"\s*(?:$|[\u4e00-\u9fff]|[.,;:!?)\]}\"'\n/&+–—→-]|\((?:not|because|since)\b)"
    r"|\s+(?:because|since|as|due|is|are|and|or|nor|but|based|given|for|not|rather|which|with|vs|seems|appears|fits|matches|best|here|must|remains|over|can|could|was|were|has|have|does|do|did|will|should|it\s+is"
    r"|has\s+to|makes\s+(?:the\s+most\s+)?sense|would\s+be|though|than|when|if)\b",
    re.IGNORECASE,
)
_JOINED = re.compile(
    rf"\s*(?:,\s*(?:and|or|nor)?|/|&|\+|\band\b|\bor\b|\bnor\b|\bvs\b\.?)\s*(?:(?:perhaps|maybe|possibly|rather|even)\s+)?(?:{NOUN}\s+)?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Group:
    """One option letter, or several joined by "or", "and", commas. `marked`: in brackets or after
    "option"; `lower`: some bare lower case.
    """

    letters: tuple[str, ...]
    start: int
    end: int
    marked: bool
    lower: bool


def letter_groups(text: str, options: Mapping[str, str], matches: list[Match]) -> list[Group]:
    """Return every place where option letters stand as letters, those joined by "or", "and", "/" or
    commas taken together.
    """
    either = re.escape("".join(options) + "".join(options).swapcase())
    token = re.compile(
        rf"(?<!\w)(?<!\w['.-])(?P<noun>{NOUN}\s+)?(?P<open>[(\[{{\"']?)(?P<letter>(?-i:[{either}]))(?P<close>[)\]}}\"']?)"
        rf"(?![\w']|-\w|/(?!(?-i:[{either}])(?!\w))\w)",
        re.IGNORECASE,
    )
    spoken_for = {
        i for match in matches if match.num_words > 1 for i in range(match.start, match.end)
    }
    groups: list[Group] = []
    for found in token.finditer(text):
        group = None if found.start("letter") in spoken_for else _group(text, options, found)
        if group and groups and joins(text[groups[-1].end : group.start]):
            last = groups.pop()
            letters = tuple(dict.fromkeys(last.letters + group.letters))
            group = Group(
                letters,
                last.start,
                group.end,
                last.marked or group.marked,
                last.lower and group.lower,
            )
        if group:
            groups.append(group)
    return groups


def _group(text: str, options: Mapping[str, str], found: re.Match) -> Group | None:
    letter = letter_of(found["letter"], options)
    if letter is None:
        return None
    closes_earlier = (
        found["close"] == ")"
        and not found["open"]
        and "(" in text[max(0, found.start() - 200) : found.start()]
    )
    bracketed = found["close"] in tuple(")]}") and not closes_earlier
    lower = found["letter"].islower()
    could_end = bool(_SENTENCE_COULD_END.match(text, found.end()))
    marked = bracketed or (found["noun"] is not None and (could_end or not lower))
    group = Group((letter,), found.start(), found.end(), marked, lower and not marked)
    return (
        group if marked or could_end or (not lower and has_own_text(text, options, group)) else None
    )


def has_own_text(text: str, options: Mapping[str, str], group: Group) -> bool:
    return own_text_end(text, options, group) > group.end


def own_text_end(text: str, options: Mapping[str, str], group: Group) -> int:
    """Return where the option's own text after its letter ends; the group's end where something
    else follows.
    """
    is_article = (
        text[group.start : group.end].strip() in ("A", "a") and text[group.end :][:1] == " "
    )
    if is_article:  # "A CT scan" with CT as option A
        return group.end
    after = text[group.end : group.end + 2 * len(options[group.letters[-1]]) + 40]
    start = group.end + len(after) - len(after.lstrip(BETWEEN))
    for match in find_options(after.lstrip(BETWEEN), {"": options[group.letters[-1]]}):
        if match.start == 0:
            return start + match.end
    return group.end


def group_is_denied(
    text: str, options: Mapping[str, str], group: Group, start: int | None = None
) -> bool:
    return is_denied(
        text, group.start if start is None else start, own_text_end(text, options, group)
    )


def joins(between: str) -> bool:
    return bool(_JOINED.fullmatch(between))


def letter_of(char: str, options: Mapping[str, str]) -> str | None:
    """Return the option that a character names, in either case, None where that is not clear."""
    same = [letter for letter in options if letter == char] or [
        letter for letter in options if letter.casefold() == char.casefold()
    ]
    return same[0] if len(same) == 1 else None
