"""Rows on their way to the GPU: read, decoded and packed in worker processes, as bytes, with all
that the GPU would otherwise have to wait for.

In: packed rows of sample indices and a function that loads a sample. Out: batches for
`obvlib.models.packed_forward`: uint8 patches, which the GPU normalises, the boundaries of samples
and temporal patches, and where visual, text and learned tokens are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from obvlib.inputs import IGNORE, ModelInput, collate

VISUAL = (("pixel_values", "image_grid_thw"), ("pixel_values_videos", "video_grid_thw"))


class FastRow:
    """A collator for the packed pass. Samples encoded with `normalise=False` travel as bytes and
    are normalised on the device; normalised ones are taken as they are.
    """

    def __init__(self, image_token_id: int, video_token_id: int, merge_size: int = 2):
        self.visual_ids, self.merge_size = (image_token_id, video_token_id), merge_size

    def __call__(self, samples: Sequence[ModelInput]) -> dict[str, Any]:
        """Return input_ids and labels (1, T), position_ids (4, 1, T) and the fields below.

        patches (P, values) uint8, patch_positions (P, 2) row and column, vision_bounds
        (temporal patches + 1,) int32, text_bounds (samples + 1,) int32, the lengths behind both as
        tuples, visual_index (V,) and text_index (T - V,) int64, learned_index and learned_targets
        (K,) int64. Patches come in the order of their tokens, pictures and videos mixed.
        """
        row: dict[str, Any] = collate([_without_pixels(sample) for sample in samples])
        ids, labels = row["input_ids"][0], row["labels"][0]
        is_visual = torch.isin(ids, torch.tensor(self.visual_ids))
        learned = (labels[1:] != IGNORE).nonzero().flatten() + 1
        lengths = tuple(sample.num_tokens for sample in samples)
        row |= {
            "text_index": (~is_visual).nonzero().flatten(),
            "learned_index": learned,
            "learned_targets": labels[learned],
            "text_bounds": _bounds(lengths),
            "text_lengths": lengths,
        }
        visuals = [visual for sample in samples for visual in self._visuals(sample)]
        if visuals:
            row |= _vision(visuals, self.merge_size)
            row["visual_index"] = is_visual.nonzero().flatten()
        return row

    def _visuals(self, sample: ModelInput) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return (patches, grid) of each picture and video, in the order of their tokens."""
        waiting = {
            token: _divided(getattr(sample, values), getattr(sample, grids))
            for token, (values, grids) in zip(self.visual_ids, VISUAL, strict=True)
        }
        ids, found, at = sample.input_ids, [], 0
        places = np.flatnonzero(np.isin(ids, self.visual_ids))
        while at < len(places):
            patches, grid = waiting[int(ids[places[at]])].pop(0)
            found.append((patches, grid))
            at += int(grid.prod()) // self.merge_size**2
        return found


def limit_threads(_: int) -> None:
    """Start a worker with one thread: workers share the cores among themselves."""
    torch.set_num_threads(1)


def row_of(batch: list[dict[str, Any]]) -> dict[str, Any]:
    """Collate nothing: a packed row is a batch already."""
    (row,) = batch
    return row


def _without_pixels(sample: ModelInput) -> Any:
    """Return what `collate` reads of a sample, its pixels left out: they take another way."""
    return _Words(sample.input_ids, sample.labels, sample.position_ids)


class _Words:
    pixel_values = pixel_values_videos = image_grid_thw = video_grid_thw = None

    def __init__(self, input_ids: np.ndarray, labels: np.ndarray, position_ids: np.ndarray):
        self.input_ids, self.labels, self.position_ids = input_ids, labels, position_ids


def _divided(
    values: np.ndarray | None, grids: np.ndarray | None
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the patches of all pictures or all videos, divided by their grids."""
    if values is None or grids is None:
        return []
    ends = np.cumsum(grids.prod(axis=1))[:-1]
    return list(zip(np.split(values, ends), grids, strict=True))


def _vision(visuals: list[tuple[np.ndarray, np.ndarray]], merge_size: int) -> dict[str, Any]:
    parts = [patches for patches, _ in visuals]
    lengths = tuple(int(h * w) for _, (t, h, w) in visuals for _ in range(t))
    positions = [grid_places(grid, merge_size) for _, grid in visuals]
    return {
        "patches": torch.from_numpy(parts[0] if len(parts) == 1 else np.concatenate(parts)),
        "patch_positions": torch.from_numpy(np.concatenate(positions)),
        "vision_bounds": _bounds(lengths),
        "vision_lengths": lengths,
    }


def grid_places(grid: np.ndarray, merge_size: int) -> np.ndarray:
    """Return the row and column (t * h * w, 2) int32 of each patch, in the order of
    `inputs.vision.patches`: squares of merge_size x merge_size one after the other.
    """
    t, h, w = map(int, grid)
    places = np.indices((h, w), dtype=np.int32).reshape(
        2, h // merge_size, merge_size, w // merge_size, merge_size
    )
    return np.tile(places.transpose(1, 3, 2, 4, 0).reshape(-1, 2), (t, 1))


def _bounds(lengths: Sequence[int]) -> torch.Tensor:
    return torch.tensor([0, *lengths], dtype=torch.int32).cumsum(0, dtype=torch.int32)
