"""Train the frame head, measure it on looks left out, and write it: `python fit.py FOLDER [OUT]`.

FOLDER holds what draw.py wrote. For every group the head is trained without it and scored on videos
of it. How six numbers of the window scores become a probability is fitted on the other groups of
packages, each scored by a head that had not seen it, so that the probability is calibrated for
looks that are new. Intervals are 95 % bootstraps over videos.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from draw import MATERIALS, Reel

from obvlib.core.files import replacing
from obvlib.curation.frames import FrameHead, pooled, shipped_head
from obvlib.curation.head import MEDICAL_SHARE, fit_pool, fit_windows
from obvlib.curation.measures import auc, segment_f1
from obvlib.curation.segments import SegmentSettings, segments_of_scores
from obvlib.mini.looks import GROUPS, PACKAGE_GROUPS, Group
from obvlib.mini.materials import gathered

Scores = tuple[float, float]  # AUC and segment F1 of one video


class LeftOut(NamedTuple):
    """A head that has not seen a group, and what it says of the group's frames."""

    windows: FrameHead
    numbers: np.ndarray  # (N, 6), as `pooled` gives them
    truth: np.ndarray  # (N,) bool


def load(folder: Path) -> dict[str, np.ndarray]:
    """Return the drawn training frames of all seeds."""
    parts = [np.load(path) for path in sorted(folder.glob("train*.npz"))]
    data = {name: np.concatenate([part[name] for part in parts]) for name in parts[0].files}
    return data | {"medical": data["shares"][:, 0] >= MEDICAL_SHARE}


def leave_out(data: dict[str, np.ndarray], group: Group) -> LeftOut:
    """Fit on frames in which nothing of `group` shows, and score those in which something does."""
    held = data["left_out"][:, GROUPS.index(group)]
    windows = fit_windows(data["features"], data["shares"], ~held)
    numbers = pooled(windows.window_logits(data["features"][held]))
    return LeftOut(windows, numbers, data["medical"][held])


def pooled_head(windows: FrameHead, parts: Sequence[LeftOut]) -> FrameHead:
    """Return the head with its probability fitted on frames whose group was left out."""
    numbers = np.concatenate([part.numbers for part in parts])
    return fit_pool(windows, numbers, np.concatenate([part.truth for part in parts]))


def scores_of(
    head: FrameHead, features: np.ndarray, is_medical: np.ndarray, segments: np.ndarray
) -> Scores:
    """Return AUC and segment F1 of a head on one video."""
    scores = head.scores(features)
    shots = head.standardised(features[:, 0])
    found = segments_of_scores(scores, shots, SegmentSettings())
    return auc(is_medical, scores), segment_f1(found, [tuple(s) for s in segments.tolist()])


def measure(head: FrameHead, group: Group, folder: Path) -> list[Scores]:
    """Return the scores of a head on each video of a group."""
    number = GROUPS.index(group)
    reels = [np.load(path) for path in sorted(folder.glob("reels*.npz"))]
    return [scores_of(head, *(reel[f"{name}{number}"] for name in Reel._fields)) for reel in reels]


def told(scores: Sequence[Scores]) -> dict[str, Any]:
    """Return the means over videos, with their 95 % intervals."""
    values = np.array(scores)
    picks = np.random.default_rng(0).integers(len(values), size=(2000, len(values)))
    low, high = np.percentile(values[picks].mean(axis=1), [2.5, 97.5], axis=0).round(3).tolist()
    mean = values.mean(axis=0).round(3).tolist()
    return {
        "auc": mean[0], "auc_95": [low[0], high[0]],
        "segment_f1": mean[1], "segment_f1_95": [low[1], high[1]], "videos": len(values),
    }  # fmt: skip


def main(folder: Path, out: Path) -> None:
    """Fit, measure and write."""
    data = load(folder)
    parts = {group: leave_out(data, group) for group in GROUPS}
    left_out = {}
    for group, part in parts.items():
        others = [parts[other] for other in PACKAGE_GROUPS if other != group]
        left_out[group] = measure(pooled_head(part.windows, others), group, folder)
        print(group.name, told(left_out[group]), flush=True)
    windows = fit_windows(data["features"], data["shares"], np.ones(len(data["medical"]), bool))
    head = pooled_head(windows, [parts[group] for group in PACKAGE_GROUPS])
    head.save(out / shipped_head().name)
    packages = [scores for group in PACKAGE_GROUPS for scores in left_out[group]]
    kinds = [s for group in GROUPS if group not in PACKAGE_GROUPS for s in left_out[group]]
    seen = [scores for group in PACKAGE_GROUPS for scores in measure(head, group, folder)]
    report = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "script": "data_manifests/frame_head/draw.py, fit.py",
        "materials_sha256": (folder / MATERIALS / "sha256").read_text().strip(),
        "num_materials": len(gathered(folder / MATERIALS)),
        "num_frames": len(data["medical"]),
        "encoder": head.encoder,
        "packages_left_out": {g.name: told(left_out[g]) for g in PACKAGE_GROUPS},
        "kinds_left_out": {g.name: told(left_out[g]) for g in GROUPS if g not in PACKAGE_GROUPS},
        "mean_of_packages_left_out": told(packages),
        "mean_of_kinds_left_out": told(kinds),
        "videos_of_seen_looks": told(seen),
    }
    with replacing((out / shipped_head().name).with_suffix(".json")) as partial:
        Path(partial).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(report["mean_of_packages_left_out"]), json.dumps(told(kinds)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else shipped_head().parent)
