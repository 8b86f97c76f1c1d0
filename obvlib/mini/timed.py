"""Clips with frames enough to see time, and questions that need it: how fast the heart beats, which
way a scan scrolls or the folds of a wall move, which of two scenes came first.

Three in four clips show one scene, as in `obvlib.mini.clips`. Every fourth is a cut from one scene
to another of a different kind. Eight frames a second lie well above twice the fastest heart's 2.2
beats a second, so that no rate looks like another (Nyquist), and a fixed rate is what lets a model
that is not told the time count beats by the frame.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from obvlib.core import FramePolicy, QAPair
from obvlib.mini.clips import SeenClip, clip_scene
from obvlib.mini.ct import CtScene
from obvlib.mini.echo import EchoScene, contraction
from obvlib.mini.endoscopy import EndoscopyScene
from obvlib.mini.questions import MODALITIES, closed, questions
from obvlib.mini.render import Scene, render

POLICY = FramePolicy(
    fps=8.0,
    max_frames=80,
    max_visual_tokens=160,  # 40 temporal patches of 56 x 56 px
    min_pixels=28 * 28,
    max_pixels=56 * 84 - 1,
    max_image_pixels=56 * 84 - 1,
)
KINDS = (*MODALITIES, "cut")
SIZE = 56  # px, height and width
MIN_SPEED = 0.2  # folds per second; slower ones are not asked about
CUT_RANGE = (0.35, 0.65)  # where one scene gives way to the other, as a share of the clip
MOMENTS = "moments"  # the family of questions that are only learned from
_PARTNERS = 1_000_000  # the first index of the scenes that cuts are made of


def timed_clips(
    num: int,
    seed: int,
    *,
    split: str = "train",
    start: int = 0,
    step: int = 1,
    kinds: tuple[str, ...] = KINDS,
    moments: bool = False,
) -> Iterator[SeenClip]:
    """Draw `num` clips of `kinds` at the times of `POLICY`, each with its questions, from numbers
    `start`, `start + step`, …; split "heldout" draws from streams that training never sees. With
    `moments` hearts and colons have one question more (`_moments`), to learn from.
    """
    if not kinds or not set(kinds) <= set(KINDS):
        raise ValueError(f"kinds {kinds}: use some of {', '.join(KINDS)}")
    drawn = (_clip(split, seed, index, kinds, moments) for index in itertools.count(start, step))
    return itertools.islice((clip for clip in drawn if clip is not None), num)


def _clip(
    split: str, seed: int, index: int, kinds: tuple[str, ...], moments: bool
) -> SeenClip | None:
    """Return clip `index`, or None, before a frame is drawn, where it is of another kind."""
    if index % 4 == 3:
        return _cut(split, seed, index) if "cut" in kinds else None
    scene, rng = clip_scene(split, seed, index, POLICY.max_frames)
    if scene.truth.kind not in kinds:
        return None
    times_s = POLICY.sample_times(scene.duration_s)
    asked = (*questions(scene.truth, rng), *_direction(scene, rng))
    return SeenClip(
        name=f"timed-{split}-{seed}-{index}",
        frames=render(scene, times_s, SIZE, SIZE),
        times_s=times_s,
        qa_pairs=(*asked, *_moments(scene, times_s)) if moments else asked,
    )


def _direction(scene: Scene, rng: np.random.Generator) -> list[QAPair]:
    """Return which way the scene moves, where it moves one way."""
    picture = scene.picture
    if isinstance(picture, CtScene):
        ways = ("towards the feet", "towards the head")
        return [closed("scroll_direction", ways[picture.backwards], ways, rng)]
    if isinstance(picture, EndoscopyScene) and abs(picture.speed) >= MIN_SPEED:
        ways = ("towards the camera", "away from the camera")
        return [closed("fold_direction", ways[picture.speed < 0], ways, rng)]
    return []


def _moments(scene: Scene, times_s: np.ndarray) -> list[QAPair]:
    """Return what is seen frame by frame: a ventricle that is wide or narrow, a fold in the first
    to fourth quarter of its way.
    """
    picture = scene.picture
    if isinstance(picture, EchoScene):
        beats = times_s * picture.heart_rate_bpm / 60 + picture.phase
        seen = ["narrow" if level > 0.5 else "wide" for level in contraction(beats)]
        asked = "Is the ventricle wide or narrow, frame by frame?"
    elif isinstance(picture, EndoscopyScene):
        way = np.mod(picture.folds * np.log(2) + picture.speed * times_s, 1)  # half-way out
        seen = [str(1 + int(4 * part)) for part in way]
        asked = "In which quarter of its way is the fold, frame by frame?"
    else:
        return []
    return [QAPair(question=asked, answer=" ".join(seen), family=MOMENTS)]


def _cut(split: str, seed: int, index: int) -> SeenClip:
    """Return one scene, then one of another kind; asked is which came first."""
    at = _PARTNERS + 64 * index
    first, rng = clip_scene(split, seed, at, POLICY.max_frames)
    second = first
    while second.truth.kind == first.truth.kind:
        at += 1
        second, _ = clip_scene(split, seed, at, POLICY.max_frames)
    times_s = POLICY.sample_times(first.duration_s)
    cut_s = first.duration_s * rng.uniform(*CUT_RANGE)
    if rng.random() < 0.5:  # or the kind that is drawn more often would come first more often
        first, second = second, first
    before, after = times_s[times_s < cut_s], times_s[times_s >= cut_s] - cut_s
    frames = [render(s, t, SIZE, SIZE) for s, t in ((first, before), (second, after))]
    kinds = [MODALITIES[scene.truth.kind] for scene in (first, second)]
    return SeenClip(
        name=f"timed-{split}-{seed}-{index}",
        frames=np.concatenate(frames),
        times_s=times_s,
        qa_pairs=(closed("order", kinds[0], tuple(kinds), rng),),
    )
