"""Clips that are nearly the same: their captions, or what they show.

Reported rather than dropped: one caption may well be right for two clips, but not across train and
test, where the second is no test any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from obvlib.core import Clip
from obvlib.curation.passages import Passage
from obvlib.engine.stages import Stage

SAME_CAPTION = 0.97  # cosine similarity of captions
SAME_BITS = 4  # of 64 by which the prints of two frames may differ
_MOMENTS = (0.25, 0.5, 0.75)  # of a clip
_NUM_BITS = np.array([value.bit_count() for value in range(256)], np.uint8)


@dataclass(frozen=True, kw_only=True)
class Prints:
    """The difference hashes of three frames of a clip, 16 hexadecimal digits each."""

    clip_id: str
    prints: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class PrintClip(Stage):
    """Take the prints of a clip."""

    name: ClassVar[str] = "print_clip"
    result: ClassVar[type] = Prints

    def inputs(self, record: Passage) -> Sequence[str]:
        return (record.path,)

    def group(self, record: Passage) -> str:
        return record.video_id

    def __call__(self, record: Passage) -> Prints:
        from obvlib.media import frames_at

        length_s = record.end_s - record.start_s
        times = [record.start_s + share * length_s for share in _MOMENTS]
        frames, _ = frames_at(self.fetch(record.path), times, 8, 9)
        return Prints(clip_id=record.clip_id, prints=tuple(print_of(frame) for frame in frames))

    def params(self) -> dict[str, Any]:
        return {"moments": list(_MOMENTS)}


def print_of(frame: np.ndarray) -> str:
    """Return the difference hash of a frame (8, 9, 3): one bit for each pair of neighbours."""
    gray = frame.astype(np.float32).mean(axis=2)
    bits = np.packbits((gray[:, 1:] > gray[:, :-1]).reshape(-1))
    return bits.tobytes().hex()


class Pair(NamedTuple):
    """Two clips that are nearly the same, in what, and whether their splits differ."""

    first: str
    second: str
    what: str
    across_splits: bool


def near_identical(clips: Sequence[Clip], prints: Sequence[Prints]) -> list[Pair]:
    """Return pairs of clips with nearly the same caption or nearly the same frames.

    Each clip is compared with all later ones at once; a clip without prints has no such frames.
    """
    from obvlib.encoders.texts import embed_texts

    vectors = embed_texts([clip.caption for clip in clips])
    bits, has_prints = _bits(clips, prints)
    splits = np.array([clip.split for clip in clips])
    found = []
    for i, first in enumerate(clips):
        later = slice(i + 1, None)
        differing = _NUM_BITS[bits[later] ^ bits[i]].sum(axis=-1)  # (later clips, moments)
        same = {
            "caption": vectors[later] @ vectors[i] >= SAME_CAPTION,
            "frames": (differing <= SAME_BITS).all(axis=1) & has_prints[later] & has_prints[i],
        }
        for what, alike in same.items():
            for j in (np.flatnonzero(alike) + i + 1).tolist():
                across = bool(splits[i] != splits[j])
                found.append(Pair(first.clip_id, clips[j].clip_id, what, across))
    return found


def _bits(clips: Sequence[Clip], prints: Sequence[Prints]) -> tuple[np.ndarray, np.ndarray]:
    """Return the prints as bytes (clips, moments, 8) uint8, and which clips have all of them."""
    by_id = {one.clip_id: one.prints for one in prints if len(one.prints) == len(_MOMENTS)}
    bits = np.zeros((len(clips), len(_MOMENTS), 8), np.uint8)
    for row, clip in zip(bits, clips, strict=True):
        for place, text in enumerate(by_id.get(clip.clip_id, ())):
            row[place] = list(bytes.fromhex(text))
    return bits, np.array([clip.clip_id in by_id for clip in clips], dtype=bool)
