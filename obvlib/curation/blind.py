"""The check that a question needs its video: a language model that is shown neither picture nor
words must not be able to answer it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar

from obvlib.curation import texts
from obvlib.curation.passages import Question
from obvlib.curation.text_stages import NoUsableReply
from obvlib.engine import Drop
from obvlib.engine.stages import Stage

if TYPE_CHECKING:
    from obvlib.curation.language_model import LanguageModel

NUM_ORDERS = 2  # of the options: a guess by position is right in one of them at most


@dataclass(frozen=True, kw_only=True)
class CheckBlind(Stage):
    """Drop a question that the model answers right from its words alone, in each of `NUM_ORDERS`
    orders of its options. A model that declines to guess speaks for the question.
    """

    model: LanguageModel
    name: ClassVar[str] = "check_blind"
    prompt: ClassVar[str] = "blind"
    num_retries: ClassVar[int] = 0  # `ask` has its own

    def params(self) -> dict[str, Any]:
        return self.model.params(self.prompt)

    def code(self) -> Sequence[ModuleType]:
        return (*super().code(), texts)

    def key(self, record: Question) -> str:
        return record.question_id

    def group(self, record: Question) -> str:
        return self.name

    def run_group(self, records: list[Question]) -> Iterator[tuple[int, Any]]:
        from obvlib.curation.language_model import BlindGuess

        orders = [(record, turn) for record in records for turn in range(NUM_ORDERS)]
        materials = [
            {
                "question": texts.without_orders(record.question)[0],
                "options": dict(zip(record.options, turned(record, turn), strict=True)),
            }
            for record, turn in orders
        ]
        answers = iter(self.model.answers(self.prompt, BlindGuess, materials))
        for index, record in enumerate(records):
            guesses = [next(answers) for _ in range(NUM_ORDERS)]
            failed = [guess for guess in guesses if guess.status not in ("answered", "refused")]
            if failed:
                yield index, NoUsableReply(failed[0].reason)
                continue
            is_right = [
                guess.status == "answered" and guess.value.letter == letter_of(record, turn)
                for turn, guess in enumerate(guesses)
            ]
            yield index, Drop("it is answered without the video") if all(is_right) else record


def turned(record: Question, turn: int) -> list[str]:
    """Return the texts of a question's options, each moved on by `turn` letters."""
    options = list(record.options.values())
    return options[-turn:] + options[:-turn] if turn else options


def letter_of(record: Question, turn: int) -> str:
    """Return the letter that the right option has after `turn`."""
    letters = list(record.options)
    return letters[(letters.index(record.answer) + turn) % len(letters)]
