"""Samples in packed rows, in training order; a sample that cannot be read is left out of its row,
by name.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from obvlib.inputs import IGNORE, Image, Turn, collate, encode, pack
from obvlib.training.config import TrainConfig

if TYPE_CHECKING:
    from obvlib.inputs import ModelInput, VisionSpec


def plan_rows(lengths: Sequence[int], config: TrainConfig) -> list[list[int]]:
    """Return rows of sample indices for all epochs, in training order: shuffle, pack window by
    window, shuffle the rows of each epoch.

    Best fit puts samples of one length, and so often of one kind, into one row. Rows of a few long
    clips need it, and a step of several rows evens it out. Rows of dozens of short clips do better
    in shuffled order (`pack_window` 1): each is a fair draw, and the room left over is small. The
    order depends on `seed` and the epoch alone.
    """
    plan = []
    for epoch in range(config.num_epochs):
        rng = random.Random(f"{config.seed}/{epoch}")
        order = rng.sample(range(len(lengths)), len(lengths))
        if config.pack_window == 1:
            plan += fill_in_order(order, lengths, config.capacity_tokens)
            continue
        rows = []
        for start in range(0, len(order), config.pack_window):
            window = order[start : start + config.pack_window]
            rows += [
                [window[i] for i in row]
                for row in pack([lengths[i] for i in window], config.capacity_tokens)
            ]
        rng.shuffle(rows)
        plan += rows
    return plan


def fill_in_order(order: Sequence[int], lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Return rows of the samples as they come: a row is closed when the next sample does not fit.

    Raises ValueError for a sample that is longer than a row.
    """
    rows: list[list[int]] = []
    room = 0
    for sample in order:
        if lengths[sample] > capacity:
            raise ValueError(
                f"sample {sample} has {lengths[sample]} tokens, a row holds {capacity}: drop it"
                " with a reason"
            )
        if lengths[sample] > room:
            rows.append([])
            room = capacity
        rows[-1].append(sample)
        room -= lengths[sample]
    return rows


def dealt(
    rows: list[list[int]], visual: Sequence[int], rows_per_step: int, world_size: int
) -> list[list[int]]:
    """Return the rows with those of each optimizer step reordered so that every process sees about
    as many visual tokens, in the step and in each of its rows.

    `visual` counts them for each sample, `rows_per_step` for each process. Position i of the list
    goes to process i modulo `world_size`. A step keeps its rows, so what it learns is the same.
    """
    if world_size == 1:
        return rows
    size, made = rows_per_step * world_size, []
    for start in range(0, len(rows), size):
        step = rows[start : start + size]
        step = sorted(step, key=lambda row: -sum(visual[i] for i in row))
        for turn, first in enumerate(range(0, len(step), world_size)):
            together = step[first : first + world_size]
            made += together[::-1] if turn % 2 else together
    return made


def imbalance(rows: list[list[int]], visual: Sequence[int], world_size: int) -> float:
    """Return the visual tokens of the process that sees the most, over the mean of all."""
    sums = [
        sum(visual[i] for row in rows[rank::world_size] for i in row) for rank in range(world_size)
    ]
    return max(sums) * world_size / sum(sums) if sum(sums) else 1.0


class PackedRows:
    """Packed rows as a map-style dataset: `rows[i]` lists samples, read and collated only when
    asked for.

    A sample whose clip cannot be read is left out; the row says which ones under "skipped", a list
    of (sample, reason), and the number of rows stays the same in every process. A row without a
    picture gets `blank` as its last sample, of which no token is learned: the vision tower then
    takes part in every row's backward pass, as data-parallel training requires. `make` turns
    samples into a row: `collate`, or `obvlib.training.loading.FastRow`.
    """

    def __init__(
        self,
        rows: Sequence[Sequence[int]],
        load: Callable[[int], ModelInput],
        blank: ModelInput | None = None,
        *,
        make: Callable[[Sequence[ModelInput]], dict[str, Any]] = collate,
    ):
        self.rows, self.load, self.blank, self.make = rows, load, blank, make

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        samples, skipped = [], []
        for sample in self.rows[index]:
            try:
                samples.append(self.load(sample))
            except (ValueError, OSError) as error:  # broken, changed, or out of reach
                skipped.append((sample, f"{type(error).__name__}: {error}"))
        seen = any(s.pixel_values is not None or s.pixel_values_videos is not None for s in samples)
        if self.blank is not None and not seen:
            samples.append(self.blank)
        elif not samples:
            raise ValueError(f"row {index}: none of its samples can be read: {skipped[0][1]}")
        return self.make(samples) | ({"skipped": skipped} if skipped else {})


def blank_sample(tokenizer: Any, spec: VisionSpec, *, normalise: bool = True) -> ModelInput:
    """Return one black picture of one token, with nothing to learn from it."""
    picture = Image(np.zeros((spec.factor, spec.factor, 3), dtype=np.uint8))
    turns = [Turn("user", "-", (picture,)), Turn("assistant", "-")]
    sample = encode(turns, tokenizer, spec, name="blank", normalise=normalise)
    return replace(sample, labels=np.full_like(sample.labels, IGNORE))


def only_row(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Collate nothing: a packed row is a batch already. No cache: with one, transformers
    forgets where samples begin.
    """
    (row,) = rows
    return row | {"use_cache": False}


def label_positions_only(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Ask for logits only where something is learned, which spares most of a CPU's work: position
    i − 1 predicts the label at i.
    """
    row = only_row(rows)
    keep = (row["labels"][0, 1:] != IGNORE).nonzero().flatten()  # (K,)
    return row | {"logits_to_keep": keep, "shift_labels": row["labels"][:, keep + 1]}


def fingerprint(load: Callable[[int], ModelInput], lengths: Sequence[int]) -> str:
    """Return a digest of a data set: every length, and the content of up to 64 samples spread over
    it.
    """
    digest = hashlib.sha256(repr(list(lengths)).encode())
    for index in np.unique(np.linspace(0, len(lengths) - 1, min(64, len(lengths))).astype(int)):
        try:
            sample = load(int(index))
        except (ValueError, OSError) as error:
            digest.update(type(error).__name__.encode())
            continue
        for value in (sample.input_ids, sample.labels, sample.pixel_values_videos):
            digest.update(b"" if value is None else np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()[:16]
