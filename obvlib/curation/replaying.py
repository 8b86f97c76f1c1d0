"""One stage on one item again, compared with what the ledger says of it: for looking into a result,
and for seeing that a change of code changes nothing.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from obvlib.core.jsonl import damaged, read_object
from obvlib.core.record_rows import from_json, to_json
from obvlib.curation.records_of_runs import Step
from obvlib.curation.review import read_decisions
from obvlib.curation.run import LEDGER, SETTINGS, CurationSettings, run_all, stages
from obvlib.curation.segments import SegmentSettings
from obvlib.curation.speech import SpeechSettings
from obvlib.curation.stages import Video
from obvlib.engine import Drop, Ledger


def replay(folder: str | os.PathLike, name: str, item_id: str) -> list[str]:
    """Run stage `name` of a curation in `folder` on one item, and return what differs from what was
    recorded: an empty list where nothing does.
    """
    path = Path(folder, SETTINGS)
    if not path.is_file():
        raise ValueError(f"{folder} holds no {SETTINGS}: give the output directory of `obv curate`")
    videos, settings = read_settings(path)
    chain = stages(settings)
    names = [stage.name for stage in chain]
    if name not in names:
        raise ValueError(f"stage {name!r} is not part of this run: use one of {', '.join(names)}")
    with Ledger(Path(folder, LEDGER)) as ledger:
        before = run_all(videos, chain[: names.index(name) + 1], ledger, show_progress=False)
        return compare(before[name], ledger, item_id)


def read_settings(path: str | os.PathLike) -> tuple[list[Video], CurationSettings]:
    """Return the videos and settings of a curation from its settings file."""
    row = read_object(path, "videos", "segments", "speech", "model", "test_share", "seed")
    decisions = read_decisions()
    try:
        model = None
        if row["model"]:
            from obvlib.curation.language_model import LanguageModel

            model = from_json(LanguageModel, row["model"])
        return [from_json(Video, video) for video in row["videos"]], CurationSettings(
            segments=from_json(SegmentSettings, row["segments"]),
            speech=from_json(SpeechSettings, row["speech"]),
            model=model,
            blind_check=row.get("blind_check", False),
            decisions=decisions,
            test_share=row["test_share"],
            seed=row["seed"],
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        raise damaged(path) from None


def compare(step: Step, ledger: Ledger, item_id: str) -> list[str]:
    """Run a step's stage on one item, and return what differs from what the ledger says. ValueError
    where no such item came to it.
    """
    name = step.stage.name
    known = {step.stage.key(record): record for record in step.records}
    if item_id not in known:
        raise ValueError(f"item {item_id!r} did not reach {name}: see `obv report curation`")
    rows = [r for r in ledger.rows(name, step.run.params) if r["item_id"] == item_id]
    [(_, result)] = list(step.stage.run_group([known[item_id]]))
    now: dict[str, Any] = {"status": "done", "reason": ""}
    if isinstance(result, Exception):
        now = {"status": "failed", "reason": str(result)}
    elif isinstance(result, Drop):
        now = {"status": "dropped", "reason": result.reason}
    else:
        now["output"] = None if result == known[item_id] else to_json(result)
    before = rows[0] if rows else {"status": "not run"}
    if before["status"] == "refused":
        before = before | {"status": "dropped"}
    plain = json.loads(json.dumps(now))
    return [
        f"{field}: {before.get(field)!r} before, {value!r} now"
        for field, value in plain.items()
        if before.get(field) != value
    ]
