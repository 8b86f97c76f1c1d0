"""How far two or more raters, or a judge and labels, agree beyond chance.

Cohen's kappa is for two raters, Krippendorff's alpha for any number, with gaps. Intervals are
percentiles of a seeded bootstrap over items. A few percent of disagreement on lopsided labels
gives a low kappa, so the raw share of agreement and the shares of wrong answers called right and
right answers called wrong stand beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

NUM_DRAWS = 2000
Ratings = Sequence[Any]


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """A coefficient of agreement with its 95 % interval, on `num` items rated by all concerned.

    `share` is the raw share of equal ratings; nan where a coefficient is not defined, as it is not
    when every rating is the same.
    """

    coefficient: str
    value: float
    low: float
    high: float
    share: float
    num: int


def cohens_kappa(first: Ratings, second: Ratings, *, seed: int = 0) -> Agreement:
    """Return Cohen's kappa of two raters over the items that both rated (None: not rated)."""
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if a is not None and b is not None]
    codes = _codes([a for a, _ in pairs] + [b for _, b in pairs])
    table = np.array([codes[: len(pairs)], codes[len(pairs) :]], dtype=float)  # (2, items)
    return _agreement("Cohen's kappa", table, _kappa, seed)


def krippendorffs_alpha(raters: Sequence[Ratings], *, seed: int = 0) -> Agreement:
    """Return Krippendorff's alpha (nominal) of any number of raters; None marks a gap."""
    if len(raters) < 2 or len({len(ratings) for ratings in raters}) != 1:
        raise ValueError(
            f"{len(raters)} raters with {[len(r) for r in raters]} ratings: give two or more"
            " raters, each with one rating (or None) for every item"
        )
    flat = [value for ratings in raters for value in ratings]
    codes = np.array(_codes(flat), dtype=float).reshape(len(raters), -1)  # (raters, items)
    return _agreement("Krippendorff's alpha", codes, _alpha, seed)


def error_shares(said: Sequence[bool], labels: Sequence[bool]) -> tuple[float, float]:
    """Return (share of wrong answers called right, share of right answers called wrong)."""
    wrong = [one for one, label in zip(said, labels, strict=True) if not label]
    right = [one for one, label in zip(said, labels, strict=True) if label]
    return (
        sum(wrong) / len(wrong) if wrong else float("nan"),
        sum(not one for one in right) / len(right) if right else float("nan"),
    )


def _agreement(
    name: str, table: np.ndarray, measure: Callable[[np.ndarray], float], seed: int
) -> Agreement:
    num = table.shape[1]
    if num == 0:
        raise ValueError("no item was rated by both: compare raters on the same items")
    rng = np.random.default_rng(seed)
    draws = [measure(table[:, rng.integers(0, num, num)]) for _ in range(NUM_DRAWS)]
    defined = [draw for draw in draws if not np.isnan(draw)]
    low, high = np.percentile(defined, [2.5, 97.5]) if defined else (np.nan, np.nan)
    return Agreement(
        coefficient=name,
        value=float(measure(table)),
        low=float(low),
        high=float(high),
        share=_share(table),
        num=num,
    )


def _kappa(table: np.ndarray) -> float:
    observed = np.mean(table[0] == table[1])
    values = np.union1d(table[0], table[1])
    expected = sum(np.mean(table[0] == v) * np.mean(table[1] == v) for v in values)
    return float("nan") if expected == 1 else float((observed - expected) / (1 - expected))


def _alpha(table: np.ndarray) -> float:
    import krippendorff

    rated = table[:, (~np.isnan(table)).sum(axis=0) > 1]
    if rated.size == 0 or np.unique(rated[~np.isnan(rated)]).size < 2:
        return float("nan")
    return float(krippendorff.alpha(reliability_data=rated, level_of_measurement="nominal"))


def _share(table: np.ndarray) -> float:
    """Return the share of equal ratings among all pairs of raters of an item."""
    equal = total = 0
    for i in range(len(table)):
        for j in range(i + 1, len(table)):
            both = ~np.isnan(table[i]) & ~np.isnan(table[j])
            equal += int((table[i][both] == table[j][both]).sum())
            total += int(both.sum())
    return equal / total if total else float("nan")


def _codes(values: list[Any]) -> list[float]:
    """Return the numbers for any ratings, nan for None."""
    names = {value: i for i, value in enumerate(dict.fromkeys(v for v in values if v is not None))}
    return [float("nan") if value is None else float(names[value]) for value in values]
