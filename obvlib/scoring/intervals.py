"""95 % intervals for a share of right answers when several questions come from one source video.

Questions about one video are not independent, so 96 questions on 8 videos say less than 96
questions on 96 videos. The interval is Wilson's, with the number of questions divided by a design
effect and Student's t for the number of sources (the way of survey statistics: Kish 1965; Korn and
Graubard 1998; Dean and Pagano 2015):

n_eff = n / deff,   deff = max(robust variance between sources / binomial variance, 1 + (m − 1) ·
0.1),   t with (sources − 1) degrees

where m is the number of questions a source (weighted by size). It stays within 0 and 1, has width
even at 0 and 100 %, where a bootstrap gives none, and one source alone gives 0 to 1: nothing was
seen of other sources. Why the least intra-source correlation of 0.1: from few sources the
correlation is estimated too low, and at 100 % not at all. `tests/test_scoring.py` measures the
coverage.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

MIN_CORRELATION = 0.1
LEVEL = 0.95


def clustered_wilson(rights: Sequence[float], sizes: Sequence[int]) -> tuple[float, float]:
    """Return the 95 % interval for the share `sum(rights) / sum(sizes)`; one entry a source: its
    right answers and its questions.
    """
    if len(sizes) < 2:
        return 0.0, 1.0
    num, share = sum(sizes), sum(rights) / sum(sizes)
    num_effective = num / design_effect(
        [right - share * size for right, size in zip(rights, sizes, strict=True)],
        sizes,
        share * (1 - share),
    )
    return wilson(share, num_effective, t_quantile(len(sizes) - 1))


def design_effect(
    residuals: Sequence[float],
    sizes: Sequence[int],
    variance: float,
    min_correlation: float = MIN_CORRELATION,
) -> float:
    """Return how many times larger the variance of a mean is than for independent questions of that
    `variance`, but at least the assumed one.

    `residuals`: for each source the sum over its questions of (value − mean).
    """
    num, num_sources = sum(sizes), len(sizes)
    least = 1 + (sum(size * size for size in sizes) / num - 1) * min_correlation
    if variance <= 0:
        return least
    return max(
        least, num_sources / (num_sources - 1) * sum(r * r for r in residuals) / (num * variance)
    )


def wilson(share: float, num: float, critical: float) -> tuple[float, float]:
    """Return Wilson's score interval for a share of `num` (not necessarily whole) independent
    answers.
    """
    spread = critical * critical / num
    centre = (share + spread / 2) / (1 + spread)
    half = math.sqrt(spread * share * (1 - share) + spread * spread / 4) / (1 + spread)
    # exact at the ends, where rounding would leave 0.9999999999999999
    low = 0.0 if share <= 0 else max(0.0, centre - half)
    return low, 1.0 if share >= 1 else min(1.0, centre + half)


def t_quantile(degrees: int, level: float = LEVEL) -> float:
    """Return the two-sided quantile of Student's t."""
    from scipy.special import stdtrit  # lighter than scipy.stats

    return float(stdtrit(degrees, (1 + level) / 2))
