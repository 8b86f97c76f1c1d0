"""The samples of a dataset or run as one table, read just far enough to filter and sort; a sample's
record is read when it is shown.

The published training set has 22,668 rows. Checking every field of every row would take seconds
before the first sample could be seen, so here a row is only parsed, and checked when somebody looks
at it: what is wrong with it is then said in its place.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from obvlib.core import Clip, Example, RecordError, manifests_dir
from obvlib.core.jsonl import parse
from obvlib.manifests import NAMES, Card, card_names, clip_from_row, load_card, load_examples
from obvlib.manifests.rows import hub_rows

# Columns of few different values travel as values and codes, the others as they are.
CODED = ("source", "split", "modality", "region", "family", "length", "outcome", "reason")
PLAIN = ("id", "seconds", "questions")
# Classes of length: from how many seconds on, and what the class is called.
LENGTHS = (
    (0.001, "under 10 s"),
    (10, "10 to 30 s"),
    (30, "30 to 60 s"),
    (60, "1 to 2 min"),
    (120, "2 to 7 min"),
    (420, "7 min and more"),
)


@dataclass
class Samples:
    """A table of samples: `columns` hold one value a sample, `texts` what a search looks through,
    `places` where each record is: a record or row itself, or the bytes of its line.
    """

    name: str
    path: Path | None = None
    columns: dict[str, list[Any]] = field(
        default_factory=lambda: {name: [] for name in (*PLAIN, *CODED)}
    )
    texts: list[str] = field(default_factory=list)
    places: list[Any] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.places)

    @property
    def ids(self) -> list[str]:
        return self.columns["id"]

    def record(self, index: int) -> Clip | Example:
        """Return the sample's record; RecordError says what is wrong with its row."""
        place = self.places[index]
        if isinstance(place, (Clip, Example)):
            return place
        if isinstance(place, dict):
            return clip_from_row(place, f"{self.name}, row {index + 1}", dataset=self.name)
        start, size = place
        with open(self.path, "rb") as lines:  # type: ignore[arg-type]
            lines.seek(start)
            line = lines.read(size)
        where = f"{self.path}, byte {start}"
        try:
            row = parse(line.decode("utf-8-sig"))
        except (ValueError, RecursionError) as error:
            raise RecordError(f"{where}: not JSON ({error})") from None
        return clip_from_row(row, where, dataset=self.name)

    def table(self) -> dict[str, Any]:
        """Return the columns for the browser, those of few values as values and codes."""
        coded = {name: _coded(self.columns[name]) for name in CODED}
        return {name: self.columns[name] for name in PLAIN} | coded

    def add(self, place: Any, text: str, values: dict[str, Any]) -> None:
        """Add one sample; columns that `values` lacks are empty."""
        values = {"length": length_of(values.get("seconds", 0))} | values
        for name, column in self.columns.items():
            column.append(values.get(name, ""))
        self.texts.append(text)
        self.places.append(place)


def length_of(seconds: float) -> str:
    """Return the class of `LENGTHS` that a sample of so many seconds is in; "" where it has
    none.
    """
    found = [name for least, name in LENGTHS if seconds >= least]
    return found[-1] if found else ""


def _coded(values: Sequence[Any]) -> dict[str, list[Any]]:
    known = {value: code for code, value in enumerate(dict.fromkeys(values))}
    return {"values": list(known), "codes": [known[value] for value in values]}


def open_samples(source: Any) -> Samples:
    """Return the samples of `source`: records, a rows file (JSON lines), a run's folder with its
    `examples.jsonl`, or the name of a dataset's card or of a benchmark.
    """
    if isinstance(source, Samples):
        return source
    if not isinstance(source, (str, os.PathLike)):
        return samples_of(source, "samples")
    path = Path(source)
    if path.is_dir():
        return _from_folder(path)
    if path.is_file():
        return _from_file(path)
    return _from_name(str(source))


def samples_of(records: Sequence[Clip | Example], name: str) -> Samples:
    """Return a table of records that are in memory."""
    samples = Samples(name=name)
    for record in records:
        samples.add(record, _text_of(record), _values_of(record))
    return samples


def note_losses(samples: Samples, losses: Mapping[str, tuple[str, str, str]]) -> None:
    """Set the outcome and the reason of samples that the ledger's `losses` name, by the sample's
    id, the name of its slice, or its source.
    """
    outcomes, reasons = samples.columns["outcome"], samples.columns["reason"]
    for index, (item_id, source) in enumerate(
        zip(samples.ids, samples.columns["source"], strict=True)
    ):
        names = (item_id, f"{item_id}.mp4", source)
        found = next((losses[name] for name in names if name in losses), None)
        if found and not outcomes[index]:
            status, stage, reason = found
            outcomes[index], reasons[index] = status, f"{stage}: {reason}"


def check_source(source: str) -> None:
    """Raise ValueError for what is neither a path that exists nor a known name."""
    known = {name.lower() for name in (*NAMES, *card_names())}
    if source.lower() not in known and not Path(source).exists():
        raise ValueError(
            f"{source!r} is not a file or folder, and no card or benchmark has this name: use one"
            f" of {', '.join(sorted({*card_names(), *NAMES}))}"
        )


def _from_name(name: str) -> Samples:
    check_source(name)
    card = load_card(name) if name.lower() in card_names() else None
    if card is not None and card.kind == "dataset":
        if card.access == "shipped":
            samples = _from_file(manifests_dir() / card.name / "rows.jsonl")
            samples.name = card.name
            return samples
        return _from_hub(card)
    return samples_of(load_examples(name), name)


def _from_hub(card: Card) -> Samples:
    samples = Samples(name=card.name)
    for number, (_, row) in enumerate(hub_rows(card), start=1):
        samples.add(row, *_glance(row, number))
    return samples


def _from_folder(folder: Path) -> Samples:
    """Open a run's folder, or one inside it: the questions are in `examples.jsonl` of either;
    without one, a dataset's folder with `rows.jsonl`.
    """
    from obvlib.core.records import read_jsonl

    for place in (folder, folder.parent, folder.parent.parent):
        if (place / "examples.jsonl").is_file():
            return samples_of(read_jsonl(place / "examples.jsonl", Example), folder.name)
    for name in ("rows.jsonl", "clips.jsonl"):
        if (folder / name).is_file():
            samples = _from_file(folder / name)
            samples.name = folder.name
            return samples
    raise ValueError(
        f"folder {folder} holds no examples.jsonl (a run) and no rows.jsonl or clips.jsonl (a"
        " dataset): name a file of rows instead"
    )


def _from_file(path: Path) -> Samples:
    samples = Samples(name=path.stem, path=path)
    start = 0
    with open(path, "rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                samples.add((start, len(line)), *_glance_at_line(line, number))
            start += len(line)
    return samples


def _glance_at_line(line: bytes, number: int) -> tuple[str, dict[str, Any]]:
    try:
        row = json.loads(line.removeprefix(b"\xef\xbb\xbf"))
    except (ValueError, RecursionError):
        row = None
    return _glance(row, number)


def _glance(row: Any, number: int) -> tuple[str, dict[str, Any]]:
    """Return what a row says at a glance; a row that cannot be used says so as its outcome."""
    try:
        times = row["timestamp"] if "timestamp" in row else (row["start_s"], row["end_s"])
        start_ms, end_ms = (round(float(time) * 1000) for time in times)
        pairs = row.get("qa_pairs") or []
        pairs = json.loads(pairs) if isinstance(pairs, str) else pairs
        values = {
            "id": f"{row['video_id']}_{start_ms}_{end_ms}",
            "source": str(row["video_id"]),
            "seconds": round((end_ms - start_ms) / 1000, 3),
            "questions": len(pairs) if pairs else int(bool(row.get("question"))),
        }
        values |= {name: str(row.get(name) or "") for name in ("split", "modality", "region")}
        captions = (row.get(name) for name in ("cleaned_caption", "caption", "transcript"))
        asked = [pair.get("question") for pair in pairs] + [row.get("question")]
        text = "\n".join(dict.fromkeys(str(part) for part in (*captions, *asked) if part))
        return text, values
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        reason = f"row cannot be read: {type(error).__name__}"
        return "", {"id": f"line {number}", "outcome": "bad row", "reason": reason, "seconds": 0}


def _values_of(record: Clip | Example) -> dict[str, Any]:
    common = {"source": record.video_id}
    if isinstance(record, Clip):
        return common | {
            "id": record.clip_id,
            "split": record.split,
            "modality": record.modality,
            "region": record.region,
            "seconds": round(record.duration_s, 3),
            "questions": len(record.qa_pairs),
        }
    return common | {
        "id": record.example_id,
        "split": record.benchmark,
        "family": record.family,
        "seconds": 0,
        "questions": 1,
    }


def _text_of(record: Clip | Example) -> str:
    if isinstance(record, Clip):
        questions = (pair.question for pair in record.qa_pairs)
        return "\n".join((record.caption, record.transcript, *questions))
    return "\n".join((record.question, record.answer_text, *(record.options or {}).values()))
