"""The data card beside a training set: what is in it, what was left out and why, what it was
checked against, and hashes.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import obvlib
from obvlib.core.files import write_text
from obvlib.engine.run import without_names


def write_card(
    out_dir: Path,
    rows: Sequence[Any],
    outcomes: Sequence[dict[str, Any]],
    params: dict[str, Any],
    *,
    checked: dict[str, int],
    unchecked: dict[str, str],
) -> Path:
    """Write README.md (with the header that the hub reads) and card.json; the same for the same
    rows and settings, so it holds no date.
    """
    facts = card_facts(out_dir, rows, outcomes, params, checked, unchecked)
    write_text(out_dir / "card.json", json.dumps(facts, indent=1, sort_keys=True) + "\n")
    write_text(out_dir / "README.md", render(facts))
    return out_dir / "README.md"


def card_facts(
    out_dir: Path,
    rows: Sequence[Any],
    outcomes: Sequence[dict[str, Any]],
    params: dict[str, Any],
    checked: dict[str, int],
    unchecked: dict[str, str],
) -> dict[str, Any]:
    """Return the counts and hashes as plain JSON."""
    files = sorted((out_dir / "data").glob("*.parquet"))
    left_out = Counter(
        (row["status"], without_names(row["reason"], row["item_id"]))
        for row in outcomes
        if row["status"] != "done"
    )
    return {
        "obvlib": obvlib.__version__,
        "counts": {
            "samples": len(rows),
            "source_videos": len({row.video_id for row in rows}),
            "hours": round(sum(row.duration_s for row in rows) / 3600, 4),
            "answers": sum(message.role == "assistant" for row in rows for message in row.turns),
            "tokens": sum(row.num_tokens for row in rows),
            "visual_tokens": sum(row.num_visual_tokens for row in rows),
            "label_tokens": sum(row.num_label_tokens for row in rows),
            "longest_sample": max(row.num_tokens for row in rows),
        },
        "modalities": dict(sorted(Counter(row.modality or "not given" for row in rows).items())),
        "left_out": [
            [status, reason, count] for (status, reason), count in sorted(left_out.items())
        ],
        "settings": params,
        "benchmarks_checked": dict(sorted(checked.items())),
        "benchmarks_not_checked": dict(sorted(unchecked.items())),
        "sha256": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files},
        "rows_sha256": (
            hashlib.sha256("".join(sorted(row.row_sha256 for row in rows)).encode()).hexdigest()
        ),
    }


def render(facts: dict[str, Any]) -> str:
    """Return the card as Markdown."""
    counts, settings = facts["counts"], facts["settings"]
    lines = [
        "---",
        "configs:",
        "- config_name: default",
        "  data_files: data/train-*.parquet",
        "---",
        "# Training set of clips and conversations",
        "",
        (
            "Rows name clips by file and id; they hold no video. Each was counted with the frame"
            " policy that it carries."
        ),
        "",
        "| | |",
        "|---|---|",
        *(f"| {name.replace('_', ' ')} | {value:,} |" for name, value in counts.items()),
        "",
        "## Left out",
        *(
            [f"- {count} {status}: {reason}" for status, reason, count in facts["left_out"]]
            or ["- nothing"]
        ),
        "",
        "## Modalities",
        *(f"- {name}: {count}" for name, count in facts["modalities"].items()),
        "",
        "## Contamination",
        *(
            f"- {name}: none of its {n} source videos is in here"
            for name, n in facts["benchmarks_checked"].items()
        ),
        *(
            f"- {name}: **not checked**: {reason}"
            for name, reason in facts["benchmarks_not_checked"].items()
        ),
        "",
        "## Settings",
        (
            f"Model whose tokens are counted: {settings['model']}. Longest sample allowed:"
            f" {settings['max_tokens']} tokens. Seed {settings['seed']}. obvlib {facts['obvlib']}."
        ),
        "",
        "```json",
        json.dumps(settings["policy"], indent=1),
        "```",
        "",
        "## Hashes (SHA-256)",
        *(f"- {name}: `{digest}`" for name, digest in facts["sha256"].items()),
        f"- rows that went in: `{facts['rows_sha256']}`",
    ]
    return "\n".join(lines) + "\n"
