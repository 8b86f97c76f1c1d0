"""PubMedQA: a research question about an abstract; yes, no and maybe are the options A, B and C."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from obvlib.core import Example, RecordError
from obvlib.manifests.benchmarks.reading import Place, text_of
from obvlib.manifests.options import answer_of

OPTIONS = {"A": "yes", "B": "no", "C": "maybe"}


def pubmedqa_questions(row: Any, place: Place) -> Iterator[Example]:
    """Return the row's question, the abstract's sections before it."""
    question = text_of(row, "question", place.where)
    decision = {"final_decision": text_of(row, "final_decision", place.where)}
    name = f"pubmedqa-{row.get('pubid') or place.number}"
    yield Example(
        example_id=name,
        benchmark=place.name,
        video_id=name,
        question="\n".join([*_sections(row.get("context"), place.where), question]),
        answer=answer_of(decision, OPTIONS, place.where),
        options=dict(OPTIONS),
        family="closed",
        media_kind="text",
    )


def _sections(context: Any, where: str) -> list[str]:
    """Return the abstract: `{"contexts": [...]}` as the hub has it, the same as JSON text, a list,
    or one text.
    """
    if isinstance(context, str) and context.lstrip().startswith("{"):
        context = json.loads(context)
    if isinstance(context, dict):
        context = context.get("contexts")
    sections = [context] if isinstance(context, str) else context or []
    if not isinstance(sections, (list, tuple)) or not all(isinstance(s, str) for s in sections):
        raise RecordError(f"{where}: field 'context' is {context!r}; give the abstract's sections")
    return [section for section in sections if section.strip()]
