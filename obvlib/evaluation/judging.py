"""The open answers of an evaluation, by three measures that are never mixed: exact match, F1 of
words, and a judge's verdict. They are kept beside the predictions in `judged.jsonl`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

from obvlib.core import RecordError
from obvlib.evaluation.judge import Judge, Pair, judge_pairs, require_answers, verdicts
from obvlib.evaluation.runs import load_evaluation, replace_rows
from obvlib.llm import Answer
from obvlib.manifests import load_card
from obvlib.scoring import judge_open
from obvlib.scoring.open_answers import exact_match
from obvlib.scoring.words import words


@dataclass(frozen=True, kw_only=True)
class OpenRow:
    """One open answer: exact match, F1, the offline rule, and each judge's verdict (None: none)."""

    example_id: str
    exact: bool
    f1: float
    offline: bool
    offline_rule: str
    judge: int | None = None
    judge_end: str = ""  # why there is no verdict
    judge_name: str = ""  # its model and the version of its prompt
    second: int | None = None
    second_end: str = ""
    second_name: str = ""


def is_credentialed(benchmark: str) -> bool:
    """Return whether a benchmark's card says so; data without a card counts as credentialed."""
    try:
        return load_card(benchmark).access == "credentialed"
    except RecordError:
        return True


def judge_run(folder: Path, judge: Judge, second: Judge | None = None) -> list[OpenRow]:
    """Judge the open answers of an evaluation's folder, once or by two judges, and keep the rows.

    What was judged before comes from the cache, and other rows that are there are kept beside the
    new ones. A failed prediction is wrong without being asked. ValueError, and nothing is written,
    where a judge gave no verdict at all.
    """
    run = load_evaluation(folder)
    answered = {p.example_id: p for p in run.predictions}
    pairs = [
        Pair(
            pair_id=example.example_id,
            question=example.question,
            reference=example.answer,
            response=answered[example.example_id].response,
        )
        for example in run.examples
        if example.options is None
        and words(example.answer) not in (["yes"], ["no"])
        and answered.get(example.example_id) is not None
        and answered[example.example_id].status in ("ok", "failed")
    ]
    if not pairs:
        raise ValueError(f"{folder} has no open question: only those need a judge")
    credentialed = is_credentialed(run.about["benchmark"])
    firsts = _ends(pairs, judge, credentialed)
    seconds = _ends(pairs, second, credentialed) if second else [(None, "")] * len(pairs)
    other_name = second.name if second else ""
    rows = [
        replace(_row(pair, first, other), judge_name=judge.name, second_name=other_name)
        for pair, first, other in zip(pairs, firsts, seconds, strict=True)
    ]
    replace_rows(folder / "judged.jsonl", rows)
    return rows


def columns(rows: Sequence[OpenRow]) -> dict[str, float]:
    """Return the three measures (and a second judge's), each a share of all rows; rows without a
    verdict count as wrong, and their number is given too.
    """
    found = {
        "num": float(len(rows)),
        "exact": fmean(row.exact for row in rows),
        "f1": fmean(row.f1 for row in rows),
        "offline": fmean(row.offline for row in rows),
        "judge": fmean(row.judge or 0 for row in rows),
        "num_unjudged": float(sum(row.judge is None for row in rows)),
    }
    if any(row.second is not None for row in rows):
        both = [row for row in rows if row.judge is not None and row.second is not None]
        found["second"] = fmean(row.second or 0 for row in rows)
        found["judges_differ"] = (
            fmean(row.judge != row.second for row in both) if both else float("nan")
        )
    return found


def _ends(pairs: list[Pair], judge: Judge, credentialed: bool) -> list[tuple[int | None, str]]:
    asked = [pair for pair in pairs if pair.response.strip()]
    answers = judge_pairs(asked, judge, credentialed=credentialed)
    require_answers(answers, judge)
    by_id = dict(zip((pair.pair_id for pair in asked), answers, strict=True))
    return [_end(by_id.get(pair.pair_id)) for pair in pairs]


def _end(answer: Answer | None) -> tuple[int | None, str]:
    if answer is None:
        return 0, "no response"
    [verdict] = verdicts([answer])
    return verdict, "" if verdict is not None else f"{answer.status}: {answer.reason}"


def _row(pair: Pair, first: tuple[int | None, str], second: tuple[int | None, str]) -> OpenRow:
    offline = judge_open(pair.response, pair.reference)
    return OpenRow(
        example_id=pair.pair_id,
        exact=exact_match(pair.response, pair.reference),
        f1=offline.overlap,
        offline=offline.correct,
        offline_rule=offline.rule,
        judge=first[0],
        judge_end=first[1],
        second=second[0],
        second_end=second[1],
    )
