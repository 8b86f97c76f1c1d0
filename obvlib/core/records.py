"""What flows through the pipeline: small frozen records, read from and written to JSON lines.

One id leads from a source video to a verdict: `video_id` (the source) → `clip_id`
(`{video_id}_{start_ms}_{end_ms}`) → `example_id` (one question about a clip). Times are seconds, as
floats.
"""

from __future__ import annotations

import dataclasses
import os
import re
import types
import typing
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from obvlib.core.jsonl import RecordError, read_rows, write_rows

_SAFE_ID = re.compile(r"[A-Za-z0-9_\-][A-Za-z0-9_.\-]{0,199}")


def check_id(value: str, field_name: str = "video_id") -> str:
    """Return `value` if it can serve as one path component, else raise RecordError: ids come from
    manifests and become file names.
    """
    if not isinstance(value, str) or not _SAFE_ID.fullmatch(value):
        raise RecordError(
            f"{field_name} {value!r} cannot be used in a file name: use 1 to 200 letters, digits,"
            " '_', '-' or '.', not starting with '.'"
        )
    return value


MAX_TIME_S = 1e9  # about 30 years: what is later is no time in a video


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
        """The answer in words, also where `answer` is a letter."""
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

    @property
    def clip_id(self) -> str:
        return f"{self.video_id}_{round(self.start_s * 1000)}_{round(self.end_s * 1000)}"

    @property
    def file_name(self) -> str:
        """The slice's file name: the dataset's own where it gives one."""
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
        """The answer in words, also where `answer` is a letter."""
        return self.options[self.answer] if self.options is not None else self.answer


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What a model answered to one example. `status` is "ok", or "failed" with the reason and an
    empty response.
    """

    example_id: str
    response: str
    status: str = "ok"
    reason: str = ""
    num_prompt_tokens: int = 0
    num_new_tokens: int = 0
    example_hash: str = ""  # of the example as it was asked

    def __post_init__(self) -> None:
        if self.status not in ("ok", "failed"):
            raise RecordError(
                f"status {self.status!r} of prediction {self.example_id!r}: use 'ok' or 'failed'"
            )
        if (self.status == "failed") != bool(self.reason) or (
            self.status == "failed" and self.response
        ):
            raise RecordError(
                f"prediction {self.example_id!r} has status {self.status!r}, reason"
                f" {self.reason!r}, response {self.response!r}: a failed one has a reason and no"
                " response, an ok one no reason"
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


def to_json(record: Any) -> dict[str, Any]:
    """The record as plain JSON types; fields at their default are left out, so that rows stay
    short.
    """
    row = {}
    for f in dataclasses.fields(record):
        value = getattr(record, f.name)
        if value != f.default:
            row[f.name] = (
                [to_json(v) for v in value]
                if _is_records(value)
                else list(value)
                if isinstance(value, tuple)
                else value
            )
    return row


def from_json(cls: type, row: Any, where: str = "row") -> Any:
    """Build a record of `cls` from a JSON object; RecordError names `where`, the field and the
    remedy. Unknown fields are refused.
    """
    if not isinstance(row, dict):
        raise RecordError(
            f"{where}: expected a JSON object for {cls.__name__}, got {type(row).__name__}"
        )
    hints = typing.get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(cls)}
    if unknown := sorted(set(row) - set(fields)):
        raise RecordError(
            f"{where}: unknown field {unknown[0]!r} for {cls.__name__}; it knows"
            f" {', '.join(fields)}"
        )
    for name, f in fields.items():
        if (
            name not in row
            and f.default is dataclasses.MISSING
            and f.default_factory is dataclasses.MISSING
        ):
            raise RecordError(f"{where}: field {name!r} is missing; add it to the row")
    try:
        return cls(
            **{
                name: _convert(value, hints[name], f"{where}, field {name!r}")
                for name, value in row.items()
            }
        )
    except RecordError as error:
        raise error if str(error).startswith(where) else RecordError(f"{where}: {error}") from None


def read_jsonl(path: str | os.PathLike, cls: type) -> list[Any]:
    """Read records of `cls`, one JSON object a line; RecordError names file, line and field of the
    first row that is not one.
    """
    return [from_json(cls, row, where) for where, row in read_rows(path)]


def write_jsonl(path: str | os.PathLike, records: Iterable[Any]) -> int:
    """Write records (or plain rows) one a line, whole or not at all; return how many."""
    return write_rows(
        path, (record if isinstance(record, dict) else to_json(record) for record in records)
    )


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


def _is_records(value: Any) -> bool:
    return isinstance(value, tuple) and bool(value) and dataclasses.is_dataclass(value[0])


def _convert(value: Any, hint: Any, where: str) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in args:
            return None
        return _convert(value, next(a for a in args if a is not type(None)), where)
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise RecordError(f"{where}: expected a list, got {value!r}")
        return tuple(_convert(v, args[0], f"{where}[{i}]") for i, v in enumerate(value))
    if origin is dict:
        if not isinstance(value, dict):
            raise RecordError(f"{where}: expected an object, got {value!r}")
        return {
            str(key): _convert(item, args[1], f"{where}[{key!r}]") for key, item in value.items()
        }
    if dataclasses.is_dataclass(hint):
        return from_json(hint, value, where)
    if (
        hint is float
        and isinstance(value, int)
        and not isinstance(value, bool)
        and abs(value) < 2**53
    ):
        return float(value)
    if not isinstance(value, hint) or (hint in (int, float) and isinstance(value, bool)):
        raise RecordError(f"{where}: expected {hint.__name__}, got {value!r}")
    return value
