"""MedFrameQA: one question about two to five frames of a video, with lettered options.

The frames are in the columns `image_1` to `image_5`, in the order in which the question names them;
a question with fewer leaves the last ones empty. Questions are clustered by source video.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from obvlib.core import Example, RecordError
from obvlib.core.records import check_id
from obvlib.manifests.benchmarks.image_questions import picture_path
from obvlib.manifests.benchmarks.reading import Place, text_of
from obvlib.manifests.options import answer_of, options_of

IMAGE_FIELDS = tuple(f"image_{number}" for number in range(1, 6))


def frame_questions(row: Any, place: Place) -> Iterator[Example]:
    """Yield the row's question. RecordError where it has no picture, or one after an empty
    column.
    """
    question = text_of(row, "question", place.where)
    options = options_of(row, place.where)
    if options is None:
        raise RecordError(f"{place.where}: field 'options' is missing; give the options' texts")
    filled = [name for name in IMAGE_FIELDS if row.get(name) is not None]
    if not filled or filled != list(IMAGE_FIELDS[: len(filled)]):
        raise RecordError(
            f"{place.where}: pictures in {filled}; fill image_1 and those after it without a gap"
        )
    name = row.get("question_id") or place.number
    video = row.get("video_id") or f"medframeqa-{name}"
    yield Example(
        example_id=f"medframeqa-{check_id(str(name), place.where)}",
        benchmark=place.name,
        video_id=str(video),
        question=question,
        answer=answer_of(row, options, place.where),
        options=options,
        family="closed",
        media=tuple(str(picture_path(row[field], field, place)[0]) for field in filled),
        media_kind="image",
    )
