"""The paper's numbers and claims (arXiv 2504.14391), read from `data_manifests/paper_*.csv`, and
each claimed gain computed again.

A relative gain over several benchmarks can mean two things: the gain of the mean score, or the mean
of the benchmarks' gains. They differ, because a benchmark that starts low gains much. Both are
computed from the bars of the results figure. A claim agrees with one if it lies within what the
rounding leaves open: the bars are known to 0.1, the claim to its last digit.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from obvlib.core import manifests_dir
from obvlib.scoring import Score

MODELS = ("2b", "7b")
_BAR_ROUNDING = 0.05
_NUMBERS = ("base_2b", "biomed_2b", "base_7b", "biomed_7b", "reference_model")


def paper_scores() -> list[dict[str, Any]]:
    """Return the results figure, one row a benchmark: accuracies in % before and after for both
    sizes, and the reference model's.
    """
    return [
        row | {name: float(row[name]) for name in _NUMBERS} for row in read_csv("paper_scores.csv")
    ]


def paper_dataset(quantity: str) -> dict[str, float]:
    """Return the dataset figure: "total" (counts and hours), hours by "modality" or by "region"."""
    rows = [row for row in read_csv("paper_dataset.csv") if row["quantity"] == quantity]
    if not rows:
        raise ValueError(
            f"quantity {quantity!r} is not in paper_dataset.csv: use total, modality or region"
        )
    return {row["name"]: float(row["value"]) for row in rows}


def check_claims() -> list[dict[str, Any]]:
    """Return each claimed relative gain beside what the bars give, in %. `agrees_with`: "gain of
    means", "mean of gains", "both" or "neither".
    """
    scores = paper_scores()
    return [_check(claim, scores) for claim in read_csv("paper_claims.csv")]


def gain_of_means(base: Sequence[float], tuned: Sequence[float]) -> float:
    """Return the relative gain of the mean score, in %."""
    return 100 * (sum(tuned) / sum(base) - 1)


def mean_of_gains(base: Sequence[float], tuned: Sequence[float]) -> float:
    """Return the mean of the benchmarks' relative gains, in %."""
    return sum(100 * (after / before - 1) for before, after in zip(base, tuned, strict=True)) / len(
        base
    )


def beside_paper(scores: Mapping[str, Score], model: str = "2b") -> list[dict[str, Any]]:
    """Return our scores beside the paper's for the fine-tuned model of that size, in %.
    `paper_inside` says whether our interval holds theirs.
    """
    if model not in MODELS:
        raise ValueError(
            f"model {model!r} is not in the paper's table: use one of {', '.join(MODELS)}"
        )
    rows = []
    for paper in paper_scores():
        ours = scores.get(paper["benchmark"])
        row = {
            "benchmark": paper["benchmark"],
            "paper_before": paper[f"base_{model}"],
            "paper_after": paper[f"biomed_{model}"],
        }
        if ours is not None:
            inside = 100 * ours.low <= paper[f"biomed_{model}"] <= 100 * ours.high
            row |= {
                "ours": 100 * ours.mean,
                "low": 100 * ours.low,
                "high": 100 * ours.high,
                "paper_inside": inside,
            }
        rows.append(row)
    return rows


def read_csv(name: str) -> list[dict[str, str]]:
    """Return rows of one of the paper's tables; each names its source."""
    with open(manifests_dir() / name, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows or any(not row.get("source") or None in row.values() for row in rows):
        raise ValueError(f"{name}: every row needs all its columns and a source")
    return rows


def _check(claim: dict[str, str], scores: list[dict[str, Any]]) -> dict[str, Any]:
    rows = [row for row in scores if claim["scope"] in (row["kind"], row["benchmark"])]
    if not rows or claim["model"] not in MODELS:
        raise ValueError(
            f"paper_claims.csv: scope {claim['scope']!r} or model {claim['model']!r} is not in"
            " paper_scores.csv"
        )
    base = [row[f"base_{claim['model']}"] for row in rows]
    tuned = [row[f"biomed_{claim['model']}"] for row in rows]
    claimed = float(claim["gain_percent"])
    digits = len(claim["gain_percent"].partition(".")[2])
    fits = {
        name: _within_rounding(gain, base, tuned, claimed, 0.5 * 10**-digits)
        for name, gain in (("gain of means", gain_of_means), ("mean of gains", mean_of_gains))
    }
    agreeing = [name for name, fit in fits.items() if fit]
    return {
        "claim": claim["claim"],
        "claimed": claimed,
        "gain_of_means": gain_of_means(base, tuned),
        "mean_of_gains": mean_of_gains(base, tuned),
        "agrees_with": "both" if len(agreeing) == 2 else agreeing[0] if agreeing else "neither",
        "source": claim["source"],
    }


def _within_rounding(
    gain: Callable[[Sequence[float], Sequence[float]], float],
    base: list[float],
    tuned: list[float],
    claimed: float,
    slack: float,
) -> bool:
    least = gain([x + _BAR_ROUNDING for x in base], [x - _BAR_ROUNDING for x in tuned])
    most = gain([x - _BAR_ROUNDING for x in base], [x + _BAR_ROUNDING for x in tuned])
    return least - slack <= claimed <= most + slack
