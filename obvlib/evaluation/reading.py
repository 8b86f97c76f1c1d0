"""What the rules of `scoring` leave unread, read by a language model, and counted apart.

The model is asked which option a response chose, never whether it is right: it does not see the
reference. Readings are cached like a judge's verdicts and kept in `readings.jsonl`, beside the
verdicts and never in their place.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from obvlib.core import Example
from obvlib.evaluation.judge import Judge, read_prompt, require_answers
from obvlib.evaluation.judging import is_credentialed
from obvlib.evaluation.runs import load_evaluation, replace_rows
from obvlib.llm import Prompt, ask_all
from obvlib.scoring.words import words

READING_PROMPT = "reading_v1"
YES_NO = {"yes": "yes", "no": "no"}


class Choice(BaseModel):
    """What the reader replies: a letter (or yes, no), or "none"."""

    choice: str


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One response that no rule could read: the model's reading, None where it found no answer or
    gave none (`end` says why).
    """

    example_id: str
    choice: str | None
    correct: bool
    end: str = ""


def read_unread(folder: Path, judge: Judge) -> list[Reading]:
    """Let a model read the closed answers of a run that no rule could read, and keep its readings.

    ValueError, before anything is sent, where the data are credentialed and the endpoint is neither
    local nor allowed, and where the model gave no answer at all.
    """
    run = load_evaluation(folder)
    responses = {p.example_id: p.response for p in run.predictions if p.status == "ok"}
    unread = {v.example_id for v in run.verdicts if v.choice is None}
    waiting = [
        (example, options)
        for example in run.examples
        if example.example_id in unread
        and responses.get(example.example_id, "").strip()
        and (options := _options(example))
    ]
    credentialed = is_credentialed(run.about["benchmark"])
    prompts = [_prompt(e, options, responses[e.example_id], credentialed) for e, options in waiting]
    answers = list(ask_all(prompts, Choice, judge.endpoint, cache=judge.cache, budget=judge.budget))
    require_answers(answers, judge)
    rows = []
    for (example, options), answer in zip(waiting, answers, strict=True):
        said = answer.value.choice.strip() if answer.status == "answered" else ""
        choice = next((name for name in options if name.casefold() == said.casefold()), None)
        end = answer.reason if answer.status != "answered" else "" if choice else "no answer in it"
        right = example.answer if example.options is not None else words(example.answer)[0]
        correct = choice == right
        rows.append(Reading(example_id=example.example_id, choice=choice, correct=correct, end=end))
    replace_rows(folder / "readings.jsonl", rows)
    return rows


def reading_counts(folder: Path, rows: Sequence[Reading]) -> dict[str, float]:
    """Return how many were unread, how many a model read and rightly, and both scores: `by_rules`,
    and `with_model`, in which the model's readings count too.
    """
    verdicts = load_evaluation(folder).verdicts
    right, extra = sum(v.correct for v in verdicts), sum(row.correct for row in rows)
    return {
        "num": len(verdicts),
        "num_unread": len(rows),
        "num_read_by_model": sum(row.choice is not None for row in rows),
        "by_rules": right / len(verdicts) if verdicts else float("nan"),
        "with_model": (right + extra) / len(verdicts) if verdicts else float("nan"),
    }


def _options(example: Example) -> dict[str, str] | None:
    if example.options is not None:
        return example.options
    return YES_NO if words(example.answer) in (["yes"], ["no"]) else None


def _prompt(example: Example, options: dict[str, str], response: str, credentialed: bool) -> Prompt:
    shown = {"question": example.question, "options": options, "response": response}
    return Prompt(
        system=read_prompt(READING_PROMPT),
        user=json.dumps(shown, ensure_ascii=False, indent=1),
        credentialed=credentialed,
    )
