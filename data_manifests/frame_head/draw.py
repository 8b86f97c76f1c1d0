"""Draw frames of many looks and keep their features, in three steps:

    python draw.py FOLDER gather                      # pictures of packages and repositories
    python draw.py FOLDER train SEED NUM KIND...      # frames to learn from
    python draw.py FOLDER reels SEED                  # a video of every group of looks

The first step alone needs the packages of requirements.txt, and the public repositories of
repositories.json, each at its commit in FOLDER/repositories/OWNER/NAME. Their pictures are read,
and none is passed on: licences differ, some allow research only, and some repositories name none.
Those for training show in no video; those for testing show in the videos of `OUTSIDE` alone. The
head that ships learnt from `train 1 7000 materials train` and `train 1 4500 materials train
further`, and was measured on `reels 1` to `reels 6`.
"""

from __future__ import annotations

import json
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
from obvlib.mini.looks import GROUPS, Group, Looks
from obvlib.mini.looks import Reel as Drawn
from obvlib.mini.materials import MEDICAL_LOOKS, OTHER_LOOKS, Material, gather, gathered, materials

PACKAGES, TESTED = "materials", "test"  # folders of gathered pictures
LEARNT = (PACKAGES, "train", "further")
OUTSIDE = Group(
    "repositories", "viewer", " ".join(f"{look}/" for look in (*MEDICAL_LOOKS, *OTHER_LOOKS))
)
REEL_GROUPS = (*GROUPS, OUTSIDE)


def of_repositories(folder: Path, use: str) -> list[Material]:
    """Return the pictures and films of cloned repositories that are for `use`."""
    table = json.loads(Path(__file__).with_name("repositories.json").read_text(encoding="utf-8"))
    return [
        Material(look=row["look"], file=f"{row['repository']}/{row['folder']}/{name}", path=path)
        for row in table
        if row["use"] == use
        for name in row["files"]
        if (path := folder / "repositories" / row["repository"] / row["folder"] / name)
    ]


@cache
def looks(folder: Path, *names: str) -> Looks:
    """Return gathered pictures of these kinds, listed once a process."""
    return Looks([one for name in names for one in gathered(folder / name)])


def training_frame(folder: Path, seed: int, index: int, *kinds: str) -> dict[str, np.ndarray]:
    """Return the features of a frame, what of each window is medical, and its groups."""
    drawing = looks(folder, *kinds).drawing(seed, index)
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
    group = REEL_GROUPS[number]
    shown = looks(folder, TESTED if group == OUTSIDE else PACKAGES)
    reel = reel_of_looks(shown.reel(group, seed))
    return {f"{name}{number}": values for name, values in reel._asdict().items()}


def in_processes(
    function: Callable[..., dict[str, np.ndarray]], calls: Iterable[tuple]
) -> list[dict[str, np.ndarray]]:
    """Return the results of calls in their order, from one process a core."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(os.cpu_count(), initializer=torch.set_num_threads, initargs=(1,)) as pool:
        return pool.starmap(function, calls, chunksize=1)


def main(folder: Path, step: str, *given: str) -> None:
    """Run one step."""
    folder.mkdir(parents=True, exist_ok=True)
    if step == "gather":
        gather(folder / PACKAGES, materials())
        for use in (*LEARNT[1:], TESTED):
            gather(folder / use, of_repositories(folder, use))
    elif step == "train":
        seed, num, *kinds = given
        calls = ((folder, int(seed), index, *kinds) for index in range(int(num)))
        rows = in_processes(training_frame, calls)
        every = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
        np.savez(folder / f"train{seed}-{num}.npz", **every)
    else:
        (seed,) = given
        calls = ((folder, int(seed), number) for number in range(len(REEL_GROUPS)))
        found = in_processes(reel_of, calls)
        np.savez(folder / f"reels{seed}.npz", **{k: v for one in found for k, v in one.items()})


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
