"""Clips that are nearly the same: their captions, or what they show.

Reported rather than dropped: one caption may well be right for two clips, but not across train and
test, where the second then tests nothing.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import ClassVar, NamedTuple

import numpy as np

from obvlib.core import Clip
from obvlib.curation.passages import Passage
from obvlib.engine.stages import Stage
from obvlib.media import correlations, looks

SAME_CAPTION = 0.97  # cosine similarity of captions


@dataclass(frozen=True, kw_only=True)
class Look:
    """What a clip looks like (see `obvlib.media.looks`), as base64."""

    clip_id: str
    fields: str

    @property
    def array(self) -> np.ndarray:
        """The look as (moments, fields, fields) uint8."""
        shape = (looks.NUM_MOMENTS, looks.NUM_FIELDS, looks.NUM_FIELDS)
        return np.frombuffer(base64.b64decode(self.fields), np.uint8).reshape(shape)


@dataclass(frozen=True, kw_only=True)
class LookAtClip(Stage):
    """Look at a clip."""

    name: ClassVar[str] = "look_at_clip"
    result: ClassVar[type] = Look

    def code(self) -> Sequence[ModuleType]:
        return (*super().code(), looks)

    def inputs(self, record: Passage) -> Sequence[str]:
        return (record.path,)

    def group(self, record: Passage) -> str:
        return record.video_id

    def __call__(self, record: Passage) -> Look:
        seen = looks.look_at(self.fetch(record.path), record.start_s, record.end_s)
        return Look(clip_id=record.clip_id, fields=base64.b64encode(seen.tobytes()).decode())


class Pair(NamedTuple):
    """Two clips that are nearly the same, in what, and whether their splits differ."""

    first: str
    second: str
    what: str
    across_splits: bool


def near_identical(clips: Sequence[Clip], seen: Sequence[Look]) -> list[Pair]:
    """Return pairs of clips with nearly the same caption or nearly the same frames.

    Each clip is compared with all later ones at once; a clip that was not looked at has no such
    frames.
    """
    from obvlib.encoders.texts import embed_texts

    if len(clips) < 2:
        return []
    vectors = embed_texts([clip.caption for clip in clips])
    by_id = {look.clip_id: look.array for look in seen}
    shape = (looks.NUM_MOMENTS, looks.NUM_FIELDS, looks.NUM_FIELDS)
    none = np.zeros(shape, np.uint8)  # of one brightness: like no other
    frames = np.stack([none, *(by_id.get(clip.clip_id, none) for clip in clips)])[1:]
    splits = np.array([clip.split for clip in clips])
    found = []
    for i, first in enumerate(clips):
        later = slice(i + 1, None)
        same = {
            "caption": vectors[later] @ vectors[i] >= SAME_CAPTION,
            "frames": correlations(frames[later], frames[i : i + 1])[:, 0] >= looks.MIN_CORRELATION,
        }
        for what, alike in same.items():
            for j in (np.flatnonzero(alike) + i + 1).tolist():
                across = bool(splits[i] != splits[j])
                found.append(Pair(first.clip_id, clips[j].clip_id, what, across))
    return found
