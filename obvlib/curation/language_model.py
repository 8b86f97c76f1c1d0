"""What a language model is asked in curation: our prompts, from files with a version in their name,
and the schemas of its replies.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from pydantic import BaseModel, Field, create_model

from obvlib.core.provenance import hash_code
from obvlib.curation import labels, texts
from obvlib.llm import Answer, Budget, Cache, Endpoint, Prompt, ask_all

VERSION = "v1"
MAX_QUESTIONS = 3


class Observable(BaseModel):
    """Does the transcript describe what can be seen?"""

    reason: str
    observable: bool


class CleanCaption(BaseModel):
    """The caption made of a transcript."""

    caption: str = Field(min_length=1, max_length=2000)


class WrittenQuestion(BaseModel):
    """A question as a model writes it: the right answer, three wrong ones, and its evidence."""

    question: str
    right: str
    wrong: list[str] = Field(min_length=3, max_length=3)
    quote: str


class WrittenQuestions(BaseModel):
    """The questions that a model writes about one clip."""

    questions: list[WrittenQuestion] = Field(max_length=MAX_QUESTIONS)


class BlindGuess(BaseModel):
    """The answer to a question from its words alone."""

    letter: Literal["A", "B", "C", "D", "none"]


@cache
def metadata_schema() -> type[BaseModel]:
    """Return the schema of a clip's labels, each one of the published names."""
    fields: dict[str, Any] = {f: (Literal[labels.names(f)], ...) for f in labels.FIELDS}
    return create_model("Metadata", **fields, quote=(str, ""))


@cache
def prompt_text(name: str) -> str:
    """Return our instructions for a step: `filter`, `clean`, `labels`, `questions` or `blind`."""
    path = files("obvlib.curation") / "prompts" / f"{name}_{VERSION}.txt"
    return path.read_text(encoding="utf-8").strip()


@dataclass(frozen=True, kw_only=True)
class LanguageModel:
    """An endpoint, and where replies and spending are kept.

    `credentialed` says whether the videos fall under an access agreement; their words then go to a
    local endpoint only, unless the endpoint's `allow_credentialed` says otherwise.
    """

    endpoint: Endpoint
    credentialed: bool
    cache: str = ""
    budget: str = ""
    max_usd: float | None = None

    def params(self, name: str) -> dict[str, Any]:
        """Return what replies depend on: the model, its settings and our prompt, no address."""
        asked = self.endpoint
        return {
            "model": asked.model,
            "temperature": asked.temperature,
            "max_tokens": asked.max_tokens,
            "response_format": asked.response_format,
            "seed": asked.seed,
            "prompt": f"{name}_{VERSION}",
            "text": prompt_text(name),
            "code": hash_code(texts),
        }

    def answers(
        self, name: str, schema: type[BaseModel], materials: Sequence[dict[str, Any]]
    ) -> Iterator[Answer]:
        """Return an answer for each material (plain texts by name), in order, as each is there."""
        prompts = [
            Prompt(
                system=prompt_text(name),
                user=json.dumps(material, ensure_ascii=False, indent=1),
                credentialed=self.credentialed,
            )
            for material in materials
        ]
        budget = Budget(path=self.budget, run=name, max_usd=self.max_usd) if self.budget else None
        cache_ = Cache(self.cache) if self.cache else None
        return ask_all(prompts, schema, self.endpoint, cache=cache_, budget=budget)
