"""A clip's caption and questions as a conversation: whole turns, options shown, nothing decided by
searching text.

user       <video> Describe what this clip shows.
assistant  An apical four-chamber view of a normal heart.
user       What is the ejection fraction?
           A. about 20 %
           B. about 60 %
           Answer with the letter.
assistant  B
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from obvlib.core import Example, QAPair
from obvlib.inputs.vision import Image, Video

ROLES = ("system", "user", "assistant")
# what Qwen2-VL was trained with where no system turn is given
SYSTEM_TEXT = "You are a helpful assistant."
DESCRIBE_PROMPTS = (
    "Describe what this clip shows.",
    "What can be seen here?",
    "Give a description of the biomedical content.",
    "Explain what is visible.",
    "Summarise what you observe.",
    "What does this recording show?",
    "Write a caption for this clip.",
    "Report the findings you can see.",
)
LETTER_REQUEST = "Answer with the letter."
SHORT_REQUEST = "Answer briefly."


@dataclass(frozen=True)
class Turn:
    """One turn: who speaks, the text, and the pictures or videos shown before it (only a user shows
    any).
    """

    role: str
    text: str
    visuals: tuple[Video | Image, ...] = ()


def check_turns(turns: Sequence[Turn], add_generation_prompt: bool) -> None:
    """Raise ValueError for a conversation that no model was trained on: empty turns, two of one
    role in a row, no question to answer.
    """
    if not turns:
        raise ValueError("no turns: a sample needs at least one")
    for turn in turns:
        if not isinstance(turn, Turn):
            raise ValueError(
                f"a turn is {type(turn).__name__}: build each with Turn(role, text, visuals)"
            )
        if odd := [
            type(visual).__name__
            for visual in turn.visuals
            if not isinstance(visual, (Video, Image))
        ]:
            raise ValueError(
                f"a visual is {odd[0]}: wrap frames in Video(frames, times_s), a picture in"
                " Image(pixels)"
            )
        if turn.role not in ROLES:
            raise ValueError(f"role {turn.role!r}: use one of {', '.join(ROLES)}")
        if not isinstance(turn.text, str) or not turn.text.strip():
            raise ValueError(
                f"text of the {turn.role}'s turn is {turn.text!r}: an empty turn teaches nothing;"
                " leave it out"
            )
        if any("\ud800" <= letter <= "\udfff" for letter in turn.text):
            raise ValueError(
                f"text of the {turn.role}'s turn holds half a character (a lone surrogate): decode"
                " its source again"
            )
        if turn.visuals and turn.role != "user":
            raise ValueError(f"visuals in a turn of the {turn.role}: only a user shows pictures")
    roles = [turn.role for turn in turns]
    spoken = roles[1:] if roles[0] == "system" else roles
    expected = [("user", "assistant")[i % 2] for i in range(len(spoken))]
    if spoken != expected or not spoken:
        raise ValueError(
            f"turns are {' '.join(roles)}: user and assistant take turns, the user first, after at"
            " most one system turn"
        )
    if add_generation_prompt and spoken[-1] != "user":
        raise ValueError(
            "the last turn is the assistant's: nothing is left to generate; pass the turns"
            " before it"
        )


def describe_turns(visuals: Sequence[Video | Image], caption: str, seed: int | str) -> list[Turn]:
    """Return a request to describe the visuals, one of eight by `seed`, and the caption as the
    answer.
    """
    prompt = random.Random(f"describe {seed}").choice(DESCRIBE_PROMPTS)
    return [Turn("user", prompt, tuple(visuals)), Turn("assistant", caption.strip())]


def question_turns(
    visuals: Sequence[Video | Image],
    questions: QAPair | Example | Sequence[QAPair],
    *,
    answer: bool = True,
) -> list[Turn]:
    """Return each question and its answer as turns, the visuals before the first; `answer=False`
    leaves the last answer to the model.

    Anything with question, options and answer serves: a QAPair in training, an Example in
    evaluation, so that both read the same.
    """
    pairs: list[QAPair | Example]
    pairs = list(questions) if isinstance(questions, Sequence) else [questions]
    if not pairs:
        raise ValueError("questions is empty: give at least one, or use describe_turns")
    turns: list[Turn] = []
    for pair in pairs:
        turns += [
            Turn("user", question_text(pair), () if turns else tuple(visuals)),
            Turn("assistant", pair.answer.strip()),
        ]
    return turns if answer else turns[:-1]


def question_text(pair: QAPair | Example) -> str:
    """Return the question as the user puts it: options each on a line with its letter, then what
    kind of answer is wanted.
    """
    if not pair.options:
        return f"{pair.question.strip()}\n{SHORT_REQUEST}"
    options = "\n".join(f"{letter}. {text.strip()}" for letter, text in pair.options.items())
    return f"{pair.question.strip()}\n{options}\n{LETTER_REQUEST}"


def clip_turns(
    visuals: Sequence[Video | Image], caption: str, qa_pairs: Sequence[QAPair], seed: int | str
) -> list[Turn]:
    """Return a clip's whole conversation: its description, where it has a caption, then its
    questions; the visuals are shown once.
    """
    turns = describe_turns(visuals, caption, seed) if caption.strip() else []
    return turns + (question_turns(() if turns else visuals, qa_pairs) if qa_pairs else [])


def example_turns(example: Example, visuals: Sequence[Video | Image]) -> list[Turn]:
    """Return a benchmark's question as one user turn, worded as in training; ValueError if its
    media are missing or too many.
    """
    if len(visuals) != len(example.media):
        raise ValueError(
            f"example {example.example_id!r} is about {len(example.media)} media files,"
            f" {len(visuals)} were given: a question without its video cannot be judged; record it"
            " as failed"
        )
    return question_turns(visuals, example, answer=False)
