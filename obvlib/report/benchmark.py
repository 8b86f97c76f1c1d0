"""What an evaluation says, as rows: open, closed and all questions apart, each with its interval,
its blind control, its coverage and what it would be if all that is missing were wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from obvlib.core import Example, Verdict
from obvlib.evaluation.controls import BLIND, CONTROLS
from obvlib.evaluation.likelihood import likelihood_verdicts
from obvlib.evaluation.runs import Evaluation
from obvlib.report.power import smallest_difference
from obvlib.report.tables import percent
from obvlib.scoring import Majority, accuracy, learned, majority, paired, score_all
from obvlib.scoring.intervals import design_effect

PARTS = ("closed", "open", "all")


def part_of(example: Example) -> str:
    """Return "closed" (options, yes/no, or called closed by its benchmark) or "open"."""
    is_closed = example.options or example.answer in ("yes", "no") or example.family == "closed"
    return "closed" if is_closed else "open"


def score_rows(run: Evaluation) -> list[dict[str, Any]]:
    """Return one row for closed, open and all questions, where there are any.

    `gain` is the score minus that of the blind control on the same questions, with its paired
    clustered interval; `mark` says which controls the score is not above. Shares are 0 to 1.
    """
    rows = []
    for part in PARTS:
        ids = {e.example_id for e in run.examples if part in (part_of(e), "all")}
        verdicts = [v for v in run.verdicts if v.example_id in ids]
        if not verdicts:
            continue
        score = accuracy(verdicts)
        row: dict[str, Any] = {
            "benchmark": run.about["benchmark"],
            "part": part,
            "n": score.num,
            "sources": score.num_clusters,
            "asked": len(ids),
            "score": score.mean,
            "low": score.low,
            "high": score.high,
            "lower_bound": sum(v.correct for v in verdicts) / len(ids),
            "by_likelihood": _by_likelihood(run, ids) if part == "closed" else None,
        }
        rows.append(row | _beside_blind(run, verdicts) | {"mark": _mark(run, verdicts, ids)})
    return rows


def control_rows(run: Evaluation) -> list[dict[str, Any]]:
    """Return one row for each control: what it takes away, its score, and how far the real score is
    above it on the same questions.
    """
    rows = []
    for name, control in run.controls.items():
        ours, theirs = _shared(run.verdicts, control.verdicts)
        if not ours:
            continue
        change = paired(theirs, ours)
        rows.append(
            {
                "control": name,
                "what": CONTROLS[name].what,
                "n": change.num,
                "score": change.after,
                "control_score": change.before,
                "above": change.difference,
                "above_low": change.low,
                "above_high": change.high,
                "p_value": change.p_value,
                "is_above": change.low > 0,
            }
        )
    return rows


def sensitivity_rows(runs: Mapping[str, Evaluation]) -> list[dict[str, Any]]:
    """Return one row for each frame policy, from `evaluation.sensitivity`: what it shows, the
    score, and its paired change against the first run.
    """
    first = next(iter(runs.values()))
    rows = []
    for name, run in runs.items():
        policy, (ours, theirs) = (
            run.about["settings"]["policy"],
            _shared(run.verdicts, first.verdicts),
        )
        change = paired(theirs, ours)
        row = {field: policy[field] for field in ("fps", "max_frames", "max_pixels")}
        score = accuracy(run.verdicts)
        points = (100 * change.difference, 100 * change.low, 100 * change.high)
        rows.append(
            {"policy": name, **row, "n": score.num, "score %": percent(score)}
            | {"change": "{:+.1f} [{:+.1f}, {:+.1f}]".format(*points) if run is not first else ""}
        )
    return rows


def smallest_shown(verdicts: Sequence[Verdict], discordant: float = 0.2) -> float:
    """Return the smallest difference that these questions on their sources could have shown (a
    share).
    """
    sources: dict[str, list[bool]] = {}
    for verdict in verdicts:
        sources.setdefault(verdict.video_id, []).append(verdict.correct)
    share = sum(v.correct for v in verdicts) / len(verdicts)
    effect = 1.0
    if len(sources) > 1:
        effect = design_effect(
            [sum(rights) - share * len(rights) for rights in sources.values()],
            [len(rights) for rights in sources.values()],
            share * (1 - share),
        )
    return smallest_difference(len(verdicts), discordant=discordant, design_effect=max(1.0, effect))


def readable_scores(rows: Sequence[dict[str, Any]]) -> list[dict[str, str]]:
    """Score rows as text in %, one column a number with its interval."""
    return [
        {
            "benchmark": row["benchmark"],
            "part": row["part"],
            "n of asked (sources)": f"{row['n']} of {row['asked']} ({row['sources']})",
            "score %": percent((row["score"], row["low"], row["high"])),
            "blind %": "not run" if row["blind"] is None else f"{100 * row['blind']:.1f}",
            "gain over blind": _signed(row),
            "all missing wrong %": f"{100 * row['lower_bound']:.1f}",
            "by likelihood %": (
                "" if row["by_likelihood"] is None else f"{100 * row['by_likelihood']:.1f}"
            ),
            "mark": row["mark"],
        }
        for row in rows
    ]


def readable_controls(rows: Sequence[dict[str, Any]]) -> list[dict[str, str]]:
    """Return the control rows as text in %."""
    return [
        {
            "control": row["control"].replace("_", " "),
            "shown": row["what"],
            "n": str(row["n"]),
            "score %": f"{100 * row['score']:.1f}",
            "control %": f"{100 * row['control_score']:.1f}",
            "above the control": (
                f"{100 * row['above']:+.1f} [{100 * row['above_low']:+.1f},"
                f" {100 * row['above_high']:+.1f}]"
            ),
            "verdict": "above" if row["is_above"] else "not above",
        }
        for row in rows
    ]


def _signed(row: dict[str, Any]) -> str:
    if row["gain"] is None:
        return "not run"
    low, high = 100 * row["gain_low"], 100 * row["gain_high"]
    return f"{100 * row['gain']:+.1f} [{low:+.1f}, {high:+.1f}]"


def _by_likelihood(run: Evaluation, ids: set[str]) -> float | None:
    """Return the share that the likeliest option gets right, what failed counted as wrong; None
    where nothing was scored so.
    """
    found = likelihood_verdicts([e for e in run.examples if e.example_id in ids], run.predictions)
    failed = sum(p.status == "failed" and p.example_id in ids for p in run.predictions)
    return sum(v.correct for v in found) / (len(found) + failed) if found else None


def _beside_blind(run: Evaluation, verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """Return the blind control's score on the same questions and the gain over it; None where not
    run.
    """
    names = ("blind", "gain", "gain_low", "gain_high", "gain_p")
    if BLIND not in run.controls:
        return dict.fromkeys(names)
    ours, theirs = _shared(verdicts, run.controls[BLIND].verdicts)
    if not ours:
        return dict.fromkeys(names)
    change = paired(theirs, ours)
    values = (change.before, change.difference, change.low, change.high, change.p_value)
    return dict(zip(names, values, strict=True))


def _mark(run: Evaluation, verdicts: Sequence[Verdict], ids: set[str]) -> str:
    """Return which of the controls that a seeing model must beat the score is not above, or, where
    there are none, which it is above.
    """
    beaten: list[str] = []
    missed: list[str] = []
    for name, control in run.controls.items():
        ours, theirs = _shared(verdicts, control.verdicts)
        if CONTROLS[name].must_beat and ours:
            to = missed if paired(theirs, ours).low <= 0 else beaten
            to.append(name.replace("_", " "))
    inside = {v.example_id for v in verdicts}
    constant = majority([e for e in run.examples if e.example_id in inside & ids])
    if not learned(accuracy(verdicts), _together(list(constant.values()))):
        missed.append("majority answer")
    else:
        beaten.append("majority answer")
    if BLIND not in run.controls and any(e.media for e in run.examples):
        return "no blind control: not a claim"
    return f"not above: {', '.join(missed)}" if missed else f"above: {', '.join(beaten)}"


def _together(marks: Sequence[Majority]) -> float:
    return sum(m.accuracy * m.num for m in marks) / sum(m.num for m in marks)


def _shared(
    ours: Sequence[Verdict], theirs: Sequence[Verdict]
) -> tuple[list[Verdict], list[Verdict]]:
    """Return the verdicts of the questions that both have, in one order; the sources are ours."""
    other = {v.example_id: v for v in theirs}
    both = [v for v in ours if v.example_id in other]
    return both, [other[v.example_id] for v in both]


def lower_bound_verdicts(run: Evaluation) -> list[Verdict]:
    """Return verdicts of every example asked, with all that has no answer as wrong."""
    return score_all(run.examples, run.predictions)
