"""What a run answered, read from its folder: predictions, how each was judged, and whatever else
was recorded about the same examples (controls, a judge's reasons).
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from obvlib import scoring
from obvlib.core import Example, Prediction, RecordError, Verdict
from obvlib.core.jsonl import read_rows
from obvlib.core.records import from_json

PREDICTIONS = "predictions.jsonl"
NOT_EXTRAS = {"examples.jsonl", "training.jsonl", "train.jsonl", PREDICTIONS}
MAX_DEPTH = 3  # folders below the one that was named


@dataclass
class Run:
    """One set of answers: predictions and verdicts by example, `extras` further recorded rows by
    example and by the name of their file, `problems` one sentence for each line not read.
    """

    name: str
    folder: Path
    predictions: dict[str, Prediction] = field(default_factory=dict)
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    extras: dict[str, dict[str, Any]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def outcome(self, example_id: str) -> str:
        """Return "right", "wrong", "unread" (by no rule), "failed", or "" where not asked."""
        verdict = self.verdicts.get(example_id)
        if verdict is None:
            return "answered" if example_id in self.predictions else ""
        if verdict.rule.startswith("failed:"):
            return "failed"
        if verdict.choice is None:
            return "unread"
        return "right" if verdict.correct else "wrong"


def find_runs(path: str | os.PathLike) -> list[Run]:
    """The runs in a folder: itself where it holds predictions, else every folder in it that does,
    "before" ahead of "after", others by name.
    """
    folder = Path(path)
    folder = folder.parent if folder.is_file() else folder
    if (folder / PREDICTIONS).is_file():
        return [_read(folder, folder.name)]
    patterns = ("/".join(["*"] * depth) + f"/{PREDICTIONS}" for depth in range(1, MAX_DEPTH + 1))
    found = {file.parent for pattern in patterns for file in folder.glob(pattern)}
    if not found:
        raise ValueError(f"{folder} holds no {PREDICTIONS}: evaluate first, or name a run's folder")
    names = {place: place.relative_to(folder).as_posix() for place in found}
    order = {"before": 0, "after": 1}
    ranked = sorted(found, key=lambda place: (order.get(names[place], 2), names[place]))
    return [_read(place, names[place]) for place in ranked]


def judge(runs: Sequence[Run], examples: Sequence[Example]) -> None:
    """Judge every answer by `obvlib.scoring`; an answer without its question stays unjudged."""
    for run in runs:
        for example in examples:
            prediction = run.predictions.get(example.example_id)
            if prediction is not None:
                run.verdicts[example.example_id] = scoring.verdict(example, prediction)


def _read(folder: Path, name: str) -> Run:
    run = Run(name=name, folder=folder)
    for row, where in _rows(folder / PREDICTIONS, run.problems):
        try:
            prediction = from_json(Prediction, row, where)
        except RecordError as error:
            run.problems.append(str(error))
            continue
        run.predictions[prediction.example_id] = prediction
    extras: dict[str, dict[str, Any]] = defaultdict(dict)
    for file in sorted(folder.glob("*.jsonl")):
        if file.name not in NOT_EXTRAS:
            for row, _ in _rows(file, run.problems):
                if isinstance(row, dict) and isinstance(row.get("example_id"), str):
                    extras[row["example_id"]][file.stem] = row
    run.extras = dict(extras)
    return run


def _rows(path: Path, problems: list[str]) -> list[tuple[Any, str]]:
    """The rows up to the first line that is not JSON: a run killed while it wrote leaves one."""
    found = []
    try:
        for where, row in read_rows(path):
            found.append((row, where))
    except RecordError as error:
        problems.append(str(error))
    return found
