"""SurgeryVideoQA and the mini corpus: questions about clips of source videos.

One row asks one question, or holds a list of them; several rows may ask about one clip. Questions
are numbered within their clip.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from obvlib.core import Clip, Example, RecordError
from obvlib.manifests.benchmarks.reading import Place, family_of
from obvlib.manifests.rows import clip_from_row


class ClipQuestions:
    """A reader of rows about clips; it knows how many questions each clip has had."""

    def __init__(self) -> None:
        self._asked: dict[str, list[str]] = {}

    def __call__(self, row: Any, place: Place) -> Iterator[Example]:
        """Return the row's questions. RecordError where a clip is asked the same question twice."""
        clip = clip_from_row(row, place.where)
        if not clip.qa_pairs:
            raise RecordError(f"{place.where}: field 'question' is missing; add it to the row")
        asked = self._asked.setdefault(clip.clip_id, [])
        for example in clip_examples([clip], place.name, place.folder, first=len(asked)):
            if example.question in asked:
                raise RecordError(
                    f"{place.where}: question {example.question!r} about {clip.clip_id} comes"
                    " twice; remove the repeated row"
                )
            asked.append(example.question)
            yield example


def clip_examples(
    clips: Iterable[Clip], benchmark: str, folder: Path, first: int = 0
) -> Iterator[Example]:
    """Return one example for each question of each clip; its media is the clip's slice in `folder`.

    `first` is the number of a clip's first question.
    """
    for clip in clips:
        for number, pair in enumerate(clip.qa_pairs, start=first):
            yield Example(
                example_id=f"{clip.clip_id}-{number}",
                benchmark=benchmark,
                video_id=clip.video_id,
                question=pair.question,
                answer=pair.answer,
                options=pair.options,
                family=pair.family or family_of(pair.answer, pair.options),
                media=(str(folder / clip.file_name),),
            )
