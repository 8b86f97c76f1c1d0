"""Clips rendered in memory: as many as a tiny model needs, none of which is in a file.

Every clip has a random stream of its own, keyed by split and number. So training and held-out clips
never share one, and clip 7 is the same clip whether ten or a thousand are asked for.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np

from obvlib.core import Example, QAPair
from obvlib.engine.processes import watch_parent
from obvlib.mini.questions import EF_CLASSES, caption, questions
from obvlib.mini.render import Scene, Truth, draw_scene, render

DURATION_RANGE_S = (4.6, 9.7)  # up to the longest of the imaging segments of the lecture videos
# One round of clips, dealt in a random order, again and again: every finding comes up equally often
# within its kind.
_DECK = (
    *(("echo", ef_class, "") for ef_class in EF_CLASSES * 2),
    *(("ct", finding, region) for finding in ("yes", "no") for region in ("chest", "head")),
    *(("microscopy", finding, "") for finding in ("yes", "no") * 2),
    *(("endoscopy", finding, "") for finding in ("yes", "no") * 2),
)
_SPLIT_KEYS = {"train": 1, "heldout": 2}


@dataclass(frozen=True, kw_only=True)
class MiniClip:
    """A clip in memory: `frames` (T, H, W, 3) uint8 at `times_s` (T,) from its start, what is said
    and asked about it, and the truth.
    """

    name: str
    frames: np.ndarray
    times_s: np.ndarray
    duration_s: float
    caption: str
    qa_pairs: tuple[QAPair, ...]
    truth: Truth


def training_clips(
    num: int, seed: int, *, num_frames: int = 8, size: int = 56
) -> Iterator[MiniClip]:
    """Render `num` clips to train on, each of `num_frames` frames of `size` x `size` px spread
    evenly over the clip.
    """
    return _clips("train", num, seed, num_frames, size)


def heldout_clips(
    num: int, seed: int, *, num_frames: int = 8, size: int = 56
) -> Iterator[MiniClip]:
    """Render `num` clips that no call of `training_clips` ever gives, whatever the seeds."""
    return _clips("heldout", num, seed, num_frames, size)


def spread_times(duration_s: float, num_frames: int) -> np.ndarray:
    """Return the starts of `num_frames` equal parts of a clip, in seconds: the times that
    `FramePolicy.mini()` picks for 8.
    """
    return np.arange(num_frames) * (duration_s / num_frames)


def clip_scene(
    split: str, seed: int, index: int, num_frames: int = 8
) -> tuple[Scene, np.random.Generator]:
    """Return the scene of clip `index` of a split, and the stream that its caption and questions
    continue from.
    """
    if split not in _SPLIT_KEYS:
        raise ValueError(f"split {split!r} has no clips: use one of {sorted(_SPLIT_KEYS)}")
    round_number, place = divmod(index, len(_DECK))
    order = _stream(split, seed, 0, round_number).permutation(len(_DECK))
    kind, finding, region = _DECK[order[place]]
    rng = _stream(split, seed, 1, index)
    duration_s = float(rng.uniform(*DURATION_RANGE_S))
    times_s = spread_times(duration_s, num_frames)
    return draw_scene(
        rng, kind, finding, duration_s=duration_s, policy_times_s=times_s, region=region
    ), rng


def _clips(split: str, num: int, seed: int, num_frames: int, size: int) -> Iterator[MiniClip]:
    for index in range(num):
        scene, rng = clip_scene(split, seed, index, num_frames)
        times_s = spread_times(scene.duration_s, num_frames)
        yield MiniClip(
            name=f"{split}-{seed}-{index}",
            frames=render(scene, times_s, size, size),
            times_s=times_s,
            duration_s=scene.duration_s,
            caption=caption(scene.truth, rng),
            qa_pairs=questions(scene.truth, rng),
            truth=scene.truth,
        )


def _stream(split: str, seed: int, *key: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_SPLIT_KEYS[split], *key)))


@dataclass(frozen=True, kw_only=True, eq=False)
class SeenClip:
    """A clip as the model sees it: frames (T, H, W, 3) uint8 at times_s (T,), with what is asked
    about it.
    """

    name: str
    frames: np.ndarray
    times_s: np.ndarray
    qa_pairs: tuple[QAPair, ...]


def generated_clips(
    num: int, *, seed: int = 0, split: str = "train", num_workers: int = 2
) -> list[SeenClip]:
    """Return `num` clips drawn in memory, about 15 ms each on a core; split "heldout" draws from
    streams that training never sees.

    The same clips whatever `num_workers` is.
    """
    jobs = [
        (split, seed * 1_000 + start // 250, min(250, num - start)) for start in range(0, num, 250)
    ]
    num_workers = min(num_workers, len(jobs))
    if num_workers < 2:
        return [clip for job in jobs for clip in _draw(job)]
    # a process forked from one with threads may inherit a lock that nobody gives back
    with ProcessPoolExecutor(
        num_workers, get_context("spawn"), initializer=watch_parent, initargs=(os.getpid(),)
    ) as pool:
        return [clip for clips in pool.map(_draw, jobs) for clip in clips]


def _draw(job: tuple[str, int, int]) -> list[SeenClip]:
    from obvlib import mini

    split, seed, num = job
    draw = {"train": mini.training_clips, "heldout": mini.heldout_clips}[split]
    return [
        SeenClip(name=c.name, frames=c.frames, times_s=c.times_s, qa_pairs=c.qa_pairs)
        for c in draw(num, seed)
    ]


def generated_examples(clips: Iterable[SeenClip]) -> list[Example]:
    """Return each question about each generated clip as an Example; its medium is the clip's name,
    which `memory_reader` finds.
    """
    return [
        Example(
            example_id=f"{clip.name}-{pair.family}",
            benchmark="mini_generated",
            video_id=clip.name,
            question=pair.question,
            answer=pair.answer,
            options=pair.options,
            family=pair.family,
            media=(clip.name,),
        )
        for clip in clips
        for pair in clip.qa_pairs
    ]
