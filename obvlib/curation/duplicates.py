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
    """Return pairs of clips with nearly the same caption or nearly the same frames."""
    from obvlib.encoders.texts import embed_texts

    vectors = embed_texts([clip.caption for clip in clips])
    by_id = {p.clip_id: [int(x, 16) for x in p.prints] for p in prints}
    found = []
    for i, first in enumerate(clips):
        alike = np.flatnonzero(vectors[i + 1 :] @ vectors[i] >= SAME_CAPTION) + i + 1
        across = {j: first.split != clips[j].split for j in range(i + 1, len(clips))}
        found += [
            Pair(first.clip_id, clips[j].clip_id, "caption", across[j]) for j in alike.tolist()
        ]
        for j in range(i + 1, len(clips)):
            if _same_frames(by_id.get(first.clip_id), by_id.get(clips[j].clip_id)):
                found.append(Pair(first.clip_id, clips[j].clip_id, "frames", across[j]))
    return found


def _same_frames(first: list[int] | None, second: list[int] | None) -> bool:
    if not first or not second or len(first) != len(second):
        return False
    return all((a ^ b).bit_count() <= SAME_BITS for a, b in zip(first, second, strict=True))
