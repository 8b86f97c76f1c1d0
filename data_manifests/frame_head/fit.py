"""Train the frame head, measure it on looks left out, and write it: `python fit.py FOLDER`.

FOLDER holds what draw.py wrote. For every group the head is trained without it and scored on videos
of it. How six numbers of the window scores become a probability is fitted on the other groups, each
scored by a head that had not seen it, so that the probability is calibrated for looks that are new.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np

from obvlib.core.files import replacing
from obvlib.curation.frames import FrameHead, pooled, shipped_head
from obvlib.curation.head import MEDICAL_SHARE, fit_pool, fit_windows
from obvlib.curation.measures import auc, segment_f1
from obvlib.curation.segments import SegmentSettings, segments_of_scores
from obvlib.mini.looks import GROUP_NAMES, GROUPS
from obvlib.mini.materials import hash_materials, materials

NUM_REELS = 3


def load(folder: Path) -> dict[str, np.ndarray]:
    """Return the drawn training frames of all seeds."""
    parts = [np.load(path) for path in sorted(folder.glob("train*.npz"))]
    data = {name: np.concatenate([part[name] for part in parts]) for name in parts[0].files}
    return data | {"medical": data["shares"][:, 0] >= MEDICAL_SHARE}


class LeftOut(NamedTuple):
    """A head that has not seen a group, and what it says of the group's frames."""

    windows: FrameHead
    numbers: np.ndarray  # (N, 6), as `pooled` gives them
    truth: np.ndarray  # (N,) bool


def leave_out(data: dict[str, np.ndarray], group: int) -> LeftOut:
    """Fit on frames in which nothing of `group` shows, and score those in which something does."""
    held = data["left_out"][:, group - 1]
    windows = fit_windows(data["features"], data["shares"], ~held)
    numbers = pooled(windows.window_logits(data["features"][held]))
    return LeftOut(windows, numbers, data["medical"][held])


def pooled_head(windows: FrameHead, parts: list[LeftOut]) -> FrameHead:
    """Return the head with its probability fitted on frames whose group was left out."""
    numbers = np.concatenate([part.numbers for part in parts])
    return fit_pool(windows, numbers, np.concatenate([part.truth for part in parts]))


def measure(head: FrameHead, group: int, folder: Path) -> dict[str, float]:
    """Return AUC and segment F1 of a head on the videos of a group."""
    scores, truth, f1 = [], [], []
    for seed in range(1, NUM_REELS + 1):
        reel = np.load(folder / f"reels{seed}.npz")
        features = reel[f"features{group}"]
        scores.append(head.scores(features))
        truth.append(reel[f"is_medical{group}"])
        found = segments_of_scores(scores[-1], features[:, 0], SegmentSettings())
        true = [tuple(pair) for pair in reel[f"segments{group}"].tolist()]
        f1.append(segment_f1(found, true))
    found = auc(np.concatenate(truth), np.concatenate(scores))
    return {"auc": round(found, 3), "segment_f1": round(float(np.mean(f1)), 3)}


def main(folder: Path) -> None:
    """Fit, measure and write."""
    data = load(folder)
    parts = {group: leave_out(data, group) for group in GROUPS}
    left_out = {}
    for group, part in parts.items():
        others = [parts[other] for other in GROUPS if other != group]
        head = pooled_head(part.windows, others)
        left_out[GROUP_NAMES[group]] = measure(head, group, folder)
        print(GROUP_NAMES[group], left_out[GROUP_NAMES[group]], flush=True)
    windows = fit_windows(data["features"], data["shares"], np.ones(len(data["looks"]), bool))
    head = pooled_head(windows, list(parts.values()))
    head.save(shipped_head())
    seen = {GROUP_NAMES[group]: measure(head, group, folder) for group in GROUPS}
    mean = {
        key: round(float(np.mean([row[key] for row in left_out.values()])), 3)
        for key in ("auc", "segment_f1")
    }
    report = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "script": "data_manifests/frame_head/draw.py, fit.py",
        "materials_sha256": hash_materials(materials()),
        "num_materials": len(materials()),
        "num_frames": len(data["looks"]),
        "encoder": head.encoder,
        "looks_left_out": left_out,
        "mean_of_looks_left_out": mean,
        "videos_of_seen_looks": seen,
    }
    with replacing(shipped_head().with_suffix(".json")) as partial:
        Path(partial).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(mean, seen)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
