"""Train the frame head, measure it on looks left out, and write it: `python fit.py FOLDER [OUT]`.

FOLDER holds what draw.py wrote. For every group the head is trained without it and scored on videos
of it. How six numbers of the window scores become a probability is fitted on the other groups of
packages, each scored by a head that had not seen it, so that the probability is calibrated for
looks that are new. The repositories of `OUTSIDE` were in no training; the threshold, the size of
the head and what to learn from were chosen without them, the layers with some of them in view.
Intervals are 95 % bootstraps over videos.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from draw import LEARNT, OUTSIDE, REEL_GROUPS, TESTED, Reel

from obvlib.core.files import replacing
from obvlib.curation.frames import FrameHead, pooled, shipped_head
from obvlib.curation.head import MEDICAL_SHARE, fit_pool, fit_windows
from obvlib.curation.measures import auc, segment_f1
from obvlib.curation.segments import (
    PAPER_THRESHOLD,
    SegmentSettings,
    changes_of,
    segments_of_scores,
)
from obvlib.mini.looks import GROUPS, PACKAGE_GROUPS, Group
from obvlib.mini.materials import gathered

THRESHOLDS = (0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, PAPER_THRESHOLD, 0.7)


class Scores(NamedTuple):
    """AUC of one video, and its segment F1 at each of `THRESHOLDS`."""

    auc: float
    f1: tuple[float, ...]


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
    changes = changes_of(head.standardised(features[:, 0]))
    true = [tuple(s) for s in segments.tolist()]
    found = [
        segments_of_scores(scores, changes, SegmentSettings(threshold=one)) for one in THRESHOLDS
    ]
    return Scores(auc(is_medical, scores), tuple(segment_f1(one, true) for one in found))


def measure(head: FrameHead, group: Group, folder: Path) -> list[Scores]:
    """Return the scores of a head on each video of a group."""
    number = REEL_GROUPS.index(group)
    reels = [np.load(path) for path in sorted(folder.glob("reels*.npz"))]
    return [scores_of(head, *(reel[f"{name}{number}"] for name in Reel._fields)) for reel in reels]


def told(
    scores: Sequence[Scores], threshold: float = SegmentSettings().threshold
) -> dict[str, Any]:
    """Return the means over videos, with their 95 % intervals."""
    values = np.array([(one.auc, one.f1[THRESHOLDS.index(threshold)]) for one in scores])
    picks = np.random.default_rng(0).integers(len(values), size=(2000, len(values)))
    low, high = np.percentile(values[picks].mean(axis=1), [2.5, 97.5], axis=0).round(3).tolist()
    mean = values.mean(axis=0).round(3).tolist()
    return {
        "auc": mean[0], "auc_95": [low[0], high[0]],
        "segment_f1": mean[1], "segment_f1_95": [low[1], high[1]], "videos": len(values),
    }  # fmt: skip


def f1_of(groups: Sequence[Sequence[Scores]]) -> np.ndarray:
    """Return the mean segment F1 over the videos of groups, at each of `THRESHOLDS`."""
    return np.mean([one.f1 for group in groups for one in group], axis=0)


def chosen_elsewhere(groups: Sequence[Sequence[Scores]]) -> float:
    """Return the mean segment F1 where each group's threshold is the best one of the others."""
    found = []
    for group in groups:
        best = int(f1_of([other for other in groups if other is not group]).argmax())
        found += [one.f1[best] for one in group]
    return round(float(np.mean(found)), 3)


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
    by_package = [left_out[group] for group in PACKAGE_GROUPS]
    packages = [scores for group in by_package for scores in group]
    kinds = [s for group in GROUPS if group not in PACKAGE_GROUPS for s in left_out[group]]
    seen = [scores for group in PACKAGE_GROUPS for scores in measure(head, group, folder)]
    report = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "script": "data_manifests/frame_head/draw.py, fit.py",
        "materials_sha256": {
            name: (folder / name / "sha256").read_text().strip() for name in (*LEARNT, TESTED)
        },
        "num_materials": sum(len(gathered(folder / name)) for name in LEARNT),
        "num_frames": len(data["medical"]),
        "encoder": head.encoder,
        "packages_left_out": {g.name: told(left_out[g]) for g in PACKAGE_GROUPS},
        "kinds_left_out": {g.name: told(left_out[g]) for g in GROUPS if g not in PACKAGE_GROUPS},
        "mean_of_packages_left_out": told(packages),
        "mean_of_packages_left_out_at_paper_threshold": told(packages, PAPER_THRESHOLD),
        "threshold": {
            "packages_left_out": dict(zip(THRESHOLDS, f1_of(by_package).round(3), strict=True)),
            "chosen_on_other_packages": chosen_elsewhere(by_package),
        },
        "mean_of_kinds_left_out": told(kinds),
        "repositories_never_seen": told(measure(head, OUTSIDE, folder)),
        "videos_of_seen_looks": told(seen),
    }
    with replacing((out / shipped_head().name).with_suffix(".json")) as partial:
        Path(partial).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(report["mean_of_packages_left_out"]), json.dumps(told(kinds)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else shipped_head().parent)
