"""From a model's answers to numbers that can be trusted.

In: examples and predictions. Out: verdicts that name the rule which read each answer, and scores
with intervals that count source videos.
"""

from obvlib.scoring.choices import parse_choice
from obvlib.scoring.intervals import clustered_wilson, wilson
from obvlib.scoring.open_answers import judge_open
from obvlib.scoring.scores import (
    Majority,
    Paired,
    Score,
    accuracy,
    by_family,
    learnable,
    learned,
    majority,
    paired,
)
from obvlib.scoring.verdicts import score_all, verdict
from obvlib.scoring.yes_no import parse_yes_no

__all__ = [
    "Majority",
    "Paired",
    "Score",
    "accuracy",
    "by_family",
    "clustered_wilson",
    "judge_open",
    "learnable",
    "learned",
    "majority",
    "paired",
    "parse_choice",
    "parse_yes_no",
    "score_all",
    "verdict",
    "wilson",
]
