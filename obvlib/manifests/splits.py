"""Splits by source video, and the checks that keep test videos and other clips' pictures out of
training.
"""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Iterable
from typing import Any

from obvlib.core import Clip
from obvlib.core.checks import by_unique


class Contamination(ValueError):
    """Source videos of the test split appear in training."""


def split_by_source(
    clips: Iterable[Clip], *, test_share: float, seed: int = 0
) -> tuple[list[Clip], list[Clip]]:
    """Return (train, test): all clips of one source video fall on the same side, which depends on
    its id and the seed alone.
    """
    if not 0 < test_share < 1:
        raise ValueError(
            f"test_share is {test_share}: give the share of source videos to hold out, between 0"
            " and 1"
        )
    train: list[Clip] = []
    test: list[Clip] = []
    for clip in clips:
        digest = hashlib.sha256(f"{seed}:{clip.video_id}".encode()).digest()
        held_out = int.from_bytes(digest[:8], "big") < test_share * 2**64
        (test if held_out else train).append(clip)
    return train, test


def check_file_names(clips: Iterable[Clip]) -> None:
    """Raise RecordError where two clips name one file: one of them would be read with the other's
    pictures.
    """
    names = ((clip.file_name, clip.clip_id) for clip in clips)
    by_unique(names, key=operator.itemgetter(0), what="file name")


def check_contamination(train: Iterable[Any], test: Iterable[Any]) -> None:
    """Raise Contamination naming every source video (by `video_id`) that both splits hold."""
    shared = sorted({item.video_id for item in train} & {item.video_id for item in test})
    if shared:
        raise Contamination(
            f"{len(shared)} source videos are in training and in the test split:"
            f" {', '.join(shared)}; remove their clips from one"
        )
