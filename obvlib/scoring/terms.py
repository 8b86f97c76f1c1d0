"""When two words of an answer are the same word, and when one excludes the other."""

from __future__ import annotations

import functools
import re

from obvlib.scoring.lexicon import APART, SAME
from obvlib.scoring.words import spelling_key

_SMALL = ("of", "the", "a", "an", "in")
MIN_LETTERS = 7  # of words in which a misspelled letter is forgiven
_ENDINGS = re.compile(
    r"(?:ations?|ating|ated|ates?|ions?|ing|ed|ages?|ely|ures?|ically|ical|ally|ial|al|ic|e|s)$"
)
# Word pairs that differ by one or two letters and by all their meaning.
_MEANING = re.compile(
    r"^(?:hyper|hypo|macro|micro|inter|intra|ab|ad|ante|anti|endo|epi|ecto|exo|pre|post|per|peri|para"
    r"|sub|supra|infra|super|in|ex|ile|ili|uretero|ureter|urethr|perine|perone|peritone)"
)
_SUFFIX = re.compile(
    r"(?:itis|osis|oma|omy|ostomy|otomy|ectomy|oscopy|plasty|pathy|emia|uria|algia|gram|graphy"
    r"|megaly|lysis|rrhagia|rrhaphy|ium|eum)$"
)


@functools.cache
def _same() -> dict[tuple[str, ...], tuple[str, ...]]:
    """Return the phrases, as keys, and the phrase that each is turned into."""
    table: dict[tuple[str, ...], tuple[str, ...]] = {}
    for line in SAME.strip().split("\n"):
        first, *others = [_keys(form.split()) for form in line.split("|")]
        table |= {other: first for other in others}
    return table


@functools.cache
def _apart() -> dict[str, int]:
    """Return the words that exclude one another, by the number of their line."""
    lines = APART.strip().split("\n")
    return {spelling_key(word): i for i, line in enumerate(lines) for word in line.split()}


def canonical(words: list[str]) -> list[str]:
    """Return the words as keys, with the field's abbreviations and synonyms in one form."""
    keys = list(_keys(words))
    for _ in range(2):  # the form of a phrase may be part of another one
        keys = _replaced(keys)
    return keys


def _keys(words: list[str]) -> tuple[str, ...]:
    return tuple(spelling_key(word) for word in words if word not in _SMALL)


def _replaced(keys: list[str]) -> list[str]:
    table, i = _same(), 0
    found: list[str] = []
    while i < len(keys):
        for length in (4, 3, 2, 1):
            phrase = tuple(keys[i : i + length])
            if len(phrase) == length and phrase in table:
                found += table[phrase]
                i += length
                break
        else:
            found.append(keys[i])
            i += 1
    return found


def same_word(one: str, other: str) -> bool:
    """Return whether two keys are one word: equal, of one stem, or one misspelled."""
    if one == other:
        return True
    if exclude_each_other(one, other) or min(len(one), len(other)) < 5:
        return False
    return _stem(one) == _stem(other) or _is_misspelled(one, other)


def exclude_each_other(one: str, other: str) -> bool:
    """Return whether two keys stand on one line of the lexicon's `APART`."""
    lines = _apart()
    return one != other and one in lines and lines[one] == lines.get(other)


def _stem(word: str) -> str:
    stem = _ENDINGS.sub("", word)
    return stem if len(stem) >= 4 else word


def _is_misspelled(one: str, other: str) -> bool:
    """Return whether one or, of long words, two letters differ, but neither prefix nor ending that
    means something.
    """
    from rapidfuzz.distance import OSA

    if min(len(one), len(other)) < MIN_LETTERS or one[0] != other[0]:
        return False
    for part in (_MEANING, _SUFFIX):
        first, second = part.search(one), part.search(other)
        if (first and first[0]) != (second and second[0]):
            return False
    allowed = 2 if min(len(one), len(other)) >= 11 else 1
    return bool(OSA.distance(one, other) <= allowed)
