"""Whether a test's sources, clips or questions were in the rows that a model was trained on.

A question that is asked about several sources ("Is there a polyp?") says nothing of any of them and
is left out; one of at least six words that belongs to a single source is compared by its words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from obvlib.core import Clip, Example, FramePolicy
from obvlib.manifests import Contamination, check_contamination
from obvlib.media import clip_frames
from obvlib.scoring.words import words

MIN_WORDS = 6
MIN_OVERLAP = 0.9  # share of words in common, of those in either
MAX_DISTANCE = 0.03  # share of a frame's brightness steps that differ
_LOOK = FramePolicy.mini()


def check_training(clips: Sequence[Clip], examples: Sequence[Example]) -> None:
    """Raise Contamination where a source video or a near-identical question of the test is among
    the training clips.
    """
    check_contamination(clips, examples)
    if found := near_questions(clips, examples):
        example, clip = found[0]
        raise Contamination(
            f"{len(found)} test questions are in training almost word for word, the first"
            f" {example.example_id!r} about {clip.video_id!r}: remove its clip, or the question"
        )


def near_questions(
    clips: Iterable[Clip], examples: Iterable[Example]
) -> list[tuple[Example, Clip]]:
    """Test questions of one source that a training clip asks too, with that clip."""
    trained: dict[frozenset[str], Clip] = {}
    for clip in clips:
        for pair in clip.qa_pairs:
            trained.setdefault(_said(pair.question, pair.answer_text), clip)
    sources: dict[frozenset[str], set[str]] = {}
    asked = [(_said(e.question, e.answer_text), e) for e in examples]
    for said, example in asked:
        sources.setdefault(said, set()).add(example.video_id)
    index: dict[str, list[frozenset[str]]] = {}
    for said in trained:
        for word in said:
            index.setdefault(word, []).append(said)
    found = []
    for said, example in asked:
        if len(said) >= MIN_WORDS and len(sources[said]) == 1:
            rarest = sorted(said, key=lambda word: len(index.get(word, ())))
            # at most a tenth of the words may be missing, so one of the first few is shared
            near = {t for word in rarest[: 1 + len(said) // 9] for t in index.get(word, ())}
            match = next((t for t in near if len(said & t) >= MIN_OVERLAP * len(said | t)), None)
            if match is not None:
                found.append((example, trained[match]))
    return found


def near_clips(
    training: Iterable[Path], tested: Iterable[Path], policy: FramePolicy = _LOOK
) -> list[tuple[Path, Path]]:
    """Pairs (training, test) of clip files that look almost the same, frame by frame, whatever
    their size and compression.
    """
    looks: Mapping[Path, np.ndarray] = {path: look_of(path, policy) for path in training}
    return [
        (known, path)
        for path in tested
        for look in [look_of(path, policy)]
        for known, other in looks.items()
        if look.shape == other.shape and np.mean(look != other) <= MAX_DISTANCE
    ]


def look_of(path: Path, policy: FramePolicy = _LOOK) -> np.ndarray:
    """Whether brightness rises from each of 16 x 17 fields to the next, frame by frame: (T, 16, 16)
    of bool.
    """
    from obvlib.inputs.vision import resize

    frames, _ = clip_frames(path, policy)
    small = resize(frames, 16, 17).astype(np.float32).mean(axis=-1)  # (T, 16, 17)
    return small[:, :, 1:] > small[:, :, :-1]


def _said(question: str, answer: str) -> frozenset[str]:
    return frozenset(words(f"{question} {answer}"))
