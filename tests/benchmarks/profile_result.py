"""What a run of the gpu profile leaves: one JSON file with a row a chapter, and a short table."""

from __future__ import annotations

import argparse
import datetime
import json
import os
from pathlib import Path
from typing import Any

from obvlib import recipes
from obvlib.core import provenance
from obvlib.report.tables import to_markdown

WHAT = "Every chapter under the gpu profile: where it was executed, seconds, GPU memory"
CHANCE = (
    "weights of full size with random values: every score is chance, 25 % for a question with four"
    " options, 50 % for yes or no where both are said, 0 % for an open answer"
)


def write_result(work: Path, arguments: argparse.Namespace, *, done: bool) -> str:
    """Write what there is so far, whole or not at all; return it as a table."""
    rows: list[dict[str, Any]] = []
    for path in sorted(work.glob("lane?.json")):
        rows += json.loads(path.read_text() or "[]")
    rows.sort(key=lambda row: row["chapter"])
    result = {
        "what": WHAT,
        "device": provenance.device_name(),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": arguments.commit,
        "scale": arguments.scale,
        "complete": done,
        "versions": provenance.installed_versions(),
        "caps": recipes.book_caps("gpu"),
        "scores": CHANCE,
        "chapters": [_row(row) for row in rows],
        "details": {
            row["chapter"]: {"numbers": row.get("numbers", {}), "said": row.get("said", [])}
            for row in rows
        },
    }
    partial = arguments.out.with_suffix(".partial")
    partial.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    os.replace(partial, arguments.out)
    return to_markdown(result["chapters"])


def _row(row: dict[str, Any]) -> dict[str, Any]:
    last = row["why"].splitlines()[-1] if row["why"] else ""
    return {
        "chapter": row["chapter"],
        "executed": row["executed"],
        "seconds": row["seconds"],
        "gpu_gb": row.get("gpu_gb", 0.0),
        "why_not": last[:160],
    }
