"""What a sample costs to train on, without the sample itself: its tokens and its patches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What a sample costs: its tokens, and the patch grids of what it shows."""

    num_tokens: int
    grids: tuple[tuple[int, int, int], ...] = ()

    @property
    def num_patches(self) -> int:
        return sum(t * h * w for t, h, w in self.grids)


def samples_of(
    rows: Sequence[Mapping[str, Any]], patch_size: int = 14, temporal_patch_size: int = 2
) -> list[Sample]:
    """Return the costs of a training set's rows (`obvlib.training.dataset`): tokens, and the grid
    of each clip.
    """
    return [
        Sample(
            num_tokens=row["num_tokens"],
            grids=(
                (
                    -(-row["num_frames"] // temporal_patch_size),
                    row["height"] // patch_size,
                    row["width"] // patch_size,
                ),
            ),
        )
        for row in rows
    ]
