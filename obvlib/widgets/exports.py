"""A rater's labels for other tools: JSON lines, Label Studio, FiftyOne."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from obvlib.core import data_root
from obvlib.core.files import write_text
from obvlib.core.labels import LabelFile

FORMATS = ("jsonl", "label_studio", "fiftyone")


def export(
    file: LabelFile,
    format_name: str,
    places: Mapping[str, str] | None = None,
    path: str | os.PathLike | None = None,
) -> Path:
    """Write the labels that hold, by default to `exports/` under the data root; return the file.

    "jsonl": one line an item, its fields as an object. "label_studio": tasks with annotations, for
    its import dialogue. "fiftyone": the `samples.json` of its `FiftyOneDataset` layout, labels as
    tags and fields. `places` gives each item's media file.
    """
    if format_name not in FORMATS:
        raise ValueError(f"format {format_name!r}: use one of {', '.join(FORMATS)}")
    items: dict[str, dict[str, Any]] = {}
    for (item_id, field), value in file.values().items():
        items.setdefault(item_id, {})[field] = value
    places = places or {}
    text = {"jsonl": _as_lines, "label_studio": _as_label_studio, "fiftyone": _as_fiftyone}[
        format_name
    ](file.rater, items, places)
    ending = "jsonl" if format_name == "jsonl" else "json"
    out = Path(path or data_root() / "exports" / f"{file.rater}-{format_name}.{ending}")
    out.parent.mkdir(parents=True, exist_ok=True)
    write_text(str(out), text)
    return out


def _as_lines(rater: str, items: Mapping[str, dict[str, Any]], places: Mapping[str, str]) -> str:
    rows = (
        {"item_id": item_id, "rater": rater, "media": places.get(item_id, ""), "labels": fields}
        for item_id, fields in items.items()
    )
    return "".join(json.dumps(row) + "\n" for row in rows)


def _as_label_studio(
    rater: str, items: Mapping[str, dict[str, Any]], places: Mapping[str, str]
) -> str:
    """Choices for the verdict and the flag, a text area for everything else."""
    tasks = []
    for item_id, fields in items.items():
        result = [_result(name, value) for name, value in fields.items()]
        data = {"item_id": item_id, "video": places.get(item_id, "")}
        annotation = {"completed_by": {"email": rater}, "result": result}
        tasks.append({"data": data, "annotations": [annotation]})
    return json.dumps(tasks, indent=1) + "\n"


def _result(name: str, value: Any) -> dict[str, Any]:
    is_choice = name in ("verdict", "flag", "medical", "decision")
    text = value if isinstance(value, str) else json.dumps(value)
    return {
        "from_name": name,
        "to_name": "video",
        "type": "choices" if is_choice else "textarea",
        "value": {"choices": [text]} if is_choice else {"text": [text]},
    }


def _as_fiftyone(rater: str, items: Mapping[str, dict[str, Any]], places: Mapping[str, str]) -> str:
    samples = [
        {
            "filepath": places.get(item_id, ""),
            "tags": [str(fields[name]) for name in ("flag", "verdict") if name in fields],
            "item_id": item_id,
            "rater": rater,
            "labels": fields,
        }
        for item_id, fields in items.items()
    ]
    return json.dumps({"samples": samples}, indent=1) + "\n"
