"""A probe of time itself: which of four frames shows the heart at the end of systole?

No single frame answers it without the others, and the words of the question give nothing away. In
the drawn clips the state of the heart is known for each frame (a *constructed* label). In the one
real cine the project's author took the last frame in which the mitral valve is closed before it
opens (an *author label*).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from obvlib.core import Example
from obvlib.mini import SeenClip, real_examples
from obvlib.mini.clips import clip_scene, spread_times
from obvlib.mini.echo import EchoScene, contraction
from obvlib.mini.render import render

QUESTION = "At which time does the clip show the end of systole, with the ventricle smallest?"
FAMILY = "end_systole"
MAX_DIASTOLE = 0.6  # contraction in the frames that are offered as wrong answers
REAL_TIMES_S = (0.2, 0.4, 0.6, 0.8)  # the first is right


def frame_question(
    name: str, media: str, times_s: Sequence[float], contracted: Sequence[float]
) -> Example | None:
    """Ask for the frame of the strongest contraction among four of a clip's frames.

    `contracted` says how far, 0 to 1, at each of `times_s`. None where fewer than three frames are
    clearly less contracted.
    """
    best = int(np.argmax(contracted))
    others = [i for i, state in enumerate(contracted) if state < MAX_DIASTOLE]
    if len(others) < 3 or contracted[best] < MAX_DIASTOLE:
        return None
    rng = np.random.default_rng(int(hashlib.sha256(name.encode()).hexdigest()[:8], 16))
    shown = [best, *rng.choice(others, 3, replace=False)]
    return _question(name, media, [times_s[i] for i in shown], rng)


def drawn_probe(num_clips: int, seed: int) -> tuple[list[SeenClip], list[Example]]:
    """Return held-out echo clips, among the first `num_clips` of a seed, and a question for each
    that allows one.
    """
    found = list(_drawn(num_clips, seed))
    return [clip for clip, _ in found], [example for _, example in found]


def real_probe(folder: Path) -> Example:
    """Return the question about the real cine, whose file is written to `folder`."""
    cine = next(e for e in real_examples(folder) if e.media_kind == "video")
    rng = np.random.default_rng(0)
    return _question(cine.video_id, cine.media[0], REAL_TIMES_S, rng)


def _drawn(num_clips: int, seed: int) -> Iterator[tuple[SeenClip, Example]]:
    for index in range(num_clips):
        scene, _ = clip_scene("heldout", seed, index)
        if not isinstance(scene.picture, EchoScene):
            continue
        heart, times_s = scene.picture, spread_times(scene.duration_s, 8)
        state = contraction(times_s * heart.heart_rate_bpm / 60 + heart.phase)
        name = f"end-systole-{seed}-{index}"
        if example := frame_question(name, name, times_s.tolist(), state.tolist()):
            frames = render(scene, times_s, 56, 56)
            yield SeenClip(name=name, frames=frames, times_s=times_s, qa_pairs=()), example


def _question(name: str, media: str, times_s: Sequence[float], rng: np.random.Generator) -> Example:
    """Return the question with four times as options, of which the first given is right."""
    order = rng.permutation(len(times_s))
    return Example(
        example_id=name,
        benchmark="end-systole probe",
        video_id=name,
        question=QUESTION,
        answer="ABCD"[int(np.argmin(order))],
        options={"ABCD"[i]: f"{times_s[k]:.2f} s" for i, k in enumerate(order)},
        family=FAMILY,
        media=(media,),
    )
