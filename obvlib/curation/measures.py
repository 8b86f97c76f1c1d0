"""How good scores, segments and words are: the area under the ROC curve, F1 at an overlap, errors
of edges and of words.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def auc(truth: np.ndarray, scores: np.ndarray) -> float:
    """Return the chance that a positive is scored above a negative, ties counting half."""
    truth, scores = np.asarray(truth, bool), np.asarray(scores, float)
    if truth.all() or not truth.any():
        raise ValueError("an AUC needs positives and negatives: one of the two is missing")
    _, ranks, counts = np.unique(scores, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - (counts - 1) / 2  # mean rank of each value, from 1
    num = int(truth.sum())
    above = middle[ranks][truth].sum() - num * (num + 1) / 2
    return float(above / (num * (len(truth) - num)))


def overlap(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the intersection of two stretches (start, end) over their union."""
    shared = min(one[1], other[1]) - max(one[0], other[0])
    union = max(one[1], other[1]) - min(one[0], other[0])
    return max(0.0, shared) / union if union > 0 else 0.0


def segment_f1(
    found: Sequence[Sequence[float]], true: Sequence[Sequence[float]], min_overlap: float = 0.5
) -> float:
    """Return F1 of segments (start, end), each matched at most once, best overlaps first."""
    if not found and not true:
        return 1.0
    return 2 * len(matched(found, true, min_overlap)) / (len(found) + len(true))


def boundary_errors(
    found: Sequence[Sequence[float]], true: Sequence[Sequence[float]], min_overlap: float = 0.5
) -> list[float]:
    """Return by how much the start and the end of each matched segment are off, in their unit."""
    return [
        abs(found[i][edge] - true[j][edge])
        for i, j in matched(found, true, min_overlap)
        for edge in (0, 1)
    ]


def matched(
    found: Sequence[Sequence[float]], true: Sequence[Sequence[float]], min_overlap: float
) -> list[tuple[int, int]]:
    """Return which segment (by index) was found for which true one, best overlaps first, each
    matched at most once.
    """
    pairs = sorted(
        ((overlap(f, t), i, j) for i, f in enumerate(found) for j, t in enumerate(true)),
        reverse=True,
    )
    made: dict[int, int] = {}
    for share, i, j in pairs:
        if share >= min_overlap and i not in made and j not in made.values():
            made[i] = j
    return list(made.items())


def word_edits(said: Sequence[str], heard: Sequence[str]) -> int:
    """Return the fewest words to replace, insert or delete that make one list the other."""
    row = np.arange(len(heard) + 1)
    for i, word in enumerate(said, 1):
        last, row[0] = row[0], i
        for j, other in enumerate(heard, 1):
            change = last + (word != other)
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, change)
    return int(row[-1])


def plain_words(text: str) -> list[str]:
    """Return the words of a text as word errors are counted on: by Whisper's normaliser for
    English, which folds case, punctuation, contractions, fillers and numbers in words.
    """
    from transformers.models.whisper.english_normalizer import EnglishTextNormalizer

    return EnglishTextNormalizer({})(text).split()
