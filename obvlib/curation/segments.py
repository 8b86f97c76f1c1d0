"""Scores of frames to segments: when a video shows medical pictures, and which stretches to keep.

`find_segments` is the rule of the paper, in one vectorised pass. `smooth_scores` and `refine` are
what the stage adds around it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

PAPER_THRESHOLD, PAPER_MAX_GAP, STEP_S = 0.64, 10, 0.5


class Segment(NamedTuple):
    """A stretch of a video, in seconds from its first frame."""

    start_s: float
    end_s: float


@dataclass(frozen=True, kw_only=True)
class SegmentSettings:
    """How scores become segments. The paper's own values are threshold 0.64 and a gap of 10 frames.
    The threshold here is lower, and `data_manifests/frame_head` says what that gains; the gap is
    shorter, since lectures return to the speaker for as little as three seconds.
    """

    threshold: float = 0.5  # finds most of looks left out; a miss costs as much as a false frame
    max_gap: int = 3  # frames
    smooth: int = 2  # frames on either side whose mean a score becomes, never across a cut
    max_change: float = 0.35  # cosine distance of features above which two frames are a cut apart
    min_clip_s: float = 2.0
    max_static_s: float = 30.0  # a picture that does not move for longer teaches nothing of time
    max_flat: float = 0.6  # share of even, bright area above which a still picture is a slide

    def __post_init__(self) -> None:
        _check(self.threshold, self.max_gap, 1.0)
        if self.smooth < 0 or self.min_clip_s < 0 or self.max_static_s < 0:
            raise ValueError(
                f"smooth is {self.smooth}, min_clip_s {self.min_clip_s}, max_static_s"
                f" {self.max_static_s}: none may be negative"
            )


def find_segments(
    scores: Sequence[float] | np.ndarray,
    threshold: float = PAPER_THRESHOLD,
    max_gap: int = PAPER_MAX_GAP,
    min_length_s: float = 0.0,
    step_s: float = STEP_S,
) -> list[Segment]:
    """Return the segments of frame scores (N,), frame i standing at i * step_s.

    A frame is positive where its score >= threshold in double precision. A segment begins at a
    positive frame and ends once more than `max_gap` frames in a row are not positive; its end is
    the time of its last positive frame, so a lone positive frame gives start = end. It is kept if
    end - start >= min_length_s. ValueError names a score that is NaN.

    The original code compares with a strict ">" instead, which loses a frame whose score is exactly
    the threshold; `np.nextafter(threshold, 2)` as the threshold gives its rule.
    """
    values = np.asarray(scores, dtype=np.float64)
    _check(threshold, max_gap, step_s)
    if values.ndim != 1:
        raise ValueError(f"scores have shape {values.shape}: give one score a frame, shape (N,)")
    if np.isnan(values).any():
        index = int(np.flatnonzero(np.isnan(values))[0])
        raise ValueError(f"scores[{index}] is NaN: score that frame again, or leave the video out")
    positive = np.flatnonzero(values >= threshold)
    if not len(positive):
        return []
    breaks = np.flatnonzero(np.diff(positive) - 1 > max_gap)
    starts = positive[np.concatenate([[0], breaks + 1])] * step_s
    ends = positive[np.concatenate([breaks, [len(positive) - 1]])] * step_s
    kept = ends - starts >= min_length_s
    return [Segment(float(s), float(e)) for s, e in zip(starts[kept], ends[kept], strict=True)]


def smooth_scores(
    scores: np.ndarray, changes: np.ndarray, *, num: int, max_change: float
) -> np.ndarray:
    """Return each score (N,) as the mean, on the logit scale, of the frames up to `num` before and
    after it that are not beyond a cut.

    `changes` (N,) is how much a frame differs from the one before; above `max_change` it begins
    another shot.
    """
    clipped = np.clip(np.asarray(scores, np.float64), 1e-6, 1 - 1e-6)
    logits = np.log(clipped / (1 - clipped))
    shots = np.cumsum(np.asarray(changes) > max_change)
    total, count = np.zeros_like(logits), np.zeros_like(logits)
    for shift in range(-num, num + 1):
        to = slice(max(0, -shift), max(0, len(logits) - max(0, shift)))
        source = slice(max(0, shift), max(0, len(logits) + min(0, shift)))
        same = shots[to] == shots[source]
        total[to] += np.where(same, logits[source], 0)
        count[to] += same
    return 1 / (1 + np.exp(-total / np.maximum(count, 1)))


def changes_of(features: np.ndarray) -> np.ndarray:
    """Return the cosine distance of each frame's features (N, D) from the frame before, (N,)."""
    values = features.astype(np.float32)
    values = values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-9)
    return np.concatenate([[0.0], 1 - (values[1:] * values[:-1]).sum(axis=1)])


def segments_of_scores(
    scores: np.ndarray, features: np.ndarray, settings: SegmentSettings, step_s: float = STEP_S
) -> list[Segment]:
    """Return the segments of scores (N,), smoothed within shots, as stretches a clip is made of:
    `step_s` is added to the end, and what is then shorter than `min_clip_s` is left out.

    `features` (N, D) of the whole frames, or their changes (N,), tell where shots begin.
    """
    changes = changes_of(features) if features.ndim == 2 else features
    smooth = smooth_scores(scores, changes, num=settings.smooth, max_change=settings.max_change)
    found = find_segments(smooth, settings.threshold, settings.max_gap, 0.0, step_s)
    wide = [Segment(start_s, end_s + step_s) for start_s, end_s in found]
    return [s for s in wide if s.end_s - s.start_s >= settings.min_clip_s]


def snap_to_cuts(segment: Segment, cuts_s: Sequence[float], within_s: float) -> Segment:
    """Return the segment with its start moved to the nearest cut before it, and its end to the
    nearest after it, where there is one within `within_s`.

    The first frame of a segment stands up to one step after the cut that brought it on, and the
    last one up to one step before the cut that ends it.
    """
    cuts = np.asarray(cuts_s, dtype=np.float64)
    before = cuts[(cuts <= segment.start_s + 1e-6) & (cuts > segment.start_s - within_s)]
    after = cuts[(cuts > segment.end_s) & (cuts <= segment.end_s + within_s)]
    start_s = float(before.max()) if len(before) else segment.start_s
    return Segment(start_s, float(after.min()) if len(after) else segment.end_s)


def _check(threshold: float, max_gap: int, step_s: float) -> None:
    if not np.isfinite(threshold):
        raise ValueError(f"threshold is {threshold}: give a finite number")
    if max_gap < 0 or max_gap != int(max_gap):
        raise ValueError(f"max_gap is {max_gap}: give a number of frames, at least 0")
    if not 0 < step_s < np.inf:
        raise ValueError(f"step_s is {step_s}: give the seconds between two frames, above 0")
