"""Train the frame head, measure it on looks left out, and write it: `python fit.py FOLDER`.

FOLDER holds what draw.py wrote. For every group the head is trained without it and scored on videos
of it. How window scores become a probability is itself fitted on looks left out: each frame's
window scores come from a head that has not seen its look, so the probability is calibrated for
looks that are new.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

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
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0].files}


def fit(data: dict[str, np.ndarray], rows: np.ndarray, groups: list[int]) -> FrameHead:
    """Return a head fitted on `rows`, its probabilities on the `groups` left out in turn."""
    logits, truth = [], []
    for group in groups:
        held = data["left_out"][:, group - 1]
        windows = fit_windows(data["features"], data["shares"], rows & ~held)
        chosen = np.flatnonzero(rows & held)
        logits.append(pooled(windows.window_logits(data["features"][chosen])))
        truth.append(data["shares"][chosen, 0] >= MEDICAL_SHARE)
    windows = fit_windows(data["features"], data["shares"], rows)
    return fit_pool(windows, np.concatenate(logits), np.concatenate(truth))


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
    every = np.ones(len(data["looks"]), bool)
    left_out = {}
    for group in GROUPS:
        others = [other for other in GROUPS if other != group]
        head = fit(data, every & ~data["left_out"][:, group - 1], others)
        left_out[GROUP_NAMES[group]] = measure(head, group, folder)
        print(GROUP_NAMES[group], left_out[GROUP_NAMES[group]], flush=True)
    head = fit(data, every, list(GROUPS))
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
