"""ClipInspector: look at the samples of a dataset or of runs, at the very frames and tokens that
the model received, and label them.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any

import traitlets

from obvlib import mini
from obvlib.core import Clip, Example, FramePolicy, data_root, manifests_dir, profile
from obvlib.manifests import media_dir
from obvlib.media import MediaError
from obvlib.widgets import details, exports
from obvlib.widgets.base import LabelWidget, as_bytes, held_by_others, script
from obvlib.widgets.details import Shelf, Timeline, mini_timelines
from obvlib.widgets.embedding import embed
from obvlib.widgets.pictures import Pictures, Place, frame_of_video, read_pictures, to_png
from obvlib.widgets.runs import find_runs, judge
from obvlib.widgets.samples import Samples, open_samples
from obvlib.widgets.server import VideoServer
from obvlib.widgets.tokens import token_view, turns_of

FLAGS = ("no video", "wrong caption", "bad question", "not medical", "private", "other")
KEPT_SAMPLES = 12  # whose frames stay in memory: the last ones seen and the next ones


class ClipInspector(LabelWidget):
    """The inspector; `inspect` makes one. `shelf` says where things are."""

    _esm = script("logic", "ui", "browse", "stage", "panels", "inspector")
    flags: traitlets.List[Any] = traitlets.List().tag(sync=True)
    start = traitlets.Unicode("").tag(sync=True)
    facets = traitlets.Dict().tag(sync=True)
    embedded = traitlets.Dict(allow_none=True, default_value=None).tag(sync=True)

    def __init__(self, shelf: Shelf, *, bundle: Any = None, **traits: Any) -> None:
        self.shelf, self.bundle = shelf, bundle
        self._index = {item_id: i for i, item_id in enumerate(shelf.samples.ids)}
        self._pictures: OrderedDict[str, Future] = OrderedDict()
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="frames")
        self._server: VideoServer | None = None
        super().__init__(flags=list(FLAGS), **traits)

    # What the page asks for.

    def on_open(self, _: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
        others = held_by_others(self.rater, self.root)
        return {"others": others}, [as_bytes(self.table())]

    def on_texts(self, _: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
        return {}, [as_bytes(self.shelf.samples.texts)]

    def on_show(self, content: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
        detail, _ = details.describe(self.shelf, self._index[content["id"]])
        for item_id in (content["id"], *content.get("next", ())):
            self._reading(item_id)
        return {"detail": detail}, []

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
        """The columns of all samples, and one of outcomes for each run."""
        ids = self.shelf.samples.ids
        runs = [
            {"name": run.name, "column": [self._outcome(run, item_id) for item_id in ids]}
            for run in self.shelf.runs
        ]
        return {"columns": self.shelf.samples.table(), "runs": runs, "total": len(ids)}

    def _outcome(self, run: Any, item_id: str) -> str:
        """A question's outcome; a clip is as wrong as its worst question."""
        ids = [item_id] if item_id in run.predictions else self._asked.get(item_id, ())
        found = {run.outcome(example_id) for example_id in ids}
        order = ("failed", "wrong", "unread", "right", "answered")
        return next((outcome for outcome in order if outcome in found), "")

    @cached_property
    def _asked(self) -> dict[str, list[str]]:
        """The examples of each clip that any run answered."""
        asked: dict[str, list[str]] = {}
        for run in self.shelf.runs:
            for example_id in run.predictions:
                clip_id, _, number = example_id.rpartition("-")
                if number.isdecimal():
                    asked.setdefault(clip_id, []).append(example_id)
        return asked

    def pictures(self, item_id: str) -> Pictures:
        """The frames of a sample as the model receives them; MediaError says what is wrong."""
        return self._reading(item_id).result()

    def tokens(self, item_id: str) -> dict[str, Any]:
        """A sample's conversation as the model reads it."""
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
        """The tokenizer and the vision spec: the bundle's, else the profile's."""
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
        """The sample's pictures, being read in the background; a few stay in memory."""
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
            self._server = VideoServer([data_root(), manifests_dir() / "mini" / "videos"])
        return self._server.url(place.path)

    def export(self, format_name: str, path: str | os.PathLike | None = None) -> Path:
        """Write this rater's labels as "jsonl", "label_studio" or "fiftyone"; return the file."""
        places = {}
        for item_id in {item_id for item_id, _ in self.values()}:
            if item_id in self._index:
                _, place = details.describe(self.shelf, self._index[item_id])
                places[item_id] = str(place.path) if place else ""
        return exports.export(self.file, format_name, places, path)


def picture_facts(pictures: Pictures, policy: FramePolicy) -> dict[str, Any]:
    """What the page needs to know of a sample's frames."""
    _, height, width, _ = pictures.frames.shape
    place = pictures.place
    end_s = place.end_s if place.end_s is not None else float(pictures.all_pts_s[-1]) + 0.04
    return {
        "times": pictures.times_s.tolist(),
        "pts": pictures.pts_s.round(6).tolist(),
        "all_pts": pictures.all_pts_s.round(6).tolist(),
        "height": height,
        "width": width,
        "rows": height // policy.factor,
        "columns": width // policy.factor,
        "temporal": policy.temporal_patch_size,
        "exact": pictures.is_exact,
        "can_decode": not place.is_image,
        "start": place.start_s,
        "end": end_s,
        "notice": ""
        if place.is_slice
        else "The slice is not there; these are the same seconds of the source video.",
    }


def inspect(
    source: Any = "mini",
    *,
    runs: str | os.PathLike | Sequence[str | os.PathLike] = (),
    clips_dir: str | os.PathLike | None = None,
    videos_dir: str | os.PathLike | None = None,
    policy: FramePolicy | None = None,
    timelines: Mapping[str, Timeline] | None = None,
    ledger: str | os.PathLike | None = None,
    bundle: Any = None,
    rater: str = "",
    start: str = "",
    embed_mb: float = 0.0,
) -> ClipInspector:
    """Open the inspector on `source`: the name of a dataset or benchmark, a rows file, a run's
    folder, or records. `runs` are folders of predictions; a run's folder brings its own.

    Slices are looked for in `clips_dir`, else the same seconds of the source in `videos_dir`.
    `start` is the first sample's id. With `embed_mb`, samples up to that many megabytes become part
    of the page, which then works without a kernel.
    """
    samples = open_samples(source)
    folders = [runs] if isinstance(runs, (str, os.PathLike)) else list(runs)
    if not folders and isinstance(source, (str, os.PathLike)) and Path(source).is_dir():
        folders = [source] if any(Path(source).rglob("predictions.jsonl")) else []
    shelf = Shelf(
        samples=samples,
        policy=policy or (FramePolicy.mini() if profile() == "mini" else FramePolicy()),
        clips_dir=Path(clips_dir) if clips_dir else media_dir(samples.name),
        videos_dir=Path(videos_dir) if videos_dir else _videos_dir(samples.name),
        runs=_judged(folders, samples),
        timelines=timelines if timelines is not None else mini_timelines(),
        ledger=Path(ledger) if ledger else data_root() / "ledger.sqlite",
        clips=_clips_by_file(),
    )
    widget = ClipInspector(
        shelf, bundle=bundle, rater=rater, title=samples.name, store=samples.name, start=start
    )
    if embed_mb:
        widget.embedded = embed(widget, round(embed_mb * 1e6))
    return widget


def _videos_dir(name: str) -> Path:
    return data_root() / "videos" / name.lower() if name != "mini" else mini.videos_dir()


def _judged(folders: Sequence[str | os.PathLike], samples: Samples) -> list[Any]:
    """The runs of these folders with a verdict for each answer whose question is known."""
    runs = [run for folder in folders for run in find_runs(folder)]
    if not runs:
        return []
    records = [samples.record(i) for i in range(len(samples))]
    examples = [record for record in records if isinstance(record, Example)]
    from obvlib.manifests import clip_examples

    clips = [record for record in records if isinstance(record, Clip)]
    examples += clip_examples(clips, samples.name, Path("."))
    judge(runs, examples)
    return runs


def _clips_by_file() -> dict[str, Clip]:
    """The shipped clips by the name of their slice, so that a run's questions find theirs."""
    return {clip.file_name: clip for clip in mini.rows()}
