"""Verdicts: one prediction held against its example by the rule that fits the question."""

from __future__ import annotations

from collections.abc import Iterable

from obvlib.core import Example, Prediction, Verdict
from obvlib.scoring.choices import parse_choice
from obvlib.scoring.open_answers import judge_open
from obvlib.scoring.scores import _distinct
from obvlib.scoring.words import plain, words
from obvlib.scoring.yes_no import parse_yes_no


def verdict(example: Example, prediction: Prediction) -> Verdict:
    """Judge one prediction: closed questions by letter, yes/no by word, others by overlap; `rule`
    names how, "failed:…" why not.
    """
    if prediction.example_id != example.example_id:
        raise ValueError(
            f"prediction {prediction.example_id!r} is not of example {example.example_id!r}: match"
            " them by id"
        )
    if prediction.status != "ok":
        choice, correct, rule = None, False, f"{prediction.status}:{prediction.reason}"
    elif example.options is not None:
        parsed = parse_choice(prediction.response, example.options, example.question)
        choice, correct, rule = (
            parsed.choice,
            parsed.choice == example.answer,
            f"choice:{parsed.rule}",
        )
    elif words(example.answer) in (["yes"], ["no"]):
        parsed = parse_yes_no(prediction.response, example.question)
        choice, correct, rule = (
            parsed.choice,
            [parsed.choice] == words(example.answer),
            f"yes_no:{parsed.rule}",
        )
    else:
        judged = judge_open(prediction.response, example.answer)
        choice, correct, rule = (
            plain(prediction.response) or None,
            judged.correct,
            f"open:{judged.rule}",
        )
    return Verdict(
        example_id=example.example_id,
        benchmark=example.benchmark,
        video_id=example.video_id,
        family=example.family,
        correct=correct,
        choice=choice,
        rule=rule,
        answer=example.answer,
    )


def score_all(examples: Iterable[Example], predictions: Iterable[Prediction]) -> list[Verdict]:
    """Return one verdict an example, in their order. An example without a prediction is wrong
    ("failed:no prediction"); ids must be distinct and known.
    """
    answered = _distinct(predictions, lambda prediction: prediction.example_id)
    asked = _distinct(examples, lambda example: example.example_id)
    if unknown := sorted(answered.keys() - asked.keys()):
        raise ValueError(
            f"{len(unknown)} predictions of unknown examples, the first {unknown[0]!r}: score them"
            " with their own examples"
        )
    missing = {
        name: Prediction(example_id=name, response="", status="failed", reason="no prediction")
        for name in asked
    }
    return [verdict(example, (missing | answered)[name]) for name, example in asked.items()]
