"""The paper's results table with ours beside it, one row a benchmark, from the folders of runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from obvlib.evaluation.runs import Evaluation, load_evaluation
from obvlib.report.benchmark import score_rows
from obvlib.report.paper import paper_scores
from obvlib.report.tables import percent

NOT_RUN = "not run"


def kept_runs(folder: Path) -> dict[Path, Evaluation]:
    """Return the evaluations below a run's folder that answered anything, by their own folder."""
    found = {
        path.parent: load_evaluation(path.parent) for path in sorted(folder.glob("*/about.json"))
    }
    return {path: run for path, run in found.items() if run.verdicts}


def paper_table(runs: Mapping[Path, Evaluation]) -> list[dict[str, str]]:
    """Return one row for each benchmark of the paper, and for each other that was run.

    `ours` is the score on what was answered or failed, with its 95 % interval; `blind` the same
    questions without a frame; `n` how many of how many were scored; `all missing wrong` the score
    if every question without an answer counted as wrong. Numbers in %.
    """
    published = {row["benchmark"]: row for row in paper_scores()}
    ours = [(run.about["benchmark"], _ours(path, run)) for path, run in runs.items()]
    rows = []
    for name in [*published, *dict.fromkeys(n for n, _ in ours if n not in published)]:
        paper = published.get(name)
        start = {
            "benchmark": name,
            "2B": f"{paper['base_2b']} → {paper['biomed_2b']}" if paper else "",
            "7B": f"{paper['base_7b']} → {paper['biomed_7b']}" if paper else "",
        }
        here = [cells for found, cells in ours if found == name]
        rows += [start | cells for cells in here] or [start | {"ours": NOT_RUN}]
    return rows


def _ours(path: Path, run: Evaluation) -> dict[str, str]:
    total: dict[str, Any] = score_rows(run)[-1]
    origin = run.about["provenance"]
    return {
        "ours": percent((total["score"], total["low"], total["high"])),
        "blind": NOT_RUN if total["blind"] is None else f"{100 * total['blind']:.1f}",
        "n": f"{total['n']} of {total['asked']}",
        "all missing wrong": f"{100 * total['lower_bound']:.1f}",
        "profile": origin["profile"],
        "date": origin["date"][:10],
        "run": "/".join(path.parts[-3:]),
    }
