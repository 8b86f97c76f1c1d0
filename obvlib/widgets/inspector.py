"""ClipInspector: look at the samples of a dataset or of runs, at the very frames and tokens that
the model received, and label them.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any

import traitlets

from obvlib.core import Example, profile
from obvlib.media import MediaError, frames_at
from obvlib.widgets import details, exports
from obvlib.widgets.base import LabelWidget, as_bytes, script
from obvlib.widgets.details import Shelf
from obvlib.widgets.pictures import (
    Pictures,
    Place,
    frame_of_video,
    picture_facts,
    read_pictures,
    to_jpeg,
    to_png,
)
from obvlib.widgets.server import VideoServer, own_roots
from obvlib.widgets.tokens import token_view, turns_of

FLAGS = ("no video", "wrong caption", "bad question", "not medical", "private", "other")
SCRIPTS = (
    "logic links ui labels browse grid controls cycle follow screen strip stage timeline tokens"
    " panels raters labelbar keys shell inspector"
).split()
PREVIEW_SIDE = 640  # px
KEPT_SAMPLES = 12  # whose frames stay in memory: the last ones seen and the next ones


class ClipInspector(LabelWidget):
    """The inspector; `inspect` makes one. `shelf` says where things are."""

    _esm = script(*SCRIPTS)
    flags: traitlets.List[Any] = traitlets.List().tag(sync=True)
    start = traitlets.Unicode("").tag(sync=True)
    facets = traitlets.Dict().tag(sync=True)
    embedded = traitlets.Dict(allow_none=True, default_value=None).tag(sync=True)

    def __init__(self, shelf: Shelf, *, bundle: Any = None, **traits: Any) -> None:
        self.shelf, self.bundle = shelf, bundle
        self._index = {item_id: i for i, item_id in enumerate(shelf.samples.ids)}
        self._pictures: OrderedDict[str, Future] = OrderedDict()
        self._worker = ThreadPoolExecutor(max_workers=2, thread_name_prefix="frames")
        self._server: VideoServer | None = None
        super().__init__(flags=list(FLAGS), **traits)

    # What the page asks for.

    def on_open(self, content: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
        answer, buffers = super().on_open(content)
        return answer, [*buffers, as_bytes(self.table())]

    def on_texts(self, _: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
        return {}, [as_bytes(self.shelf.samples.texts)]

    def on_show(self, content: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
        """Answer a sample's detail; its frames and those of the next ones begin to be read, and
        what was wanted earlier and has not begun is dropped.
        """
        detail, _ = details.describe(self.shelf, self._index[content["id"]])
        wanted = (content["id"], *content.get("next", ()))
        for item_id in set(self._pictures) - set(wanted):
            if self._pictures[item_id].cancel():
                del self._pictures[item_id]
        for item_id in wanted:
            self._reading(item_id)
        return {"detail": detail}, []

    def on_first_frame(self, content: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
        """Answer a preview of the sample's first frame, to look at while the others are read."""
        _, place = details.describe(self.shelf, self._index[content["id"]])
        if place is None or place.is_image:
            raise ValueError("there is no video to decode")
        frames, _ = frames_at(place.path, [place.start_s])
        return {}, [to_jpeg(frames[0], PREVIEW_SIDE)]

    def on_pictures(self, content: dict[str, Any]) -> None:
        reading, number = self._reading(content["id"]), content["number"]
        reading.add_done_callback(lambda done: self._send_pictures(number, done))

    def on_frame(self, content: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
        pictures = self._reading(content["id"]).result()
        return {}, [to_png(pictures.frames[content["index"]])]

    def on_video_frame(self, content: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
        _, place = details.describe(self.shelf, self._index[content["id"]])
        if place is None:
            raise ValueError("there is no video to decode")
        image, time_s = frame_of_video(place, content["time"])
        return {"time": time_s}, [image]

    def on_label(self, content: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
        """Write a label; one clicked before the sample's detail had arrived has no hash yet."""
        label = content["label"]
        if not label["item_hash"] and label["item_id"] in self._index:
            detail, _ = details.describe(self.shelf, self._index[label["item_id"]])
            label["item_hash"] = detail["hash"]
        return super().on_label(content)

    def on_tokens(self, content: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
        return {"tokens": self.tokens(content["id"])}, []

    def on_export(self, content: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
        path = self.export(content["format"])
        return {"text": f"Exported to {path}"}, []

    # What answers are made of.

    def table(self) -> dict[str, Any]:
        """Return the columns of all samples, and one of outcomes for each run."""
        ids = self.shelf.samples.ids
        runs = [
            {"name": run.name, "column": [self._outcome(run, item_id) for item_id in ids]}
            for run in self.shelf.runs
        ]
        return {"columns": self.shelf.samples.table(), "runs": runs, "total": len(ids)}

    def _outcome(self, run: Any, item_id: str) -> str:
        """Return a question's outcome; a clip is as wrong as its worst question."""
        ids = [item_id] if item_id in run.predictions else self._asked.get(item_id, ())
        found = {run.outcome(example_id) for example_id in ids}
        order = ("failed", "wrong", "unread", "right", "answered")
        return next((outcome for outcome in order if outcome in found), "")

    @cached_property
    def _asked(self) -> dict[str, list[str]]:
        """Return the examples of each clip that any run answered."""
        asked: dict[str, list[str]] = {}
        for run in self.shelf.runs:
            for example_id in run.predictions:
                clip_id, _, number = example_id.rpartition("-")
                if number.isdecimal():
                    asked.setdefault(clip_id, []).append(example_id)
        return asked

    def pictures(self, item_id: str) -> Pictures:
        """Return the frames of a sample as the model receives them; MediaError says what is
        wrong.
        """
        return self._reading(item_id).result()

    def tokens(self, item_id: str) -> dict[str, Any]:
        """Return a sample's conversation as the model reads it."""
        record = self.shelf.samples.record(self._index[item_id])
        note, pictures = "", None
        try:
            pictures = self.pictures(item_id)
        except MediaError as error:
            note = f"Without the video: {error}"
        if isinstance(record, Example) and record.media and pictures is None:
            raise ValueError(note)
        turns = turns_of(record, pictures, item_id)
        view = token_view(turns, *self._reader, asks=isinstance(record, Example))
        return view | {"note": note}

    @cached_property
    def _reader(self) -> tuple[Any, Any]:
        """Return the tokenizer and the vision spec: the bundle's, else the profile's."""
        from obvlib.inputs import VisionSpec
        from obvlib.models import qwen_tokenizer
        from obvlib.models.bundle import tiny_config
        from obvlib.models.tokenizer import tiny_tokenizer

        if self.bundle is not None:
            return self.bundle.tokenizer, self.bundle.spec
        if profile() != "mini":
            return qwen_tokenizer(), VisionSpec()
        tokenizer = tiny_tokenizer()
        return tokenizer, VisionSpec.from_config(tiny_config(tokenizer))

    def _reading(self, item_id: str) -> Future:
        """Return the sample's pictures, being read in the background; a few stay in memory."""
        if item_id not in self._pictures:
            self._pictures[item_id] = self._worker.submit(self._read, item_id)
        self._pictures.move_to_end(item_id)
        while len(self._pictures) > KEPT_SAMPLES:
            self._pictures.popitem(last=False)[1].cancel()
        return self._pictures[item_id]

    def _read(self, item_id: str) -> Pictures:
        detail, place = details.describe(self.shelf, self._index[item_id])
        if place is None:
            raise MediaError(detail["notices"][-1])
        pictures = read_pictures(place, self.shelf.policy)
        _ = pictures.strip  # encoded ahead too
        return pictures

    def _send_pictures(self, number: str, done: Future) -> None:
        if done.cancelled():
            return
        if error := done.exception():
            self.reply(number, {"pictures": {"problem": str(error)}})
            return
        pictures = done.result()
        facts = picture_facts(pictures, self.shelf.policy) | {"video": self._url(pictures.place)}
        self.reply(number, {"pictures": facts}, pictures.strip)

    def _url(self, place: Place) -> str:
        if place.is_image:
            return ""
        if self._server is None:
            self._server = VideoServer(own_roots())
        return self._server.url(place.path)

    def export(self, format_name: str, path: str | os.PathLike | None = None) -> Path:
        """Write this rater's labels as "jsonl", "label_studio" or "fiftyone"; return the file."""
        places = {}
        for item_id in {item_id for item_id, _ in self.values()}:
            if item_id in self._index:
                _, place = details.describe(self.shelf, self._index[item_id])
                places[item_id] = str(place.path) if place else ""
        return exports.export(self.file, format_name, places, path)
