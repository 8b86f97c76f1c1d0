"""An evaluation's report: one page in Markdown, LaTeX and JSON, made of the run's folder alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from obvlib.core import Provenance
from obvlib.core.files import replacing
from obvlib.evaluation.runs import Evaluation
from obvlib.report import paper
from obvlib.report.benchmark import (
    control_rows,
    readable_controls,
    readable_scores,
    score_rows,
    smallest_shown,
)
from obvlib.report.tables import family_rows, rule_counts, to_latex, to_markdown
from obvlib.scoring import accuracy


def evaluation_report(run: Evaluation) -> dict[str, Any]:
    """Return everything that a page or a reader needs, as plain JSON types with accuracies as
    shares.

    ValueError where not one question was answered.
    """
    if not run.verdicts:
        raise ValueError("nothing was answered: see the reasons that `obv evaluate` prints")
    scores = score_rows(run)
    return {
        "about": run.about,
        "complete": run.is_complete,
        "coverage": run.states
        | {"asked": len(run.examples), "lost": len(run.examples) - len(run.predictions)},
        "others": run.others,
        "reasons": [{"reason": reason, "num": num} for reason, num in run.reasons()],
        "scores": scores,
        "controls": control_rows(run),
        "families": family_rows(run.verdicts),
        "rules": rule_counts(run.verdicts),
        "smallest_difference": smallest_shown(run.verdicts),
        "beside_paper": _beside_paper(run, scores[-1]),
    }


def render(report: dict[str, Any]) -> str:
    """Return the report as Markdown."""
    about, coverage = report["about"], report["coverage"]
    origin = Provenance.from_dict(about["provenance"]).label()
    answered = f"{coverage['ok']} of {coverage['asked']} questions answered"
    states = [
        f"{coverage[state]} {words}"
        for state, words in (
            ("failed", "failed (counted as wrong)"),
            ("away", "away now (no score until retried)"),
            ("not_obtained", "never obtained (outside the score)"),
            ("lost", "without a prediction (no score until evaluated again)"),
        )
        if coverage[state]
    ]
    if others := report["others"]:
        states.append(
            f"{len(others)} of other questions, such as {others[0]!r} (kept, not counted)"
        )
    lines = [
        f"# {about['benchmark']}: {about['model']} ({about['revision']})",
        f"{origin}. Fingerprint {about['fingerprint']}.",
        "; ".join([answered, *states]) + ("." if report["complete"] else ". **Incomplete run.**"),
        to_markdown(readable_scores(report["scores"])),
        "The smallest difference between two models that these questions could have shown, if one"
        f" in five answers differs: {100 * report['smallest_difference']:.1f} points or more.",
    ]
    if report["controls"]:
        lines += ["## Controls", to_markdown(readable_controls(report["controls"]))]
    if report["beside_paper"]:
        lines += ["## Beside the paper", to_markdown(report["beside_paper"])]
    lines += ["## Families", to_markdown(report["families"])]
    lines += ["## How answers were read", to_markdown(report["rules"])]
    if report["reasons"]:
        lines += ["## Without an answer", to_markdown(report["reasons"])]
    return "\n\n".join(lines) + "\n"


def write_report(report: dict[str, Any], folder: Path) -> list[Path]:
    """Write report.json, report.md and report.tex (the table of scores) into the run's folder."""
    texts = {
        "report.json": json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False) + "\n",
        "report.md": render(report),
        "report.tex": to_latex(readable_scores(report["scores"])),
    }
    for name, text in texts.items():
        with replacing(folder / name) as partial:
            partial.write_text(text, encoding="utf-8")
    return [folder / name for name in texts]


def compare(before: Evaluation, after: Evaluation) -> list[dict[str, str]]:
    """Return what two runs differ in, question by question: gained, lost, or read as another
    answer.

    ValueError where they have no question in common.
    """
    first = {v.example_id: v for v in before.verdicts}
    second = {v.example_id: v for v in after.verdicts}
    if not first.keys() & second.keys():
        raise ValueError("the two runs have no question in common: compare runs of one benchmark")
    rows = []
    for name in (n for n in first if n in second):
        old, new = first[name], second[name]
        if (old.correct, old.choice, old.rule) == (new.correct, new.choice, new.rule):
            continue
        kinds = {(False, True): "gained", (True, False): "lost"}
        rows.append(
            {
                "example": name,
                "change": kinds.get((old.correct, new.correct), "changed reading"),
                "before": f"{old.choice or 'unread'} ({old.rule})",
                "after": f"{new.choice or 'unread'} ({new.rule})",
                "answer": new.answer,
            }
        )
    return rows


def _beside_paper(run: Evaluation, total: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the paper's row for this benchmark with ours, where the paper has one."""
    origin: dict[str, Any] = run.about["provenance"]
    rows: Sequence[dict[str, Any]] = [
        row
        for size in paper.MODELS
        for row in paper.beside_paper({run.about["benchmark"]: accuracy(run.verdicts)}, size)
        if row["benchmark"] == run.about["benchmark"]
    ]
    return [
        {
            "model": size,
            "paper before": row["paper_before"],
            "paper after": row["paper_after"],
            "ours": f"{row['ours']:.1f} [{row['low']:.1f}, {row['high']:.1f}]",
            "blind": "not run" if total["blind"] is None else f"{100 * total['blind']:.1f}",
            "n": total["n"],
            "profile": origin["profile"],
            "date": origin["date"][:10],
        }
        for size, row in zip(paper.MODELS, rows, strict=False)
    ]
