"""Words without loops, and which of them are said over which segment: each word once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from obvlib.core import Word


def assign_words(
    words: Sequence[Word], segments: Sequence[Sequence[float]]
) -> list[tuple[Word, ...]]:
    """Return, for each segment (start_s, end_s), the words whose middle lies in it, end excluded.

    Segments must be in order and must not overlap, so that no word is given twice: ValueError names
    the first that does.
    """
    bounds = np.array([tuple(segment)[:2] for segment in segments], np.float64).reshape(-1, 2)
    overlapping = np.flatnonzero(bounds[1:, 0] < bounds[:-1, 1])
    if len(overlapping):
        first = int(overlapping[0])
        raise ValueError(
            f"segments[{first + 1}] begins at {bounds[first + 1, 0]:g} s, before segments[{first}]"
            f" ends at {bounds[first, 1]:g} s: sort them, and join those that overlap"
        )
    found: list[list[Word]] = [[] for _ in segments]
    middles = np.array([(word.start_s + word.end_s) / 2 for word in words])
    places = np.searchsorted(bounds[:, 0], middles, side="right") - 1
    for word, middle, place in zip(words, middles, places, strict=True):
        if place >= 0 and middle < bounds[place, 1]:
            found[place].append(word)
    return [tuple(said) for said in found]


def without_repeats(words: Sequence[Word], max_repeats: int) -> list[Word]:
    """Return the words with every phrase of up to three words that is said more than `max_repeats`
    times in a row kept once.
    """
    kept = list(words)
    for size in (1, 2, 3):
        kept = _without_loops(kept, size, max_repeats)
    return kept


def _without_loops(words: list[Word], size: int, max_repeats: int) -> list[Word]:
    plain = [word.text.strip(".,!?;: ").lower() for word in words]
    kept, index = [], 0
    while index < len(words):
        phrase, times = plain[index : index + size], 1
        while plain[index + times * size : index + (times + 1) * size] == phrase:
            times += 1
        if times > max_repeats:
            kept += words[index : index + size]
            index += times * size
        else:
            kept.append(words[index])
            index += 1
    return kept
