"""Everything that is shown about one sample, as plain JSON. Where something cannot be shown, a
notice says why, and the rest is shown.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from obvlib.core import Clip, Example, FramePolicy, QAPair, RecordError
from obvlib.core.labels import hash_item
from obvlib.core.records import to_json
from obvlib.engine import Ledger
from obvlib.media import MediaError
from obvlib.widgets.pictures import Place, find_place
from obvlib.widgets.runs import Run
from obvlib.widgets.samples import Samples
from obvlib.widgets.timelines import Timeline, recorded_timeline


@dataclass(frozen=True, kw_only=True)
class Shelf:
    """Where the things that a detail gathers are kept."""

    samples: Samples
    policy: FramePolicy
    clips_dir: Path | None = None
    videos_dir: Path | None = None
    runs: Sequence[Run] = ()
    timelines: Mapping[str, Timeline] = field(default_factory=dict)
    ledger: Path | None = None
    clips: Mapping[str, Clip] = field(default_factory=dict)  # by file name, for a run's examples


def describe(shelf: Shelf, index: int) -> tuple[dict[str, Any], Place | None]:
    """Return a sample's detail without its pictures, and where those are."""
    item_id = shelf.samples.ids[index]
    detail: dict[str, Any] = {"id": item_id, "notices": [], "questions": [], "facts": {}}
    try:
        record = shelf.samples.record(index)
    except RecordError as error:
        return detail | {"notices": [str(error)], "hash": hash_item(item_id)}, None
    clip = record if isinstance(record, Clip) else _clip_of(shelf, record)
    detail |= {"hash": hash_item(to_json(record)), "facts": _facts(record, clip)}
    detail["questions"] = _questions(shelf, record)
    detail["lineage"] = lineage(shelf.ledger, _names(record, clip), detail["notices"])
    detail["timeline"] = _timeline(shelf, clip, detail["lineage"])
    for run in shelf.runs:
        detail["notices"] += run.problems[:3]
    try:
        return detail, find_place(record, shelf.clips_dir, shelf.videos_dir)
    except MediaError as error:
        detail["notices"].append(str(error))
        return detail, None


def _clip_of(shelf: Shelf, example: Example) -> Clip | None:
    return shelf.clips.get(Path(example.media[0]).name) if example.media else None


def _facts(record: Clip | Example, clip: Clip | None) -> dict[str, Any]:
    facts: dict[str, Any] = {"source": record.video_id}
    if clip is not None:
        facts |= {
            "clip": clip.clip_id,
            "from": clip.start_s,
            "to": clip.end_s,
            "dataset": clip.dataset,
            "split": clip.split,
            "modality": clip.modality,
            "region": clip.region,
            "caption": clip.caption,
            "transcript": clip.transcript,
        }
    if isinstance(record, Example):
        facts |= {"benchmark": record.benchmark, "family": record.family}
    return {name: value for name, value in facts.items() if value not in ("", None)}


def _questions(shelf: Shelf, record: Clip | Example) -> list[dict[str, Any]]:
    """Return the questions and each run's answers; a clip's are numbered as its examples are."""
    if isinstance(record, Example):
        return [_question(shelf, record, record.example_id)]
    return [
        _question(shelf, pair, f"{record.clip_id}-{number}")
        for number, pair in enumerate(record.qa_pairs)
    ]


def _question(shelf: Shelf, asked: QAPair | Example, example_id: str) -> dict[str, Any]:
    answers = [_answer(run, example_id) for run in shelf.runs]
    return {
        "example_id": example_id,
        "question": asked.question,
        "options": asked.options or {},
        "answer": asked.answer,
        "family": asked.family,
        "answers": [answer for answer in answers if answer],
    }


def _answer(run: Run, example_id: str) -> dict[str, Any] | None:
    prediction, verdict = run.predictions.get(example_id), run.verdicts.get(example_id)
    if prediction is None and example_id not in run.extras:
        return None
    answer: dict[str, Any] = {"run": run.name, "outcome": run.outcome(example_id)}
    if prediction is not None:
        answer |= to_json(prediction) | {"response": prediction.response}
    if verdict is not None:
        answer |= {"rule": verdict.rule, "choice": verdict.choice}
    controls = [_answer(control, example_id) for control in run.controls]
    answer["controls"] = [control for control in controls if control]
    return answer | {"extras": run.extras.get(example_id, {})}


def _timeline(
    shelf: Shelf, clip: Clip | None, recorded: Sequence[Mapping[str, Any]]
) -> dict[str, Any] | None:
    """Return what is known along the clip's source: what was given, else what the ledger holds."""
    if clip is None:
        return None
    line = shelf.timelines.get(clip.video_id) or recorded_timeline(recorded)
    return line.as_json(clip.start_s, clip.end_s) if line else None


def _names(record: Clip | Example, clip: Clip | None) -> list[str]:
    """Return the ids that the ledger may know this sample by, from the source to the question."""
    names = [record.video_id]
    if clip is not None:
        names.append(clip.clip_id)
        names.append(clip.file_name)
    if isinstance(record, Example):
        names += [record.example_id, *(Path(path).name for path in record.media)]
    return list(dict.fromkeys(names))


def lineage(ledger: Path | None, names: Sequence[str], notices: list[str]) -> list[dict[str, Any]]:
    """Return what the ledger says of these ids at every stage, oldest first, with the settings
    used.
    """
    if ledger is None or not ledger.is_file():
        return []
    try:
        with Ledger(ledger) as book:
            rows = book.history(names)
            settings = {row["params"]: book.settings(row["params"]) for row in rows}
    except ValueError as error:
        notices.append(str(error))
        return []
    return [
        row
        | {
            "at": time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(row["recorded_at"])),
            "settings": settings[row["params"]],
        }
        for row in rows
    ]
