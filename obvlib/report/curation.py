"""The report of a curation run: its funnel, what was left out and why, cost, and what changed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from obvlib.core.jsonl import read_object
from obvlib.report.tables import to_markdown

ENDS = ("done", "dropped", "refused", "failed")
REPORT_NAMES = ("at", "hours", "stages", "num_clips", "num_questions", "near_identical", "changes")


def load_curation(folder: str | os.PathLike) -> dict[str, Any]:
    """Return the report that `obv curate` wrote; ValueError where there is none."""
    path = Path(folder, "report.json")
    if not path.is_file():
        raise ValueError(f"{folder} holds no report.json: run `obv curate` to its end first")
    return read_object(path, *REPORT_NAMES)


def funnel_rows(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a row for each stage: how many items came, how each ended, and the minutes of work an
    hour of video took.
    """
    hours = report["hours"] or float("nan")
    rows = []
    for stage in report["stages"]:
        row = {name: stage[name] for name in ("stage", "items", *ENDS)}
        row["min an hour"] = round(stage["seconds"] / 60 / hours, 1)
        if "usd" in stage:
            row |= {"tokens": stage["num_tokens"], "USD": round(stage["usd"], 4)}
        rows.append(row)
    return rows


def reason_rows(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Return how often each stage left an item out for each reason."""
    return [
        {"stage": stage["stage"], "left out": reason, "items": count}
        for stage in report["stages"]
        for reason, count in stage["reasons"].items()
    ]


def render_curation(report: dict[str, Any]) -> str:
    """Return the report as Markdown."""
    parts = [
        f"{report['num_clips']} clips with {report['num_questions']} questions from"
        f" {report['hours']:.3g} h of video, {report['at']}",
        to_markdown(funnel_rows(report)),
    ]
    if reasons := reason_rows(report):
        parts.append(to_markdown(reasons))
    if problems := report.get("label_problems"):
        parts.append("Labels that could not be read:\n" + "\n".join(f"- {p}" for p in problems))
    if report["changes"]:
        counts = ", ".join(f"{len(names)} {name}" for name, names in report["changes"].items())
        parts.append(f"Against the run before: {counts}.")
        named = [
            f"- {name}: {', '.join(ids)}"
            for name, ids in report["changes"].items()
            if ids and name != "kept"
        ]
        parts += ["\n".join(named)] if named else []
    if pairs := report["near_identical"]:
        across = sum(pair["across_splits"] for pair in pairs)
        parts.append(f"{len(pairs)} pairs of clips are nearly the same, {across} across splits.")
    return "\n\n".join(parts)
