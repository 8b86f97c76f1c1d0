"""FrameLabeler: frames one by one, those first that a classifier is least sure of; its labels train
the next classifier.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import traitlets

from obvlib.core.labels import hash_item
from obvlib.widgets.base import LabelWidget, script
from obvlib.widgets.pictures import data_url, to_jpeg

MAX_SIDE = 640  # px: enough to tell what a frame shows
FIELD = "medical"


@dataclass(frozen=True, eq=False, kw_only=True)
class FrameItem:
    """A frame to label: its picture (H, W, 3) uint8, or a function that reads it when it is shown;
    the classifier's score if there is one.
    """

    item_id: str
    image: np.ndarray | Callable[[], np.ndarray]
    score: float | None = None
    about: str = ""

    def jpeg(self) -> bytes:
        image = self.image() if callable(self.image) else self.image
        return to_jpeg(image, MAX_SIDE)


class FrameLabeler(LabelWidget):
    """One frame at a time, a key for each class. `label_frames` makes one."""

    _esm = script("logic", "ui", "labels", "labeler")
    items: traitlets.List[Any] = traitlets.List().tag(sync=True)
    classes: traitlets.List[Any] = traitlets.List().tag(sync=True)
    field = traitlets.Unicode(FIELD).tag(sync=True)
    threshold = traitlets.Float(0.5).tag(sync=True)

    def __init__(self, frames: Sequence[FrameItem], *, embed: bool = False, **traits: Any) -> None:
        self.frames = {frame.item_id: frame for frame in frames}
        super().__init__(items=[_row(frame, embed) for frame in frames], **traits)

    def on_image(self, content: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
        return {}, [self.frames[content["id"]].jpeg()]

    def answers(self) -> Mapping[str, str]:
        """Return the class of every frame labelled so far, by item id: what a classifier is trained
        on.
        """
        held = self.values()
        return {i: held[i, self.field] for i in self.frames if (i, self.field) in held}


def label_frames(
    frames: Sequence[FrameItem],
    *,
    classes: Sequence[str] = ("medical", "other"),
    field: str = FIELD,
    threshold: float = 0.5,
    rater: str = "",
    root: str | os.PathLike | None = None,
    embed: bool = False,
) -> FrameLabeler:
    """Label `frames` with one of up to nine `classes`; the frames with scores nearest `threshold`
    come first. With `embed` the pictures become part of the page.
    """
    if not 2 <= len(classes) <= 9:
        raise ValueError(f"classes has {len(classes)} names: give 2 to 9, a digit key for each")
    return FrameLabeler(
        frames,
        classes=list(classes),
        field=field,
        threshold=threshold,
        rater=rater,
        root=root,
        embed=embed,
        title="Frames",
    )


def _row(frame: FrameItem, embed: bool) -> dict[str, Any]:
    row = {"id": frame.item_id, "score": frame.score, "about": frame.about}
    row["hash"] = hash_item(frame.item_id)
    return row | ({"image": data_url(frame.jpeg())} if embed else {})
