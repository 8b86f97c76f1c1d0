"""What a curation run did: its funnel, its drops by reason, time, cost, and what changed since the
run before.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from obvlib.core import Clip
from obvlib.core.files import write_text
from obvlib.core.jsonl import scan_rows
from obvlib.core.record_rows import digest
from obvlib.curation.duplicates import Pair
from obvlib.curation.measures import overlap
from obvlib.engine import Ledger, Stage, StageRun, without_names

if TYPE_CHECKING:
    from obvlib.curation.language_model import LanguageModel

RUNS, REPORT = "runs.jsonl", "report.json"


@dataclass(frozen=True, kw_only=True)
class Step:
    """A stage, the records that went into it, and what came of them."""

    stage: Stage
    records: list[Any]
    run: StageRun


def note_run(
    folder: str | os.PathLike,
    ledger: Ledger,
    steps: Sequence[Step],
    clips: Sequence[Clip],
    pairs: Sequence[Pair],
    model: LanguageModel | None,
    label_problems: Sequence[str] = (),
) -> dict[str, Any]:
    """Write `report.json` of this run, add it to `runs.jsonl`, and return it.

    A run that made the same as the last one, with the same settings, is not added again.
    """
    path = Path(folder, RUNS)
    settings = {step.stage.name: step.run.params for step in steps}
    made = {clip.clip_id: digest(clip) for clip in clips}
    runs = _earlier_runs(path)
    if not runs or (runs[-1]["settings"], runs[-1]["clips"]) != (settings, made):
        at = datetime.now(UTC).isoformat(timespec="seconds")
        runs.append({"at": at, "settings": settings, "clips": made})
    report = {
        "at": runs[-1]["at"],
        "hours": sum(_length_s(r) for r in steps[0].run.kept) / 3600,
        "stages": [_stage_row(step, ledger, model) for step in steps],
        "num_clips": len(clips),
        "num_questions": sum(len(clip.qa_pairs) for clip in clips),
        "label_problems": list(label_problems),
        "near_identical": [pair._asdict() for pair in pairs],
        "changes": changes(runs[-2]["clips"], made) if len(runs) > 1 else {},
    }
    write_text(str(path), "".join(json.dumps(run) + "\n" for run in runs))
    write_text(str(Path(folder, REPORT)), json.dumps(report, indent=1) + "\n")
    return report


def _earlier_runs(path: Path) -> list[dict[str, Any]]:
    """Return the runs before this one; a line that is damaged is left out."""
    rows = [row for _, row, _ in scan_rows(path)] if path.is_file() else []
    kept = [r for r in rows if isinstance(r, dict) and {"at", "settings", "clips"} <= r.keys()]
    return [row for row in kept if isinstance(row["clips"], dict)]


def changes(before: dict[str, str], after: dict[str, str]) -> dict[str, list[str]]:
    """Return which clips (id → digest) were kept, reworded, moved, lost and are new.

    A clip has moved where another one of its video overlaps it by more than half of both.
    """
    gone, new = set(before) - set(after), set(after) - set(before)
    moved: dict[str, str] = {}
    for old in sorted(gone):
        near = [n for n in sorted(new - set(moved.values())) if _same_place(old, n)]
        if near:
            moved[old] = near[0]
    both = sorted(set(before) & set(after))
    return {
        "kept": [name for name in both if before[name] == after[name]],
        "reworded": [name for name in both if before[name] != after[name]],
        "moved": [f"{old} → {name}" for old, name in moved.items()],
        "lost": sorted(gone - set(moved)),
        "new": sorted(new - set(moved.values())),
    }


def _stage_row(step: Step, ledger: Ledger, model: LanguageModel | None) -> dict[str, Any]:
    names = {step.stage.key(record) for record in step.records}
    rows = [r for r in ledger.rows(step.stage.name, step.run.params) if r["item_id"] in names]
    ends: dict[str, int] = {}
    reasons: dict[str, int] = {}
    first: dict[str, str] = {}  # of the reasons that differ only in names and numbers
    for row in rows:
        ends[row["status"]] = ends.get(row["status"], 0) + 1
        if row["status"] != "done":
            text = f"{row['status']}: {row['reason']}"
            shown = first.setdefault(without_names(text, row["item_id"]), text)
            reasons[shown] = reasons.get(shown, 0) + 1
    made: dict[str, Any] = {
        "stage": step.stage.name,
        "items": len(names),
        **{status: ends.get(status, 0) for status in ("done", "dropped", "refused", "failed")},
        "seconds": round(sum(row["seconds"] for row in rows), 2),
        "reasons": dict(sorted(reasons.items(), key=lambda item: -item[1])),
    }
    if model and model.budget and (name := getattr(step.stage, "prompt", "")):
        from obvlib.llm import Budget

        made |= Budget(path=model.budget, run=name).spent()._asdict()
    return made


def _length_s(scored: Any) -> float:
    return float(scored.duration_s)


def _same_place(one: str, other: str) -> bool:
    (video, *times), (other_video, *others) = one.rsplit("_", 2), other.rsplit("_", 2)
    return video == other_video and overlap(list(map(int, times)), list(map(int, others))) > 0.5
