"""The records of the second half of curation: a stretch with what is said over it, and a question
about it with the words that it came from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from obvlib.core import QAPair, Word
from obvlib.curation.stages import Stretch


@dataclass(frozen=True, kw_only=True)
class Passage(Stretch):
    """A stretch of a video and the words said over it, then its caption and its labels as the
    stages find them.
    """

    words: tuple[Word, ...] = ()
    caption: str = ""
    modality: str = ""
    region: str = ""

    @property
    def raw(self) -> str:
        """The raw caption: the words as they were heard."""
        return " ".join(word.text for word in self.words)


@dataclass(frozen=True, kw_only=True)
class NarratedVideo:
    """The passages of a video, in order, all its words, where those were read from, and what was
    left out of its speech, by reason.
    """

    video_id: str
    passages: tuple[Passage, ...]
    words: tuple[Word, ...] = ()
    language: str = ""
    source: str = ""
    flags: dict[str, int] = field(default_factory=dict)

    @property
    def parts(self) -> tuple[Passage, ...]:
        return self.passages


@dataclass(frozen=True, kw_only=True)
class Question:
    """A multiple-choice question about a clip, and the words `first_word` to `last_word` of its raw
    caption, said from `start_s` to `end_s` of the video, that it came from.
    """

    clip_id: str
    number: int
    question: str
    answer: str
    options: dict[str, str]
    family: str = ""
    first_word: int = 0
    last_word: int = 0
    start_s: float = 0.0
    end_s: float = 0.0
    caption: str = ""

    @property
    def question_id(self) -> str:
        return f"{self.clip_id}-{self.number}"

    @property
    def pair(self) -> QAPair:
        return QAPair(
            question=self.question, answer=self.answer, options=self.options, family=self.family
        )


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The questions of one clip as they were written, before any is checked."""

    clip_id: str
    questions: tuple[Question, ...]

    @property
    def parts(self) -> tuple[Question, ...]:
        return self.questions


class Evidence(NamedTuple):
    """Which words of a passage a quotation is, and when they are said."""

    first_word: int
    last_word: int
    start_s: float
    end_s: float


def find_evidence(words: Sequence[Word], quote: str) -> Evidence | None:
    """Return where the words of `quote` stand among `words`, in order and without a gap; None where
    they do not.
    """
    said = [plain_word(word.text) for word in words]
    wanted = [name for name in map(plain_word, quote.split()) if name]
    kept = [i for i, name in enumerate(said) if name]
    names = [said[i] for i in kept]
    for at in range(len(names) - len(wanted) + 1 if wanted else 0):
        if names[at : at + len(wanted)] == wanted:
            first, last = kept[at], kept[at + len(wanted) - 1]
            return Evidence(first, last, words[first].start_s, words[last].end_s)
    return None


def plain_word(text: str) -> str:
    """Return a word's letters and digits in lower case."""
    return "".join(c for c in text.lower() if c.isalnum())
