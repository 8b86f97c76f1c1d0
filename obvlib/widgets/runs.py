"""What a run answered, read from its folder: predictions, how each was judged, its controls, and
whatever else was recorded about the same examples (a judge's reasons).
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
CONTROLS = "controls"  # the folder of a run's controls, each with predictions of its own
NOT_EXTRAS = ("examples.", "training.", "predictions.", "verdicts.")
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
    controls: list[Run] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def outcome(self, example_id: str) -> str:
        """Return "right", "wrong", "unread" (by no rule), "failed", or "" where not asked."""
        verdict = self.verdicts.get(example_id)
        if verdict is None:
            return "answered" if example_id in self.predictions else ""
        if verdict.rule.startswith("failed:") or self.is_missing(example_id):
            return "failed"
        if verdict.choice is None:
            return "unread"
        return "right" if verdict.correct else "wrong"

    def is_missing(self, example_id: str) -> bool:
        """Return whether nothing was answered: the question failed, or its medium is not there."""
        prediction = self.predictions.get(example_id)
        return prediction is not None and prediction.status != "ok"


def find_runs(path: str | os.PathLike) -> list[Run]:
    """Return the runs in a folder: itself where it holds predictions, else every folder in it that
    does, "before" ahead of "after", others by name.
    """
    folder = Path(path)
    folder = folder.parent if folder.is_file() else folder
    if (folder / PREDICTIONS).is_file():
        return [_read(folder, folder.name)]
    patterns = ("/".join(["*"] * depth) + f"/{PREDICTIONS}" for depth in range(1, MAX_DEPTH + 1))
    files = (file for pattern in patterns for file in folder.glob(pattern))
    found = {file.parent for file in files if CONTROLS not in file.relative_to(folder).parts}
    if not found:
        raise ValueError(f"{folder} holds no {PREDICTIONS}: evaluate first, or name a run's folder")
    names = {place: place.relative_to(folder).as_posix() for place in found}
    order = {"before": 0, "after": 1}
    ranked = sorted(found, key=lambda place: (order.get(names[place], 2), names[place]))
    return [_read(place, names[place]) for place in ranked]


def judge(runs: Sequence[Run], examples: Sequence[Example]) -> None:
    """Judge every answer by `obvlib.scoring`; a judge's verdict that the run keeps is left as it
    is, and an answer without its question stays unjudged.
    """
    for run in runs:
        for example in examples:
            prediction = run.predictions.get(example.example_id)
            kept = run.verdicts.get(example.example_id)
            if prediction is None or (kept is not None and kept.rule.startswith("judge")):
                continue
            run.verdicts[example.example_id] = scoring.verdict(example, prediction)
        judge(run.controls, examples)


def _read(folder: Path, name: str) -> Run:
    run = Run(name=name, folder=folder)
    predictions = _records(folder / PREDICTIONS, Prediction, run.problems)
    run.predictions = {prediction.example_id: prediction for prediction in predictions}
    if (folder / "verdicts.jsonl").is_file():
        verdicts = _records(folder / "verdicts.jsonl", Verdict, run.problems)
        run.verdicts = {verdict.example_id: verdict for verdict in verdicts}
    extras: dict[str, dict[str, Any]] = defaultdict(dict)
    for file in sorted(folder.glob("*.jsonl")):
        if not file.name.startswith(NOT_EXTRAS):
            for row, _ in _rows(file, run.problems):
                if isinstance(row, dict) and isinstance(row.get("example_id"), str):
                    extras[row["example_id"]][file.stem] = row
    run.extras = dict(extras)
    controls = sorted(folder.glob(f"{CONTROLS}/*/{PREDICTIONS}"))
    run.controls = [_read(file.parent, file.parent.name) for file in controls]
    return run


def _records(path: Path, cls: type, problems: list[str]) -> list[Any]:
    """Return the records of a file; a line that is none becomes a problem."""
    found = []
    for row, where in _rows(path, problems):
        try:
            found.append(from_json(cls, row, where))
        except RecordError as error:
            problems.append(str(error))
    return found


def _rows(path: Path, problems: list[str]) -> list[tuple[Any, str]]:
    """Return the rows up to the first line that is not JSON: a run killed while it wrote leaves
    one.
    """
    found = []
    try:
        for where, row in read_rows(path):
            found.append((row, where))
    except RecordError as error:
        problems.append(str(error))
    return found
