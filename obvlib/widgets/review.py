"""QAReview: accept, edit or reject (with a reason) questions and captions that a machine wrote."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import traitlets

from obvlib.core import Clip, QAPair
from obvlib.core.labels import hash_item
from obvlib.core.records import to_json
from obvlib.widgets.base import LabelWidget, script

FIELD = "decision"
REASONS = (
    "not supported by what was said",
    "answerable without the video",
    "answer leaked in the question",
    "several options are right",
    "options are not distinct",
    "not about what can be seen",
    "other",
)
CAPTION_REASONS = (
    "says what was not said",
    "misheard",
    "not about what can be seen",
    "names a person or a place",
    "other",
)


class QAReview(LabelWidget):
    """Questions, or captions, one by one; a decision is an object with `action` accept, edit or
    reject. `review_questions` and `review_captions` make one.
    """

    _esm = script("logic", "ui", "labels", "review")
    items: traitlets.List[Any] = traitlets.List().tag(sync=True)
    reasons: traitlets.List[Any] = traitlets.List().tag(sync=True)

    def decisions(self) -> dict[str, dict[str, Any]]:
        """Return the decision on every item reviewed so far, by its id: `clip_id-number` for a
        question, `clip_id` for a caption.
        """
        known = {item["id"] for item in self.items}
        return {
            item_id: value
            for (item_id, field), value in self.values().items()
            if field == FIELD and item_id in known
        }


def review_questions(
    clips: Sequence[Clip],
    *,
    warnings: Mapping[str, Sequence[str]] | None = None,
    rater: str = "",
    root: str | os.PathLike | None = None,
) -> QAReview:
    """Review the questions of `clips`; `warnings` are what automatic checks say, by question id."""
    said = warnings or {}
    items = [
        _item(clip, number, pair, said.get(f"{clip.clip_id}-{number}", ()))
        for clip in clips
        for number, pair in enumerate(clip.qa_pairs)
    ]
    return QAReview(items=items, reasons=list(REASONS), rater=rater, root=root, title="Questions")


def review_captions(
    clips: Sequence[Clip], *, rater: str = "", root: str | os.PathLike | None = None
) -> QAReview:
    """Review the captions of `clips`, each beside the words that were said."""
    items = [
        {
            "id": clip.clip_id,
            "hash": hash_item(clip.caption),
            "caption": clip.caption,
            "support": clip.transcript,
        }
        for clip in clips
    ]
    reasons = list(CAPTION_REASONS)
    return QAReview(items=items, reasons=reasons, rater=rater, root=root, title="Captions")


def _item(clip: Clip, number: int, pair: QAPair, warnings: Sequence[str]) -> dict[str, Any]:
    return {
        "id": f"{clip.clip_id}-{number}",
        "hash": hash_item(to_json(pair)),
        "question": pair.question,
        "options": pair.options or {},
        "answer": pair.answer,
        "support": clip.transcript or clip.caption,
        "warnings": list(warnings),
    }


def reviewed(clip: Clip, decisions: Mapping[str, Mapping[str, Any]]) -> tuple[QAPair, ...]:
    """Return the clip's questions after review: rejected ones left out, edited ones as edited."""
    kept = []
    for number, pair in enumerate(clip.qa_pairs):
        decision = decisions.get(f"{clip.clip_id}-{number}", {"action": "accept"})
        if decision["action"] == "edit":
            edited = {name: decision[name] for name in ("question", "answer")}
            kept.append(
                QAPair(**edited, options=decision.get("options") or None, family=pair.family)
            )
        elif decision["action"] == "accept":
            kept.append(pair)
    return tuple(kept)
