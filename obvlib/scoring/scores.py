"""From answers to scores that can be believed: verdicts, accuracy with its interval, the majority
answer, before against after.

Whatever cannot be read counts as wrong, and its rule says why, so that a score never rises by
leaving hard responses out. Intervals count source videos rather than questions
(`obvlib.scoring.intervals`). The reading of answers is in `choices`, `yes_no` and `open_answers`.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from obvlib.core import Example, QAPair, Verdict
from obvlib.scoring.intervals import clustered_wilson, design_effect, t_quantile
from obvlib.scoring.open_answers import Judged as Judged
from obvlib.scoring.words import Parsed as Parsed
from obvlib.scoring.words import words


@dataclass(frozen=True, kw_only=True)
class Score:
    """Share of right answers (0 to 1) of `num` questions on `num_clusters` source videos, with its
    95 % interval.
    """

    mean: float
    low: float
    high: float
    num: int
    num_clusters: int
    method: str = "clustered Wilson"


@dataclass(frozen=True, kw_only=True)
class Majority:
    """The best that a constant answer does on a family's questions. `kind`: that answer's "text",
    or "chance" where that is better.
    """

    family: str
    answer: str
    kind: str
    accuracy: float
    num: int


@dataclass(frozen=True, kw_only=True)
class Paired:
    """The same questions before and after: the difference of accuracies with its 95 % interval and
    p-values (two-sided, of no change).

    `p_value` flips the sign of each source video's change (exact); `mcnemar_p` treats questions as
    independent and is there for reference.
    """

    before: float
    after: float
    difference: float
    low: float
    high: float
    p_value: float
    mcnemar_p: float
    num_better: int
    num_worse: int
    num: int
    num_clusters: int


def accuracy(verdicts: Iterable[Verdict]) -> Score:
    """Return the share of right verdicts with a 95 % interval that counts source videos
    (`video_id`),
    never of zero width. ValueError without verdicts.
    """
    rows = list(_distinct(verdicts, lambda row: row.example_id).values())
    if not rows:
        raise ValueError(
            "no verdicts to score: check that the benchmark's examples were read and predicted"
        )
    sources = _grouped(rows, lambda row: row.video_id)
    rights = [sum(row.correct for row in source) for source in sources.values()]
    low, high = clustered_wilson(rights, [len(source) for source in sources.values()])
    return Score(
        mean=sum(rights) / len(rows), low=low, high=high, num=len(rows), num_clusters=len(sources)
    )


def by_family(rows: Iterable[Any]) -> dict[str, list[Any]]:
    """Return verdicts (or examples) by their family, families in alphabetical order."""
    return dict(sorted(_grouped(rows, lambda row: row.family).items()))


def majority(
    examples: Iterable[Example], training: Iterable[Example | QAPair] = ()
) -> dict[str, Majority]:
    """Return for each family the best constant answer's accuracy: the mark that a model must beat
    to have learned anything.

    Constant by text, since options are shuffled: the family's most frequent answer in `training`
    where it has any, else the best on the examples themselves. At least chance: for yes/no
    questions 1/2, for closed ones 1 / number of options, which a constant letter has when options
    are shuffled.
    """
    trained = by_family(training)
    return {
        family: _majority(family, rows, trained.get(family, []))
        for family, rows in by_family(examples).items()
    }


def learned(score: Score, constant: Majority | float) -> bool:
    """Return whether the score is above the majority answer with its whole 95 % interval; otherwise
    the family is "not learned".
    """
    mark = constant.accuracy if isinstance(constant, Majority) else constant
    return score.low > mark


def learnable(verdicts: Iterable[Verdict], constant: Majority | float) -> bool:
    """Return whether these questions could show that something was learned: with few videos even
    all answers right may be luck.
    """
    return learned(accuracy(replace(row, correct=True) for row in verdicts), constant)


def paired(before: Iterable[Verdict], after: Iterable[Verdict]) -> Paired:
    """Compare two sets of verdicts on the same examples. ValueError where the examples differ."""
    first = _distinct(before, lambda row: row.example_id)
    second = _distinct(after, lambda row: row.example_id)
    if not first or first.keys() != second.keys():
        odd = sorted(first.keys() ^ second.keys())[:1]
        raise ValueError(
            f"before and after must hold the same examples, at least one; {len(first)} and"
            f" {len(second)}, differing in {odd}"
        )
    changes = [
        (row.video_id, int(second[name].correct) - int(row.correct)) for name, row in first.items()
    ]
    sources = {
        name: [change for _, change in rows]
        for name, rows in _grouped(changes, lambda row: row[0]).items()
    }
    num, net = len(changes), sum(change for _, change in changes)
    low, high = _difference_interval(list(sources.values()))
    return Paired(
        before=sum(row.correct for row in first.values()) / num,
        after=sum(row.correct for row in second.values()) / num,
        difference=net / num,
        low=min(low, net / num),
        high=max(high, net / num),
        p_value=sign_flip_p([sum(source) for source in sources.values()]),
        mcnemar_p=sign_flip_p([change for _, change in changes]),
        num_better=sum(change > 0 for _, change in changes),
        num_worse=sum(change < 0 for _, change in changes),
        num=num,
        num_clusters=len(sources),
    )


def sign_flip_p(changes: Sequence[int]) -> float:
    """Return the exact two-sided p-value of the sum of `changes` (one a cluster) where each sign is
    as likely as its opposite.

    The distribution of the sum is built change by change, so no draw is needed. With changes of ±1
    this is McNemar's exact test.
    """
    sums = {0: 1.0}
    for change in changes:
        if change:
            flipped: dict[int, float] = defaultdict(float)
            for total, chance in sums.items():
                flipped[total + change] += chance / 2
                flipped[total - change] += chance / 2
            sums = flipped
    return min(
        1.0, math.fsum(chance for total, chance in sums.items() if abs(total) >= abs(sum(changes)))
    )


def _difference_interval(sources: list[list[int]]) -> tuple[float, float]:
    """Return the adjusted Wald interval for a paired difference (Bonett and Price 2012) with the
    effective number of questions and Student's t.
    """
    if len(sources) < 2:
        return -1.0, 1.0
    changes = [change for source in sources for change in source]
    num, mean = len(changes), sum(changes) / len(changes)
    variance = sum(change * change for change in changes) / num - mean * mean
    residuals = [sum(source) - mean * len(source) for source in sources]
    scale = 1 / design_effect(residuals, [len(source) for source in sources], variance)
    adjusted = num * scale + 2
    better = (changes.count(1) * scale + 1) / adjusted
    worse = (changes.count(-1) * scale + 1) / adjusted
    half = t_quantile(len(sources) - 1) * math.sqrt(
        (better + worse - (better - worse) ** 2) / adjusted
    )
    return max(-1.0, better - worse - half), min(1.0, better - worse + half)


def _majority(family: str, examples: list[Example], training: list[Example | QAPair]) -> Majority:
    num = len(examples)
    texts = Counter(_text(example) for example in examples)
    seen = Counter(_text(example) for example in training) or texts
    text = max(seen, key=lambda answer: (seen[answer], texts[answer], answer))
    best = [(texts[text] / num, "text", text)]
    num_options = [len(example.options or {}) for example in examples]
    if all(num_options):
        best.append((sum(1 / shown for shown in num_options) / num, "chance", "any option"))
    elif set(texts) <= {"yes", "no"}:
        best.append((0.5, "chance", "yes or no"))
    share, kind, answer = max(best, key=lambda row: row[0])  # the first of equals: text
    return Majority(family=family, answer=answer, kind=kind, accuracy=share, num=num)


def _text(row: Example | QAPair) -> str:
    return " ".join(words(row.answer_text)) or row.answer_text


def _grouped(rows: Iterable[Any], key: Callable[[Any], str]) -> Mapping[str, list[Any]]:
    groups: dict[str, list[Any]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return groups


def _distinct(rows: Iterable[Any], key: Callable[[Any], str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for row in rows:
        if key(row) in found:
            raise ValueError(
                f"{type(row).__name__} of example {key(row)!r} is given twice: keep one, or"
                " accuracy counts it double"
            )
        found[key(row)] = row
    return found
