"""Whether a test's sources, clips or questions were in the rows that a model was trained on.

A question that is asked about many sources ("Is there a polyp?") is a template and says nothing of
any of them; any other of at least six words is compared by its words.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from obvlib.core import Clip, Example, QAPair
from obvlib.manifests import Contamination, check_contamination
from obvlib.media import correlations, look_at
from obvlib.media.looks import MIN_CORRELATION
from obvlib.scoring.words import words

MIN_WORDS = 6
MIN_OVERLAP = 0.9  # share of words in common, of those in either
KINDS = ("", "open", "closed", "yes_no")  # families that say how, not what


def check_training(
    clips: Sequence[Clip], examples: Sequence[Example], clips_dir: Path | None = None
) -> None:
    """Raise Contamination where a source video, a near-identical question or, with `clips_dir`, a
    near-identical clip of the test is among the training clips.

    Files that are not there, or cannot be read, are left out of the comparison of clips.
    """
    check_contamination(clips, examples)
    if found := near_questions(clips, examples):
        example, clip = found[0]
        raise Contamination(
            f"{len(found)} test questions are in training almost word for word, the first"
            f" {example.example_id!r} about {clip.video_id!r}: remove its clip, or the question"
        )
    if clips_dir is None:
        return
    files = [clips_dir / clip.file_name for clip in clips]
    shown = [Path(p) for e in examples if e.media_kind == "video" for p in e.media]
    if same := near_clips(filter(Path.is_file, files), filter(Path.is_file, dict.fromkeys(shown))):
        known, path = same[0]
        raise Contamination(
            f"{len(same)} test clips look like training clips, the first {path.name} like"
            f" {known.name}: remove the training clip, or the test question"
        )


def near_questions(
    clips: Sequence[Clip], examples: Sequence[Example]
) -> list[tuple[Example, Clip]]:
    """Test questions that a training clip asks and answers almost word for word, with that clip.

    What more than two sources are asked (a family of questions, or the same words) is a template,
    and left out.
    """
    sources: dict[frozenset[str] | str, set[str]] = {}
    trained: dict[frozenset[str], Clip] = {}
    for clip in clips:
        for pair in clip.qa_pairs:
            sources.setdefault(_topic(pair), set()).add(clip.video_id)
            trained.setdefault(_said(pair.question, pair.answer_text), clip)
    for example in examples:
        sources.setdefault(_topic(example), set()).add(example.video_id)
    index: dict[str, list[frozenset[str]]] = {}
    for said in trained:
        for word in said:
            index.setdefault(word, []).append(said)
    found = []
    for example in examples:
        said = _said(example.question, example.answer_text)
        if len(said) < MIN_WORDS or len(sources[_topic(example)]) > 2:
            continue
        rarest = sorted(said, key=lambda word: len(index.get(word, ())))
        # at most a tenth of the words may be missing, so one of the first few is shared
        near = {t for word in rarest[: 1 + len(said) // 9] for t in index.get(word, ())}
        match = next((t for t in near if len(said & t) >= MIN_OVERLAP * len(said | t)), None)
        if match is not None:
            found.append((example, trained[match]))
    return found


def near_clips(training: Iterable[Path], tested: Iterable[Path]) -> list[tuple[Path, Path]]:
    """Return the pairs (training, test) of clip files that look almost the same, whatever their
    size and compression.
    """
    first, second = _looks(training), _looks(tested)
    if not first or not second:
        return []
    alike = correlations(np.stack([*second.values()]), np.stack([*first.values()]))
    known, shown = list(first), list(second)
    return [(known[j], shown[i]) for i, j in np.argwhere(alike >= MIN_CORRELATION).tolist()]


def _looks(paths: Iterable[Path]) -> dict[Path, np.ndarray]:
    """Return the look of each clip that can be read."""
    found = {}
    for path in paths:
        with suppress(ValueError, OSError):
            found[path] = look_at(path)
    return found


def _topic(asked: QAPair | Example) -> frozenset[str] | str:
    """Return what is asked: the family, where it names more than the kind of answer, else the
    words.
    """
    return asked.family if asked.family not in KINDS else _said(asked.question)


def _said(*texts: str) -> frozenset[str]:
    return frozenset(words(" ".join(texts)))
