"""The smallest difference that a benchmark could have shown.

Two models answer the same questions. Of n questions a share d is answered rightly by one of them
alone; their difference in accuracy then has the standard error √(d / n), questions about one source
counted together. A test at level 0.05 finds a true difference of (1.96 + 0.84) standard errors in
four of five repetitions (McNemar's test; Connor 1987). What is smaller is more likely missed.
"""

from __future__ import annotations

import math
from statistics import NormalDist

LEVEL, POWER = 0.05, 0.8


def smallest_difference(num: int, *, discordant: float = 0.2, design_effect: float = 1.0) -> float:
    """Return the least true difference of two accuracies that `num` shared questions show in 80 %
    of repetitions, as a share (0 to 1).

    `discordant`: share of questions that one model alone answers rightly. `design_effect`: how many
    times larger the variance is because questions share sources (1: they do not). ValueError where
    a share is not between 0 and 1.
    """
    if num < 1 or not 0 < discordant <= 1 or design_effect < 1:
        raise ValueError(
            f"num {num}, discordant {discordant}, design_effect {design_effect}: need at least one"
            " question, a share above 0 and at most 1, an effect of at least 1"
        )
    normal = NormalDist()
    quantiles = normal.inv_cdf(1 - LEVEL / 2) + normal.inv_cdf(POWER)
    error = math.sqrt(discordant * design_effect / num)
    least = quantiles * error
    # the difference cannot exceed the share that differs; its own square lowers the variance
    for _ in range(50):
        inner = max(0.0, discordant - least * least)
        second = normal.inv_cdf(POWER) * math.sqrt(inner * design_effect / num)
        least = normal.inv_cdf(1 - LEVEL / 2) * error + second
    return min(least, discordant)
