"""Draw frames of many looks and keep their features: `python draw.py FOLDER train SEED NUM` or
`python draw.py FOLDER reels SEED`, in as many processes as there are cores.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from obvlib.curation.frames import frame_features, window_shares
from obvlib.mini.looks import GROUPS, Looks


def draw_training(path: Path, num: int, seed: int) -> None:
    """Write the features of `num` frames, what of each window is medical, and their groups."""
    rows: dict[str, list] = {"features": [], "shares": [], "looks": [], "left_out": []}
    for drawing in Looks().drawings(num, seed):
        rows["features"].append(frame_features([drawing.frame])[0].astype(np.float16))
        rows["shares"].append(window_shares(drawing.medical).astype(np.float32))
        rows["looks"].append(drawing.look)
        rows["left_out"].append([drawing.is_of(group) for group in GROUPS])
        if len(rows["looks"]) % 100 == 0:
            print(len(rows["looks"]), flush=True)
    np.savez(path, **{name: np.stack(values) for name, values in rows.items()})


def draw_reels(path: Path, seed: int) -> None:
    """Write the features and the truth of one video of each group."""
    found = {}
    looks = Looks()
    for group in GROUPS:
        reel = looks.reel(group, seed)
        is_new = np.ones(len(reel.frames), bool)
        is_new[1:] = [
            not np.array_equal(a, b) for a, b in zip(reel.frames[1:], reel.frames[:-1], strict=True)
        ]
        features = frame_features(list(reel.frames[is_new])).astype(np.float16)
        found[f"features{group}"] = features[np.cumsum(is_new) - 1]
        found[f"is_medical{group}"] = reel.is_medical
        found[f"segments{group}"] = np.array(reel.segments)
        print("reel", group, len(reel.frames), int(is_new.sum()), flush=True)
    np.savez(path, **found)


if __name__ == "__main__":
    folder, kind, seed = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    folder.mkdir(parents=True, exist_ok=True)
    if kind == "train":
        draw_training(folder / f"train{seed}.npz", int(sys.argv[4]), seed)
    else:
        draw_reels(folder / f"reels{seed}.npz", seed)
