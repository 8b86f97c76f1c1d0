"""The stages that find what is shown: frames to scores, scores to stretches, stretches worth a
clip.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, TypeVar

import numpy as np

from obvlib.core.provenance import hash_files
from obvlib.curation.frames import FrameHead, frame_features, shipped_head
from obvlib.curation.segments import (
    STEP_S,
    Segment,
    SegmentSettings,
    changes_of,
    segments_of_scores,
    snap_to_cuts,
)
from obvlib.engine import Drop
from obvlib.engine.stages import Stage

BATCH = 16  # frames decoded, then scored
SAME_MEAN = 0.4  # grey levels by which a frame may differ from the one before and share its score


@dataclass(frozen=True, kw_only=True)
class Video:
    """A source video: its file, and a sidecar file with captions if there is one."""

    video_id: str
    path: str = field(compare=False)  # a video that moved is the same video
    captions: str = field(default="", compare=False)


@dataclass(frozen=True, kw_only=True)
class ScoredVideo:
    """Frame i of a video, at i * step_s: `scores` that it is medical, `changes` of its features
    from the frame before, and `flat`, the share of its area that is even and bright as slides are.
    """

    video_id: str
    path: str = field(compare=False)
    duration_s: float
    step_s: float
    scores: tuple[float, ...]
    changes: tuple[float, ...]
    flat: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """A stretch of a video that may become a clip."""

    video_id: str
    path: str = field(compare=False)
    start_s: float
    end_s: float
    score: float  # mean of its frames
    change: float  # largest of its frames
    flat: float  # mean of its frames

    @property
    def clip_id(self) -> str:
        return f"{self.video_id}_{round(self.start_s * 1000)}_{round(self.end_s * 1000)}"


AnyStretch = TypeVar("AnyStretch", bound="Stretch")


@dataclass(frozen=True, kw_only=True)
class SegmentedVideo:
    """The stretches of a video that its scores propose."""

    video_id: str
    stretches: tuple[Stretch, ...]


@dataclass(frozen=True, kw_only=True)
class ScoreFrames(Stage):
    """Score a frame of a video every `step_s`, in one decoding pass. A frame that equals the one
    before within `SAME_MEAN` grey levels shares its score.
    """

    step_s: float = STEP_S
    name: ClassVar[str] = "score_frames"
    result: ClassVar[type] = ScoredVideo

    def params(self) -> dict[str, Any]:
        return {"step_s": self.step_s, "head": hash_files([shipped_head()])}

    def inputs(self, video: Video) -> Sequence[str]:
        return (video.path,)

    def weight(self, video: Video) -> float:
        return 1.0

    def __call__(self, video: Video) -> ScoredVideo:
        from obvlib.encoders.pictures import picture_encoder
        from obvlib.media import open_source
        from obvlib.media.clean import duration_s, frames_shown
        from obvlib.media.decode import to_rgb

        head = FrameHead.load()
        encoder = picture_encoder(head.encoder)
        features: list[np.ndarray] = []
        flat: list[float] = []
        waiting: list[np.ndarray] = []
        repeats: list[int] = []
        with open_source(self.fetch(video.path)) as source:
            length_s = duration_s(source)
            times = (np.arange(max(1, int(np.ceil(length_s / self.step_s)))) * self.step_s).tolist()
            last = None
            for frame in frames_shown(source, times):
                pixels = to_rgb(frame, *encoder.input_size(frame.height, frame.width))
                if last is not None and is_same(pixels, last):
                    repeats[-1] += 1
                    continue
                last = pixels
                waiting.append(pixels)
                repeats.append(1)
                flat.append(flat_share(pixels))
                if len(waiting) == BATCH:
                    features.append(frame_features(waiting, head.encoder))
                    waiting = []
        if waiting:
            features.append(frame_features(waiting, head.encoder))
        every = np.concatenate(features)
        index = np.repeat(np.arange(len(every)), repeats)
        return ScoredVideo(
            video_id=video.video_id,
            path=video.path,
            duration_s=length_s,
            step_s=self.step_s,
            scores=_rounded(head.scores(every)[index]),
            changes=_rounded(changes_of(head.standardised(every[:, 0])[index])),
            flat=_rounded(np.array(flat)[index]),
        )


@dataclass(frozen=True, kw_only=True)
class FindSegments(Stage):
    """Turn scores into stretches; with `refine`, move their ends to the shot boundaries nearby."""

    settings: SegmentSettings = field(default_factory=SegmentSettings)
    refine: bool = True
    name: ClassVar[str] = "find_segments"
    result: ClassVar[type] = SegmentedVideo

    def params(self) -> dict[str, Any]:
        return asdict(self.settings) | {"refine": self.refine}

    def inputs(self, scored: ScoredVideo) -> Sequence[str]:
        return (scored.path,) if self.refine else ()

    def __call__(self, scored: ScoredVideo) -> SegmentedVideo | Drop:
        scores, changes = np.array(scored.scores), np.array(scored.changes)
        found = segments_of_scores(scores, changes, self.settings, scored.step_s)
        if not found:
            return Drop("no stretch of it shows a medical picture for long enough")
        found = [Segment(s, min(e, scored.duration_s)) for s, e in found]
        if self.refine:
            found = [self._refined(scored, segment) for segment in found]
        return SegmentedVideo(
            video_id=scored.video_id,
            stretches=tuple(_stretch(scored, segment) for segment in found),
        )

    def _refined(self, scored: ScoredVideo, segment: Segment) -> Segment:
        """Return the cuts within one step of the edges; the end of a segment is one step after its
        last positive frame, so its cut lies before it.
        """
        cuts = [
            cut
            for edge_s in segment
            for cut in cuts_near(self.fetch(scored.path), edge_s, scored.duration_s)
        ]
        step = scored.step_s
        last = Segment(segment.start_s, max(segment.start_s, segment.end_s - step))
        snapped = snap_to_cuts(last, cuts, step + 0.05)
        moved = snapped.end_s != last.end_s
        return Segment(snapped.start_s, snapped.end_s if moved else segment.end_s)


@dataclass(frozen=True, kw_only=True)
class KeepSegment(Stage):
    """Drop, with a reason, a stretch that is too short for a clip, a slide, or a picture that does
    not move for longer than `max_static_s`.
    """

    settings: SegmentSettings = field(default_factory=SegmentSettings)
    name: ClassVar[str] = "keep_segment"

    def params(self) -> dict[str, Any]:
        return asdict(self.settings)

    def __call__(self, stretch: AnyStretch) -> AnyStretch | Drop:
        length_s = stretch.end_s - stretch.start_s
        if length_s < self.settings.min_clip_s:
            return Drop(f"shorter than {self.settings.min_clip_s:g} s")
        if stretch.change == 0:  # no frame differs from the one before
            if stretch.flat > self.settings.max_flat:
                return Drop("a slide: it stands still and is mostly even background")
            if length_s > self.settings.max_static_s:
                return Drop(f"nothing moves for more than {self.settings.max_static_s:g} s")
        return stretch


def cuts_near(path: str, at_s: float, duration_s: float, within_s: float = 1.7) -> list[float]:
    """Return the times of shot boundaries within `within_s` of a moment, from every frame there."""
    from obvlib.encoders.shots import HEIGHT, WIDTH, cut_probabilities
    from obvlib.media import frames_at, probe

    fps = min(30.0, probe(path).fps or 25.0)
    first, last = max(0.0, at_s - within_s), min(duration_s, at_s + within_s)
    times = np.arange(np.ceil(first * fps), np.floor(last * fps)) / fps
    if len(times) < 3:
        return []
    frames, shown_s = frames_at(path, times, HEIGHT, WIDTH)
    ends = np.flatnonzero(cut_probabilities(frames)[:-1] > 0.5)
    return [float(shown_s[end + 1]) for end in ends]


def is_same(pixels: np.ndarray, last: np.ndarray) -> bool:
    """Do two frames differ by no more than what a codec does to a still picture?"""
    if pixels.shape != last.shape:
        return False
    apart = np.abs(pixels.astype(np.int16) - last)
    return bool(apart.mean() < SAME_MEAN and apart[::4, ::4].max() < 24)


def flat_share(pixels: np.ndarray) -> float:
    """Return the share of 8 x 8 px blocks of a frame (H, W, 3) that are even and not dark."""
    gray = pixels.mean(axis=2)
    rows, columns = (n // 8 for n in gray.shape)
    blocks = gray[: rows * 8, : columns * 8].reshape(rows, 8, columns, 8)
    return float(((blocks.std(axis=(1, 3)) < 2) & (blocks.mean(axis=(1, 3)) > 40)).mean())


def _stretch(scored: ScoredVideo, segment: Segment) -> Stretch:
    first = int(np.ceil(segment.start_s / scored.step_s - 1e-6))
    frames = slice(first, max(first + 1, int(np.ceil(segment.end_s / scored.step_s - 1e-6))))
    changes = scored.changes[frames][1:]
    return Stretch(
        video_id=scored.video_id,
        path=scored.path,
        start_s=round(segment.start_s, 3),
        end_s=round(segment.end_s, 3),
        score=float(np.mean(scored.scores[frames])),
        change=float(max(changes, default=0.0)),
        flat=float(np.mean(scored.flat[frames])),
    )


def _rounded(values: np.ndarray) -> tuple[float, ...]:
    return tuple(round(float(value), 5) for value in values)
