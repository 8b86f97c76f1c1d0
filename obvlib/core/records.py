"""What flows through the pipeline: small frozen records, read from and written to JSON lines.

One id leads from a source video to a verdict: `video_id` (the source) → `clip_id`
(`{video_id}_{start_ms}_{end_ms}`) → `example_id` (one question about a clip). Times are seconds, as
floats.
"""

from __future__ import annotations

from dataclasses import dataclass

from obvlib.core.checks import RecordError, check_id
from obvlib.core.record_rows import from_json, read_jsonl, to_json, write_jsonl

__all__ = [
    "SPLITS",
    "Caption",
    "Clip",
    "Example",
    "Prediction",
    "QAPair",
    "RecordError",
    "Verdict",
    "Word",
    "check_id",
    "from_json",
    "read_jsonl",
    "to_json",
    "write_jsonl",
]
SPLITS = ("", "train", "validation", "test")  # of a clip; "" where its dataset has none
MAX_TIME_S = 1e9  # about 30 years: anything later cannot be a time in a video


@dataclass(frozen=True, kw_only=True)
class Word:
    """One spoken word and when it was said, in seconds from the start of its video."""

    text: str
    start_s: float
    end_s: float

    def __post_init__(self) -> None:
        if not 0 <= self.start_s <= self.end_s < float("inf"):
            raise RecordError(
                f"word {self.text!r} from {self.start_s} to {self.end_s}: needs 0 <= start <= end,"
                " in seconds"
            )


@dataclass(frozen=True, kw_only=True)
class QAPair:
    """A question and its answer. `options` maps a letter to its text for a closed question, whose
    `answer` is then a letter.

    `family` names what is asked (modality, ejection_fraction …), so that scores can be told apart.
    """

    question: str
    answer: str
    options: dict[str, str] | None = None
    family: str = ""

    def __post_init__(self) -> None:
        if not self.question.strip() or not self.answer.strip():
            raise RecordError(
                f"question {self.question!r} with answer {self.answer!r}: both need text; drop the"
                " pair or fill it in"
            )
        _check_options(self.options, self.answer)

    @property
    def answer_text(self) -> str:
        """Return the answer in words, also where `answer` is a letter."""
        return self.options[self.answer] if self.options is not None else self.answer


@dataclass(frozen=True, kw_only=True)
class Caption:
    """What was said over a clip (`raw`) and the clean description made of it (`cleaned`, empty
    until it exists).
    """

    clip_id: str
    raw: str
    cleaned: str = ""


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A stretch of a source video, with what is known about it.

    `video` is the file name that the dataset gives the slice; `caption` is the cleaned caption,
    `transcript` the raw words of it.
    """

    video_id: str
    start_s: float
    end_s: float
    video: str = ""
    video_url: str = ""
    dataset: str = ""
    split: str = ""
    caption: str = ""
    transcript: str = ""
    modality: str = ""
    region: str = ""
    qa_pairs: tuple[QAPair, ...] = ()

    def __post_init__(self) -> None:
        check_id(self.video_id)
        if not 0 <= self.start_s < self.end_s < MAX_TIME_S:
            raise RecordError(
                f"timestamp [{self.start_s}, {self.end_s}] of video_id {self.video_id!r}: needs 0"
                " <= start < end, in seconds"
            )
        if round(self.start_s * 1000) == round(self.end_s * 1000):
            raise RecordError(
                f"timestamp [{self.start_s}, {self.end_s}] of video_id {self.video_id!r}: shorter"
                " than a millisecond, which clip_id counts in"
            )
        check_id(self.video or f"{self.clip_id}.mp4", "video")
        if self.split not in SPLITS:
            raise RecordError(
                f"split {self.split!r} of video_id {self.video_id!r}: use train, validation or test"
            )

    @property
    def is_for_training(self) -> bool:
        """Return whether a model may learn from the clip: not of a validation or test split."""
        return self.split in ("", "train")

    @property
    def clip_id(self) -> str:
        return f"{self.video_id}_{round(self.start_s * 1000)}_{round(self.end_s * 1000)}"

    @property
    def file_name(self) -> str:
        """Return the slice's file name: the dataset's own where it gives one."""
        return self.video or f"{self.clip_id}.mp4"

    @property
    def duration_s(self) -> float:
        return self.end_s - self.start_s


@dataclass(frozen=True, kw_only=True)
class Example:
    """One question of a benchmark. `media` holds paths of videos or images (`media_kind` says
    which), none for text-only questions.

    `video_id` is the source that confidence intervals are clustered by; for images it is the study
    or patient.
    """

    example_id: str
    benchmark: str
    video_id: str
    question: str
    answer: str
    options: dict[str, str] | None = None
    family: str = ""
    media: tuple[str, ...] = ()
    media_kind: str = "video"

    def __post_init__(self) -> None:
        for name in ("example_id", "benchmark", "video_id", "question", "answer"):
            if not getattr(self, name).strip():
                raise RecordError(
                    f"{name} {getattr(self, name)!r} of example {self.example_id!r} is blank: fill"
                    " it in"
                )
        _check_options(self.options, self.answer)
        if self.media_kind not in ("video", "image", "text"):
            raise RecordError(
                f"media_kind {self.media_kind!r} of example {self.example_id!r}: use 'video',"
                " 'image' or 'text'"
            )
        if bool(self.media) == (self.media_kind == "text"):
            raise RecordError(
                f"example {self.example_id!r} is of kind {self.media_kind!r} but has"
                f" {len(self.media)} media files"
            )

    @property
    def answer_text(self) -> str:
        """Return the answer in words, also where `answer` is a letter."""
        return self.options[self.answer] if self.options is not None else self.answer


PREDICTION_STATUSES = ("ok", "failed", "away", "not_obtained")


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What a model answered to one example, or why it did not; only "ok" has a response, the others
    have a reason.

    `status`: "ok"; "failed" (the medium is there and could not be used: wrong); "away" (the medium
    was there before and cannot be read now: no score until retried); "not_obtained" (it never was
    there: outside the score, counted in the coverage).
    """

    example_id: str
    response: str
    status: str = "ok"
    reason: str = ""
    num_prompt_tokens: int = 0
    num_new_tokens: int = 0
    example_hash: str = ""  # of what was asked: words, a dot, media
    option_logprobs: dict[str, float] | None = None  # of each option, or yes and no, as first token

    def __post_init__(self) -> None:
        if self.status not in PREDICTION_STATUSES:
            raise RecordError(
                f"status {self.status!r} of prediction {self.example_id!r}: use one of"
                f" {', '.join(PREDICTION_STATUSES)}"
            )
        unanswered = self.status != "ok"
        if unanswered != bool(self.reason) or (unanswered and self.response):
            raise RecordError(
                f"prediction {self.example_id!r} has status {self.status!r}, reason"
                f" {self.reason!r}, response {self.response!r}: an ok one has no reason, any other"
                " has a reason and no response"
            )


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """How one prediction was judged: `choice` is what was understood of the response, `rule` says
    by which rule.
    """

    example_id: str
    benchmark: str
    video_id: str
    family: str
    correct: bool
    choice: str | None
    rule: str
    answer: str = ""


def _check_options(options: dict[str, str] | None, answer: str) -> None:
    if options is None:
        return
    letters = [letter for letter in options if len(letter) == 1 and letter.isalpha()]
    if (
        len(letters) < 2
        or len(letters) < len(options)
        or not all(text.strip() for text in options.values())
    ):
        raise RecordError(
            f"options {options!r}: need at least two, each a single letter with its text"
        )
    if answer not in options:
        raise RecordError(
            f"answer {answer!r} is not one of the option letters {sorted(options)}: give the"
            " letter, not its text"
        )
