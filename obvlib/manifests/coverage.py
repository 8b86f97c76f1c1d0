"""What became of every row, in numbers that add up, and what a dataset asks for before anything is
cut.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from obvlib.core.messages import one_line

MAX_LISTED = 1000  # failures listed one by one; the ledger has all
KINDS = {"missing": "missing", "broken": "broken", "no_video": "broken", "past_end": "past_end"}


def coverage(
    name: str, jobs: list, refused: list, problems: list, result: Any, rows: list[dict[str, Any]]
) -> dict[str, Any]:
    """Return the report of a run. Every clip is in exactly one of done, skipped (done by an earlier
    run), missing, broken, past_end and other.

    `jobs` are all clips asked for, `refused` and `problems` rows that could not become one, `rows`
    the ledger's.
    """
    by_id = {row["item_id"]: row for row in rows}
    clips: Counter[str] = Counter()
    hours: dict[str, float] = defaultdict(float)
    failures: list[dict[str, str]] = []
    for job in jobs:
        status = _status(by_id.get(job.clip_id))
        clips[status] += 1
        hours[status] += job.duration_s / 3600
        if status != "done":
            failures.append(_failure(job, by_id[job.clip_id]["reason"]))
    failures += [_failure(item, item.reason) for item in refused]
    clips["skipped"], clips["done"] = clips["done"] - result.num_done, result.num_done
    outputs = [
        by_id[job.clip_id]["output"] for job in jobs if _status(by_id.get(job.clip_id)) == "done"
    ]
    return {
        "stage": name,
        "num_clips": len(jobs) + len(refused),
        "num_sources": len({job.video_id for job in jobs}),
        "clips": (
            {k: clips[k] for k in ("done", "skipped", "missing", "broken", "past_end", "other")}
            | {"conflicts": len(refused)}
        ),
        "bad_rows": len(problems),
        "hours": (
            {"asked": round(sum(hours.values()), 4)}
            | {k: round(v, 4) for k, v in sorted(hours.items())}
        ),
        "reasons": dict(Counter(_kind(f["reason"]) for f in failures).most_common()),
        "modes": dict(Counter(output["mode"] for output in outputs)),
        "notes": dict(
            Counter(
                n.partition(" from ")[0]
                for o in outputs
                for n in (o.get("note") or "").split("; ")
                if n
            )
        ),
        "size_bytes": sum(output["size_bytes"] for output in outputs),
        "seconds": round(result.seconds, 3),
        "failures": failures[:MAX_LISTED],
        "bad_row_reasons": [{"where": p.where, "reason": p.reason} for p in problems[:MAX_LISTED]],
    }


def _status(row: dict[str, Any] | None) -> str:
    if row is None:
        return "other"
    return "done" if row["status"] == "done" else KINDS.get(_kind(row["reason"]), "other")


def _kind(reason: str) -> str:
    return reason.partition(":")[0]


def _failure(item: Any, reason: str) -> dict[str, str]:
    return {"clip_id": item.clip_id, "video_id": item.video_id, "reason": reason}


def render(report: dict[str, Any]) -> str:
    """Return the report in a few lines for a terminal."""
    clips, hours = report["clips"], report["hours"]
    counts = (
        ", ".join(f"{count} {kind}" for kind, count in clips.items() if count) or "nothing to do"
    )
    lines = [
        (
            f"{report['stage']}: {report['num_clips']} clips of {report['num_sources']} sources:"
            f" {counts}"
        ),
        (
            f"hours: {hours.get('done', 0.0):.2f} of {hours['asked']:.2f};"
            f" {report['size_bytes'] / 1e6:.1f} MB; {report['seconds']:.1f} s"
        ),
    ]
    if report["bad_rows"]:
        lines.append(
            f"{report['bad_rows']} rows could not be read; the first:"
            f" {report['bad_row_reasons'][0]['reason']}"
        )
    lines += [f"  {count} {kind}" for kind, count in report["reasons"].items()]
    lines += [f"  {failure['clip_id']}: {failure['reason']}" for failure in report["failures"][:10]]
    if len(report["failures"]) > 10:
        lines.append(f"  … and {len(report['failures']) - 10} more in the coverage report")
    return "\n".join(" " * (len(line) - len(line.lstrip())) + one_line(line) for line in lines)


def num_made(report: dict[str, Any]) -> tuple[int, int]:
    """Return how many of the clips are there, and how many rows asked for one."""
    made = report["clips"]["done"] + report["clips"]["skipped"]
    return made, report["num_clips"] + report["bad_rows"]


def summarize(clips: Iterable[Any]) -> dict[str, Any]:
    """Return what a dataset asks for: clips (each once), sources, hours, how many clips a source
    has and how much of them overlaps.
    """
    spans: dict[str, set[tuple[float, float]]] = defaultdict(set)
    for clip in clips:
        spans[clip.video_id].add((clip.start_s, clip.end_s))
    asked_s = sum(end - start for source in spans.values() for start, end in source)
    distinct_s = sum(_covered_s(source) for source in spans.values())
    per_source = [len(source) for source in spans.values()]
    return {
        "num_clips": sum(per_source),
        "num_sources": len(spans),
        "hours": asked_s / 3600,
        "distinct_hours": distinct_s / 3600,
        "overlap": 1 - distinct_s / asked_s if asked_s else 0.0,
        "max_clips_per_source": max(per_source, default=0),
        "mean_clip_s": asked_s / max(1, sum(per_source)),
        "source_hours_at_least": (
            sum(max(end for _, end in source) for source in spans.values()) / 3600
        ),
    }


def _covered_s(spans: set[tuple[float, float]]) -> float:
    covered, reached = 0.0, 0.0
    for start, end in sorted(spans):
        covered += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return covered
