"""The stages that work on words: relevance, caption, labels, questions and their checks.

Each asks a language model where it is given one, and decides by embeddings, rules and templates
where it is not. What a rule rejects is dropped, what the model declines is refused, and what gives
no usable reply has failed: three ends, each with its reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from obvlib.core.provenance import hash_files
from obvlib.core.record_rows import digest
from obvlib.curation import labels, question_checks, relevance, texts, wording, writing
from obvlib.curation.passages import Asked, Passage, Question, find_evidence
from obvlib.curation.question_checks import faults
from obvlib.curation.wording import content_words
from obvlib.engine import Drop, Refusal
from obvlib.engine.stages import Stage

if TYPE_CHECKING:
    from obvlib.curation.language_model import LanguageModel
    from obvlib.llm import Answer

MIN_WORDS = 10  # of a raw caption, as in the paper
MAX_WORDS = 20_000  # more is no speech: two hours without a pause
MIN_SUPPORT = 0.5  # share of a caption's content words that were said


class NoUsableReply(RuntimeError):
    """A language model that gave no reply of the schema, after all attempts."""

    kind = "no usable reply"


@dataclass(frozen=True, kw_only=True)
class TextStage(Stage):
    """A stage that judges all its records together, in one batch or in parallel calls."""

    model: LanguageModel | None = None
    prompt: ClassVar[str] = ""
    num_retries: ClassVar[int] = 0  # `ask` has its own

    def params(self) -> dict[str, Any]:
        if self.model:
            return self.model.params(self.prompt)
        return {"model": "", "rules": hash_files([relevance.rules_file()])}

    def code(self) -> Sequence[ModuleType]:
        return (*super().code(), relevance, labels, writing, texts, wording)

    def group(self, record: Any) -> str:
        return self.name

    def run_group(self, records: list[Passage]) -> Iterator[tuple[int, Any]]:
        if self.model is None:
            yield from enumerate(self.locally(records))
            return
        answers = self.model.answers(self.prompt, self.schema(), [self.shown(r) for r in records])
        for index, answer in enumerate(answers):
            yield index, self._ended(records[index], answer)

    def _ended(self, record: Passage, answer: Answer) -> Any:
        if answer.status == "answered":
            return self.accepted(record, answer.value)
        if answer.status == "refused":
            return Refusal(answer.reason)
        return NoUsableReply(answer.reason)

    def shown(self, record: Passage) -> dict[str, Any]:
        """Return what the model is shown of a passage, without markup and orders."""
        return {"transcript": texts.without_orders(texts.plain_text(record.raw))[0]}

    def schema(self) -> Any:
        raise NotImplementedError

    def locally(self, records: list[Passage]) -> list[Any]:
        """Return the results of all records without a language model."""
        raise NotImplementedError

    def accepted(self, record: Passage, value: Any) -> Any:
        """Return the result of a reply that fits the schema, or a Drop that names the rule."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class FilterCaption(TextStage):
    """Keep a passage whose words describe what can be seen."""

    name: ClassVar[str] = "filter_caption"
    prompt: ClassVar[str] = "filter"

    def run_group(self, records: list[Passage]) -> Iterator[tuple[int, Any]]:
        usable = []
        for index, record in enumerate(records):
            num_words = len(_said(record))
            if num_words < MIN_WORDS:
                yield index, Drop(f"fewer than {MIN_WORDS} words are said over it")
            elif num_words > MAX_WORDS:
                yield index, Drop(f"more than {MAX_WORDS:,} words are said over it")
            else:
                usable.append(index)
        for index, result in super().run_group([records[i] for i in usable]):
            yield usable[index], result

    def locally(self, records: list[Passage]) -> list[Any]:
        judged = relevance.judge_captions([record.raw for record in records])
        return [
            record if found.keep else Drop("the words describe nothing that can be seen")
            for record, found in zip(records, judged, strict=True)
        ]

    def schema(self) -> Any:
        from obvlib.curation.language_model import Observable

        return Observable

    def accepted(self, record: Passage, value: Any) -> Any:
        return record if value.observable else Drop("the words describe nothing that can be seen")


@dataclass(frozen=True, kw_only=True)
class WriteCaption(TextStage):
    """Turn the raw caption into a clean description that adds nothing."""

    name: ClassVar[str] = "write_caption"
    prompt: ClassVar[str] = "clean"

    def locally(self, records: list[Passage]) -> list[Any]:
        judged = relevance.judge_captions([record.raw for record in records])
        return [
            self._checked(r, writing.clean_caption(j)) for r, j in zip(records, judged, strict=True)
        ]

    def schema(self) -> Any:
        from obvlib.curation.language_model import CleanCaption

        return CleanCaption

    def accepted(self, record: Passage, value: Any) -> Any:
        return self._checked(record, texts.plain_text(value.caption))

    def _checked(self, record: Passage, caption: str) -> Passage | Drop:
        reason = caption_fault(record.raw, caption)
        return Drop(f"caption rejected: {reason}") if reason else replace(record, caption=caption)


@dataclass(frozen=True, kw_only=True)
class LabelCaption(TextStage):
    """Find modality and region, each one of the published names."""

    name: ClassVar[str] = "label_caption"
    prompt: ClassVar[str] = "labels"

    def locally(self, records: list[Passage]) -> list[Any]:
        raw = [record.raw for record in records]
        found = {field: labels.label_captions(raw, field) for field in labels.FIELDS}
        return [
            replace(record, modality=found["modality"][i].name, region=found["region"][i].name)
            for i, record in enumerate(records)
        ]

    def schema(self) -> Any:
        from obvlib.curation.language_model import metadata_schema

        return metadata_schema()

    def shown(self, record: Passage) -> dict[str, Any]:
        lists = {field: labels.names(field) for field in labels.FIELDS}
        return super().shown(record) | {"caption": record.caption} | lists

    def accepted(self, record: Passage, value: Any) -> Any:
        return replace(record, modality=value.modality, region=value.region)


@dataclass(frozen=True, kw_only=True)
class WriteQuestions(TextStage):
    """Write questions with four options, each with the words that it came from."""

    seed: int = 0
    name: ClassVar[str] = "write_questions"
    prompt: ClassVar[str] = "questions"
    result: ClassVar[type] = Asked

    def params(self) -> dict[str, Any]:
        return super().params() | {"seed": self.seed}

    def locally(self, records: list[Passage]) -> list[Any]:
        raw = [record.raw for record in records]
        found = {field: labels.label_captions(raw, field) for field in labels.FIELDS}
        made = []
        for i, record in enumerate(records):
            named = {f: (getattr(record, f), found[f][i].quote) for f in labels.FIELDS}
            drafts = writing.questions_from_templates(raw[i], named, self._rng(record))
            made.append(self._asked(record, drafts))
        return made

    def schema(self) -> Any:
        from obvlib.curation.language_model import WrittenQuestions

        return WrittenQuestions

    def shown(self, record: Passage) -> dict[str, Any]:
        return super().shown(record) | {"caption": record.caption}

    def accepted(self, record: Passage, value: Any) -> Any:
        drafts = [
            writing.Draft(w.question, w.right, tuple(w.wrong), w.quote, "written")
            for w in value.questions
        ]
        return self._asked(record, drafts)

    def _asked(self, record: Passage, drafts: Sequence[writing.Draft]) -> Asked | Drop:
        if not drafts:
            return Drop("nothing to ask about")
        made = []
        for number, (draft, (options, key)) in enumerate(
            zip(drafts, writing.lettered(drafts, self._rng(record)), strict=True)
        ):
            at = find_evidence(record.words, draft.quote)
            made.append(
                Question(
                    clip_id=record.clip_id,
                    number=number,
                    question=draft.question,
                    answer=key,
                    options=options,
                    family=draft.family,
                    first_word=at.first_word if at else -1,
                    last_word=at.last_word if at else -1,
                    start_s=at.start_s if at else 0.0,
                    end_s=at.end_s if at else 0.0,
                    caption=record.caption,
                )
            )
        return Asked(clip_id=record.clip_id, questions=tuple(made))

    def _rng(self, record: Passage) -> np.random.Generator:
        return np.random.default_rng([self.seed, int(digest(record.clip_id), 16) % 2**63])


@dataclass(frozen=True, kw_only=True)
class CheckQuestion(Stage):
    """Drop a question in which rules see a fault, or whose evidence was never said."""

    name: ClassVar[str] = "check_question"

    def key(self, record: Question) -> str:
        return record.question_id

    def code(self) -> Sequence[ModuleType]:
        return (*super().code(), question_checks, wording)

    def __call__(self, record: Question) -> Question | Drop:
        if record.first_word < 0:
            return Drop("evidence: the words it is said to come from were not said")
        draft = question_checks.Draft(
            question=record.question,
            options=record.options,
            key=record.answer,
            caption=record.caption,
        )
        found = faults(draft)
        return Drop("; ".join(found)) if found else record


def caption_fault(raw: str, caption: str) -> str:
    """Return why a caption does not say what was said, or ""."""
    if not caption.split():
        return "nothing is left of it"
    if texts.without_orders(caption)[1]:
        return "it addresses a model"
    raw = texts.plain_text(raw)
    said, told = set(content_words(raw)), content_words(caption)
    if numbers := set(re.findall(r"\d+(?:\.\d+)?", caption)) - set(
        re.findall(r"\d+(?:\.\d+)?", raw)
    ):
        return f"the number {min(numbers)} was not said"
    if told and sum(word in said for word in told) / len(told) < MIN_SUPPORT:
        return "most of its words were not said"
    return ""


def _said(record: Passage) -> list[str]:
    return texts.without_orders(texts.plain_text(record.raw))[0].split()
