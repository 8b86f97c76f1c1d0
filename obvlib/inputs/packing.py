"""Packing: whole samples into rows of one fixed capacity, and the batch that keeps them apart.

A toy of four samples and rows of 10 tokens:

>>> pack([7, 5, 3, 5], capacity=10)
[[0, 2], [1, 3]]

A packed row restarts its text positions at every sample, which is how the attention knows where
one ends and the next begins:

    sample         A  A  A  B  B
    text position  0  1  2  0  1

Labels are those of the samples, one after the other, not shifted: the model shifts them itself, and
a sample's first label is always -100, so no sample is asked to predict the next one's beginning.
"""

from __future__ import annotations

import bisect
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

IGNORE = -100  # the label of a token that is not learned


def pack(
    lengths: Sequence[int],
    capacity: int,
    *,
    seed: int | None = None,
    names: Sequence[str] | None = None,
) -> list[list[int]]:
    """Distribute items into as few bins as best-fit decreasing: the longest first, each into the
    fullest bin that still has room.

    Returns lists of indices into `lengths`, every index once, no list's lengths above `capacity`.
    Without a seed bins come longest item first; with one, items of equal length change places and
    the bins are shuffled, the same way every time. Raises ValueError for a length above capacity or
    below 1, by the item's name where `names` gives it.
    """
    _check(lengths, capacity, names)
    order = list(range(len(lengths)))
    if seed is not None:
        random.Random(seed).shuffle(order)
    order.sort(key=lambda i: -lengths[i])
    bins: list[list[int]] = []
    rooms: list[int] = []  # the different amounts of room left, ascending
    bins_by_room: dict[int, list[int]] = {}
    for item in order:
        length = int(lengths[item])
        at = bisect.bisect_left(rooms, length)
        if at == len(rooms):
            bins.append([item])
            chosen, room = len(bins) - 1, capacity
        else:
            room = rooms[at]
            same = bins_by_room[room]
            chosen = same.pop()
            bins[chosen].append(item)
            if not same:
                del bins_by_room[room], rooms[at]
        left = room - length
        if left and left not in bins_by_room:
            bins_by_room[left] = []
            bisect.insort(rooms, left)
        if left:
            bins_by_room[left].append(chosen)
    if seed is not None:
        random.Random(seed).shuffle(bins)
    return bins


def pack_shards(
    lengths: Sequence[int], capacity: int, *, shard_size: int = 8192, seed: int = 0
) -> list[list[int]]:
    """Pack each run of `shard_size` items by itself: when rows are added at the end, the bins of
    all full shards stay as they were.

    Costs at most one bin that is not full for each shard. Bins keep the shards' order; an epoch
    shuffles them with `epoch_order`.
    """
    if shard_size < 1:
        raise ValueError(f"shard_size is {shard_size}: a shard needs at least one item")
    bins = []
    for start in range(0, len(lengths), shard_size):
        part = pack(lengths[start : start + shard_size], capacity, seed=seed + start)
        bins += [[start + item for item in items] for items in part]
    return bins


def epoch_order(num_rows: int, seed: int, epoch: int) -> list[int]:
    """Return a shuffled order of the rows for one epoch: the same for the same seed and epoch on
    every machine.
    """
    order = list(range(num_rows))
    random.Random(f"{seed} {epoch}").shuffle(order)
    return order


def lower_bound(lengths: Sequence[int], capacity: int) -> int:
    """Return a number of bins that no packing can go below: Martello and Toth's bound L2.

    For each k up to half the capacity: items above capacity - k stay alone, those above half need a
    bin each, and the rest, down to length k, must fit into the room that these leave or into
    further bins.
    """
    _check(lengths, capacity, None)
    sizes = np.sort(np.asarray(lengths, dtype=np.int64))
    if len(sizes) == 0:
        return 0
    total = np.concatenate([[0], np.cumsum(sizes)])
    half = np.searchsorted(sizes, capacity / 2, side="right")
    best = -(-int(total[-1]) // capacity)
    for k in np.unique(np.append(sizes[:half], 0)):
        alone = np.searchsorted(sizes, capacity - k, side="right")
        small = np.searchsorted(sizes, k, side="left")
        room = (alone - half) * capacity - int(total[alone] - total[half])
        rest = int(total[half] - total[small]) - room
        best = max(best, len(sizes) - int(half) + max(0, -(-rest // capacity)))
    return best


def collate(inputs: Sequence[Any]) -> dict[str, torch.Tensor]:
    """Return one packed row of `ModelInput`s as the model's keyword arguments: input_ids and labels
    (1, L), position_ids (4, 1, L), pixels and grids.

    position_ids[0] counts each sample's tokens from 0, rows 1 to 3 are its M-RoPE positions. There
    is no attention mask: an attention of `obvlib.models.attention`, or flash attention, finds the
    samples in position_ids[0].
    """
    import torch

    if not inputs:
        raise ValueError("inputs is empty: a packed row needs at least one sample")
    text = np.concatenate([np.arange(len(sample.input_ids)) for sample in inputs])  # (L,)
    positions = np.concatenate([sample.position_ids for sample in inputs], axis=1)  # (3, L)
    row = {
        "input_ids": _join(inputs, "input_ids")[None],
        "labels": _join(inputs, "labels")[None],
        "position_ids": torch.from_numpy(np.concatenate([text[None], positions]))[:, None],
    }
    for name in ("pixel_values", "pixel_values_videos", "image_grid_thw", "video_grid_thw"):
        if any(getattr(sample, name) is not None for sample in inputs):
            row[name] = _join(inputs, name)
    return row


def num_label_tokens(labels: np.ndarray | torch.Tensor) -> int:
    """Return how many tokens of a batch are learned: what its summed loss is divided by, across
    accumulation steps and devices.
    """
    return int((labels[..., 1:] != IGNORE).sum())


def _join(inputs: Sequence[Any], name: str) -> torch.Tensor:
    import torch

    parts = [getattr(sample, name) for sample in inputs if getattr(sample, name) is not None]
    return torch.from_numpy(parts[0] if len(parts) == 1 else np.concatenate(parts))


def _check(lengths: Sequence[int], capacity: int, names: Sequence[str] | None) -> None:
    if capacity < 1:
        raise ValueError(f"capacity is {capacity}: a row needs room for at least one token")
    if names is not None and len(names) != len(lengths):
        raise ValueError(
            f"names has {len(names)} entries for {len(lengths)} lengths: give one for each"
        )
    for item, length in enumerate(lengths):
        if not 1 <= length <= capacity or length != int(length):
            name = f"{names[item]!r} (item {item})" if names is not None else f"item {item}"
            remedy = (
                "drop it with a reason, or raise the capacity"
                if length > capacity
                else "give whole tokens, at least 1"
            )
            raise ValueError(f"length of {name} is {length}, capacity {capacity}: {remedy}")
