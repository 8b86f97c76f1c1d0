"""A rater's labels for other tools: JSON lines, Label Studio, FiftyOne."""

from __future__ import annotations

import json
import mimetypes
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from obvlib.core import data_root
from obvlib.core.files import write_text
from obvlib.core.labels import LabelFile

FORMATS = ("jsonl", "label_studio", "fiftyone")
_FIFTYONE_TEXT = "fiftyone.core.fields.StringField"
_FIFTYONE_TIMES = "fiftyone.core.fields.ListField(fiftyone.core.fields.FloatField)"
_FIFTYONE_CHOICE = "fiftyone.core.fields.EmbeddedDocumentField(fiftyone.core.labels.Classification)"
CHOICES = ("verdict", "flag", "medical", "decision")  # fields of few values; others are texts


def export(
    file: LabelFile,
    format_name: str,
    places: Mapping[str, str] | None = None,
    path: str | os.PathLike | None = None,
) -> Path:
    """Write the labels that hold, by default to `exports/` under the data root; return the file.

    "jsonl": one line an item, its fields as an object. "label_studio": tasks with annotations, for
    its import dialogue; the labelling configuration that they need lies beside the file, as XML.
    "fiftyone": what `fiftyone.Dataset.from_json` reads, verdict and flag as classifications.
    `places` gives each item's media file.
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
    if format_name == "label_studio":
        write_text(str(out.with_suffix(".xml")), _configuration(items))
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
    """Return the choices for the verdict and the flag, a text area for everything else.

    The rater stands among the task's data: as the annotator, a name that is no member's address
    would end the import.
    """
    tasks = []
    for item_id, fields in items.items():
        result = [_result(name, value) for name, value in fields.items()]
        data = {"item_id": item_id, "video": places.get(item_id, ""), "rater": rater}
        tasks.append({"data": data, "annotations": [{"result": result}]})
    return json.dumps(tasks, indent=1) + "\n"


def _result(name: str, value: Any) -> dict[str, Any]:
    text = value if isinstance(value, str) else json.dumps(value)
    is_choice = name in CHOICES
    return {
        "from_name": name,
        "to_name": "video",
        "type": "choices" if is_choice else "textarea",
        "value": {"choices": [text]} if is_choice else {"text": [text]},
    }


def _configuration(items: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a Label Studio configuration with a control for every field that was labelled."""
    values: dict[str, dict[str, None]] = {}
    for fields in items.values():
        for name, value in fields.items():
            text = value if isinstance(value, str) else json.dumps(value)
            values.setdefault(name, {})[text] = None
    view = ElementTree.Element("View")
    ElementTree.SubElement(view, "Video", name="video", value="$video")
    for name, known in sorted(values.items()):
        kind = "Choices" if name in CHOICES else "TextArea"
        control = ElementTree.SubElement(view, kind, name=name, toName="video")
        for text in known if name in CHOICES else ():
            ElementTree.SubElement(control, "Choice", value=text)
    ElementTree.indent(view)
    return ElementTree.tostring(view, encoding="unicode") + "\n"


def _as_fiftyone(rater: str, items: Mapping[str, dict[str, Any]], places: Mapping[str, str]) -> str:
    """Turn marked frames into one list of times: a field's name there has no space and no dot. The
    fields and the kind of media are declared, since what is not declared is refused.
    """
    samples = []
    schema = {"item_id": _FIFTYONE_TEXT, "marked_s": _FIFTYONE_TIMES}
    for item_id, fields in items.items():
        plain = {name: value for name, value in fields.items() if not name.startswith("frame ")}
        marks = [float(name.removeprefix("frame ")) for name in fields if name not in plain]
        sample: dict[str, Any] = {
            "filepath": places.get(item_id) or f"{item_id}.mp4",
            "tags": [rater],
            "item_id": item_id,
            "marked_s": sorted(marks),
        }
        for name, value in plain.items():
            text = value if isinstance(value, str) else json.dumps(value)
            is_choice = name in CHOICES
            sample[name] = {"_cls": "Classification", "label": text} if is_choice else text
            schema[name] = _FIFTYONE_CHOICE if is_choice else _FIFTYONE_TEXT
        samples.append(sample)
    kinds = {(mimetypes.guess_type(sample["filepath"])[0] or "")[:5] for sample in samples}
    dataset = {
        "name": f"labels-of-{rater}",
        "media_type": "image" if kinds == {"image"} else "video",
        "sample_fields": schema,
        "samples": samples,
    }
    return json.dumps(dataset, indent=1) + "\n"
