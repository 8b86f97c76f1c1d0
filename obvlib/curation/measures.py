"""How good scores and segments are: the area under the ROC curve, and F1 at an overlap."""

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
    pairs = sorted(
        ((overlap(f, t), i, j) for i, f in enumerate(found) for j, t in enumerate(true)),
        reverse=True,
    )
    used_found: set[int] = set()
    used_true: set[int] = set()
    for share, i, j in pairs:
        if share >= min_overlap and i not in used_found and j not in used_true:
            used_found.add(i)
            used_true.add(j)
    return 2 * len(used_true) / (len(found) + len(true))
