"""What all widgets share: their JavaScript put together from small modules, requests from the page
answered one by one, and labels written at once.
"""

from __future__ import annotations

import getpass
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from obvlib.core.labels import LabelFile, label_files, read_labels, standing

STATIC = Path(__file__).parent / "static"
_IMPORT = re.compile(r'^import [^;]*? from "\./[\w.]+";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?!default)", re.MULTILINE)


def script(*names: str) -> str:
    """The modules of these names as one: in their order, the imports among them left out. No
    bundler is needed, and node can test each as it is.
    """
    parts = ((STATIC / f"{name}.mjs").read_text(encoding="utf-8") for name in names)
    return "\n".join(_EXPORT.sub("", _IMPORT.sub("", part)) for part in parts)


def style() -> str:
    """The style sheet of all widgets."""
    return (STATIC / "obv.css").read_text(encoding="utf-8")


class Widget(anywidget.AnyWidget):
    """A widget whose page asks and whose kernel answers: a request of kind "x" goes to the method
    `on_x(content)`, which returns (answer, buffers); a ValueError or OSError becomes the answer.
    """

    _css = style()
    title = traitlets.Unicode("").tag(sync=True)

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        self.on_msg(self._on_request)

    def _on_request(self, _: Any, content: dict[str, Any], buffers: Sequence[Any]) -> None:
        number = content.get("number", "")
        try:
            method = getattr(self, f"on_{content.get('kind')}", None)
            if method is None or content["kind"] == "msg":
                raise ValueError(f"request {content.get('kind')!r} is not known")
            answer = method(content)
        except (ValueError, OSError, KeyError) as error:
            self.send({"kind": "error", "number": number, "text": str(error)})
            return
        if answer is not None:
            self.reply(number, *answer)

    def reply(self, number: str, answer: dict[str, Any], buffers: Sequence[bytes] = ()) -> None:
        """Answer the request of that number; from any thread."""
        self.send({"kind": "answer", "number": number, **answer}, list(buffers))


class LabelWidget(Widget):
    """A widget whose labels go to the rater's file under the data root. What was labelled before,
    by this rater and by others, is there when it opens.
    """

    rater = traitlets.Unicode("").tag(sync=True)
    labels: traitlets.List[Any] = traitlets.List().tag(sync=True)
    others = traitlets.Dict().tag(sync=True)
    store = traitlets.Unicode("").tag(sync=True)

    def __init__(self, *, rater: str = "", root: str | os.PathLike | None = None, **traits: Any):
        self.file = LabelFile(rater or default_rater(), root)
        self.root = root
        mine = [label.__dict__ for label in self.file.labels()]
        others = held_by_others(self.file.rater, root)
        super().__init__(rater=self.file.rater, labels=mine, others=others, **traits)

    def on_label(self, content: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
        """Write one label; the answer is sent when it is on the disk."""
        label = content["label"]
        if label.get("undo_of"):
            written = self.file.undo(label["undo_of"], undo_id=label["label_id"])
        else:
            written = self.file.add(
                label["item_id"],
                label["item_hash"],
                label["field"],
                label["new"],
                label_id=label["label_id"],
            )
        return {"label": written.__dict__ if written else None}, []

    def values(self) -> dict[tuple[str, str], Any]:
        """What this rater's labels now say: (item_id, field) → value."""
        return self.file.values()


def held_by_others(
    rater: str, root: str | os.PathLike | None = None
) -> dict[str, dict[str, dict[str, Any]]]:
    """What every other rater's labels say: rater → item_id → field → value."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for name, path in label_files(root).items():
        if name != rater:
            found[name] = {}
            for (item_id, field), label in standing(read_labels(path).labels).items():
                found[name].setdefault(item_id, {})[field] = label.new
    return found


def default_rater() -> str:
    """The name that labels go under unless another is given: the user's, as a file name."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError):
        name = "rater"
    return re.sub(r"[^A-Za-z0-9_-]", "_", name) or "rater"


def as_bytes(value: Any) -> bytes:
    """A JSON value as a buffer: large tables travel beside the messages, and are never stored in a
    saved notebook.
    """
    return json.dumps(value, separators=(",", ":")).encode()
