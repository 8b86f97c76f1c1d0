"""Stored results: a table kept as JSON with where it came from, and read again with a label that
says so.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from obvlib.core import Provenance, manifests_dir
from obvlib.core.files import replacing


def save_result(
    path: str | os.PathLike, *, title: str, rows: Sequence[dict[str, Any]], provenance: Provenance
) -> Path:
    """Keep a table with its provenance as JSON, whole or not at all. ValueError for numbers that
    JSON lacks (NaN, infinity).
    """
    result = {"title": title, "provenance": provenance.to_dict(), "rows": list(rows)}
    try:
        text = json.dumps(result, indent=1, ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise ValueError(
            f"result {title!r}: {error}; leave out numbers that are not finite"
        ) from None
    with replacing(path) as partial:
        partial.write_text(text + "\n", encoding="utf-8")
    return Path(path)


def load_result(path: str | os.PathLike) -> dict[str, Any]:
    """Return a kept result: title, rows (a measurement's first table, numbers and texts only), and
    a label that says it is stored, with its origin.

    Reads what `save_result` wrote, and measurements that name `what`, `device`, `date` and `commit`
    at their top.
    """
    try:
        result = json.loads(Path(path).read_text(encoding="utf-8"))
        if "provenance" in result:
            title, rows, origin = (
                result["title"],
                result["rows"],
                Provenance.from_dict(result["provenance"]).label(),
            )
        else:
            title, rows = (
                result["what"],
                next((table for table in result.values() if _is_table(table)), []),
            )
            origin = f"{result['device']}, {result['date'][:10]}, commit {result['commit'][:10]}"
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path}: not a stored result ({error}); write it with report.save_result"
        ) from None
    rows = [
        {name: value for name, value in row.items() if not isinstance(value, (dict, list))}
        for row in rows
    ]
    return {
        "title": title,
        "rows": rows,
        "provenance": result.get("provenance"),
        "label": f"stored: {origin}",
    }


def stored_results(directory: str | os.PathLike | None = None) -> list[dict[str, Any]]:
    """Return every kept result of `data_manifests/results/`, by file name."""
    return [
        load_result(path)
        for path in sorted(Path(directory or manifests_dir() / "results").glob("*.json"))
    ]


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)
