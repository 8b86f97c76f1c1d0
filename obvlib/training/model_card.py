"""The README.md beside a fine-tuned model: what it was trained on, how, and with what result."""

from __future__ import annotations

from collections import Counter
from typing import Any


def render(facts: dict[str, Any]) -> str:
    """Return the card as Markdown, from the facts that the run's note holds."""
    data, origin = facts["data"], facts["provenance"]
    lines = [
        "---",
        "library_name: transformers",
        "pipeline_tag: image-text-to-text",
        f"license: {data.get('license') or 'other'}",
        "---",
        f"# {facts['model']}, fine-tuned",
        "",
        "Opens with `AutoProcessor` and `AutoModelForImageTextToText`. Positions of video in"
        " transformers 5 differ from those it was trained with (`obvlib.inputs.positions`). Serving"
        " it with vLLM has not been tested. Not for clinical use.",
        "",
        "## Data",
        *_table(data.get("counts", {})),
        *(f"- {name}: `{digest}`" for name, digest in data.get("sha256", {}).items()),
        "",
        "### Left out before training",
        *_reasons(data.get("left_out", [])),
        "",
        "### Skipped during training",
        *_reasons(_counted(facts["skipped"])),
        "",
        "### Benchmarks",
        *(
            f"- {name}: none of its {count} source videos was trained on"
            for name, count in data.get("benchmarks_checked", {}).items()
        ),
        *(
            f"- {name}: **not checked**: {reason}"
            for name, reason in data.get("benchmarks_not_checked", {}).items()
        ),
        "",
        "## Result",
        f"{facts['num_steps']} steps over {facts['num_rows']} rows in {facts['seconds']:.0f} s;"
        f" last loss {facts['losses'][-1][1]:.4f} a token."
        if facts["losses"]
        else f"{facts['num_steps']} steps; no loss was logged.",
        "Scores are written where it is evaluated (`obv evaluate`).",
        "",
        "## Settings",
        *_table(facts["config"]),
        "",
        "## Origin",
        *_table({name: value for name, value in origin.items() if name != "versions"}),
        *_table(origin["versions"]),
    ]
    return "\n".join(lines) + "\n"


def _table(values: dict[str, Any]) -> list[str]:
    if not values:
        return ["not recorded"]
    rows = [f"| {name.replace('_', ' ')} | {value} |" for name, value in values.items()]
    return ["| | |", "|---|---|", *rows, ""]


def _reasons(rows: list[Any]) -> list[str]:
    return [f"- {count} {status}: {reason}" for status, reason, count in rows] or ["- nothing"]


def _counted(skipped: Any) -> list[tuple[str, str, int]]:
    counts = Counter(reason for _, reason in skipped)
    return [("skipped", reason, count) for reason, count in counts.most_common(20)]
