"""MedQA (USMLE): a vignette with lettered options; text alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from obvlib.core import Example, RecordError
from obvlib.manifests.benchmarks.reading import Place, text_of
from obvlib.manifests.options import answer_of, options_of


def medqa_questions(row: Any, place: Place) -> Iterator[Example]:
    """Return the row's question."""
    question = text_of(row, "question", place.where)
    options = options_of(row, place.where)
    if options is None:
        raise RecordError(f"{place.where}: field 'options' is missing; give letters and texts")
    yield Example(
        example_id=f"medqa-{place.number}",
        benchmark=place.name,
        video_id=f"medqa-{place.number}",
        question=question,
        answer=answer_of(row, options, place.where),
        options=options,
        family="closed",
        media_kind="text",
    )
