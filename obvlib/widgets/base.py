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

from obvlib.core.labels import LabelFile, label_files
from obvlib.core.record_rows import digest

STATIC = Path(__file__).parent / "static"
_IMPORT = re.compile(r'^import [^;]*? from "\./[\w.]+";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?!default)", re.MULTILINE)


def script(*names: str) -> str:
    """Return the modules of these names as one script, in their order and without the imports among
    them: no bundler is needed, and node can test each module as it is.
    """
    parts = ((STATIC / f"{name}.mjs").read_text(encoding="utf-8") for name in names)
    return "\n".join(_EXPORT.sub("", _IMPORT.sub("", part)) for part in parts)


def style() -> str:
    """Return the style sheet of all widgets."""
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
            name = f"on_{content.get('kind')}"
            method = getattr(self, name, None)
            if method is None or hasattr(anywidget.AnyWidget, name):  # traitlets has such names
                raise ValueError(f"request {content.get('kind')!r} is not known")
            answer = method(content)
        except (ValueError, OSError, LookupError, TypeError) as error:
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
        self._others: dict[str, LabelFile] = {}
        super().__init__(
            rater=self.file.rater,
            labels=[label.__dict__ for label in self.file.labels()],
            others=self.held_by_others(),
            store=digest(str(self.file.path.resolve())),
            **traits,
        )

    def on_open(self, _: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
        """Answer a page that opens, or is loaded again: this rater's labels as they are now, and
        what others say.
        """
        labels = [label.__dict__ for label in self.file.labels()]
        return {"others": self.held_by_others()}, [as_bytes(labels)]

    def on_others(self, _: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
        """Answer what other raters say by now."""
        return {"others": self.held_by_others()}, []

    def on_label(self, content: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
        """Write one label and tell every page that shows this widget; the answer is sent when it
        is on the disk. A label that another session has taken back already stays taken back.
        """
        label = content["label"]
        if target := label.get("undo_of"):
            done = self.file.undo_of(target)
            written = done or self.file.undo(target, undo_id=label["label_id"])
        else:
            written = self.file.add(
                label["item_id"],
                label["item_hash"],
                label["field"],
                label["new"],
                label_id=label["label_id"],
            )
        row = written.__dict__ if written else None
        self.send({"kind": "labelled", "number": "", "label": row})
        return {"label": row}, []

    def values(self) -> dict[tuple[str, str], Any]:
        """Return what this rater's labels now say: (item_id, field) → value."""
        return self.file.values()

    def held_by_others(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Return what every other rater's labels say: rater → item_id → field → value. A file is
        read again only where it has grown.
        """
        found: dict[str, dict[str, dict[str, Any]]] = {}
        for name in label_files(self.root):
            if name == self.file.rater:
                continue
            file = self._others.setdefault(name, LabelFile(name, self.root))
            found[name] = {}
            for (item_id, field), value in file.values().items():
                found[name].setdefault(item_id, {})[field] = value
        return found


def default_rater() -> str:
    """Return the user's name as a file name: what labels go under unless a rater is given."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError):
        name = "rater"
    return re.sub(r"[^A-Za-z0-9_-]", "_", name) or "rater"


def as_bytes(value: Any) -> bytes:
    """Return a JSON value as a buffer: large tables travel beside the messages and are never stored
    in a saved notebook.
    """
    return json.dumps(value, separators=(",", ":")).encode()
