"""People's labels: one append-only JSON-lines file a rater, `labels/<rater>.jsonl` under the data
root.

A label says who set which field of which item to what, when, and what stood there before. Nothing
is ever changed or removed in the file: a correction is a later line, and taking a label back is a
line that names it. Each line is on the disk (fsync) before `add` returns, so a killed kernel loses
nothing, and since every rater has a file, nobody overwrites anybody:

    {"label_id": "…", "rater": "ada", "at": "2026-01-31T09:30:00.125+00:00", "item_id": "v1_0_5000",
     "item_hash": "…", "field": "flag", "old": null, "new": "no video", "undo_of": ""}
"""

from __future__ import annotations

import json
import os
import uuid
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import Any, NamedTuple

from obvlib.core.checks import check_id, is_id
from obvlib.core.jsonl import RecordError, parse
from obvlib.core.record_rows import digest, from_json
from obvlib.core.settings import data_root


@dataclass(frozen=True, kw_only=True)
class Label:
    """One line of a rater's file. `new` None clears the field; `undo_of` names the label that this
    line takes back, whose `old` then holds again.
    """

    label_id: str
    rater: str
    at: str  # UTC, ISO 8601
    item_id: str
    item_hash: str  # of the item as the rater saw it, from `hash_item`
    field: str
    old: Any = None
    new: Any = None
    undo_of: str = ""


class LabelsRead(NamedTuple):
    """A file's labels in order, and one sentence for each line that is not a label."""

    labels: list[Label]
    problems: list[str]


def labels_dir(root: str | os.PathLike | None = None) -> Path:
    """Return the folder of label files: `labels` under `root`, by default the data root."""
    return (Path(root) if root is not None else data_root()) / "labels"


def label_files(root: str | os.PathLike | None = None) -> dict[str, Path]:
    """Return every rater's file, by rater; a file whose name no rater can have is not one."""
    return {
        path.stem: path for path in sorted(labels_dir(root).glob("*.jsonl")) if is_id(path.stem)
    }


def hash_item(item: Any) -> str:
    """Return a short hash of what is labelled (a record or JSON value), by which a label whose item
    has changed since can be told from one that still applies.
    """
    return digest(item)


def read_labels(path: str | os.PathLike) -> LabelsRead:
    """Return what a label file holds. A line that is not a label (cut short, not JSON, of another
    rater) becomes a problem that names the line; all others are kept. A missing file holds none.
    """
    path = Path(path)
    labels: list[Label] = []
    problems: list[str] = []
    if not path.exists():
        return LabelsRead(labels, problems)
    for number, line in enumerate(path.read_bytes().split(b"\n"), start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            labels.append(_label_of(line, where, path.stem))
        except (ValueError, RecursionError) as error:
            text = str(error)
            problems.append(text if text.startswith(where) else f"{where}: not a label ({text})")
    return LabelsRead(labels, problems)


def _label_of(line: bytes, where: str, rater: str) -> Label:
    row = parse(line.decode("utf-8"))
    values = {name: row.pop(name, None) for name in ("old", "new")} if isinstance(row, dict) else {}
    label = from_json(Label, row, where)
    if label.rater != rater:
        raise RecordError(
            f"{where}: label of rater {label.rater!r} in the file of {rater!r}: move the line to"
            f" {label.rater}.jsonl"
        )
    return Label(**(asdict(label) | values))


def standing(labels: Iterable[Label]) -> dict[tuple[str, str], Label]:
    """Return the label that holds for each (item_id, field) of one rater: the last in the file
    that was not taken back, whatever its time says. An undo can itself be undone. Cleared fields
    are left out.
    """
    histories: dict[tuple[str, str], list[Label]] = defaultdict(list)
    for label in labels:
        histories[label.item_id, label.field].append(label)
    found = {key: _last_standing(history) for key, history in histories.items()}
    return {
        key: label for key, label in found.items() if label is not None and label.new is not None
    }


def _last_standing(history: list[Label]) -> Label | None:
    """Return the label that holds, given all labels of one field of one item."""
    taken_back = _taken_back(history)
    holding = [x for x in history if not x.undo_of and x.label_id not in taken_back]
    return holding[-1] if holding else None


def _taken_back(labels: list[Label]) -> set[str]:
    """Return the ids of labels that an undo takes back; an undo that is taken back does nothing."""
    found: set[str] = set()
    for label in reversed(labels):
        if label.undo_of and label.label_id not in found:
            found.add(label.undo_of)
    return found


class LabelFile:
    """One rater's labels, to read and to add to. Several processes of the same rater may hold the
    same file: each sees the lines of the others before it writes its own.
    """

    def __init__(self, rater: str, root: str | os.PathLike | None = None) -> None:
        self.rater = check_id(rater, "rater")
        self.path = labels_dir(root) / f"{rater}.jsonl"
        self._labels: list[Label] = []
        self._seen_bytes = 0
        self.problems: list[str] = []

    def labels(self) -> list[Label]:
        """Return all labels in the order in which they were written, also those taken back."""
        size = self.path.stat().st_size if self.path.exists() else 0
        if size != self._seen_bytes:
            self._labels, self.problems = read_labels(self.path)
            self._seen_bytes = size
        return list(self._labels)

    def values(self) -> dict[tuple[str, str], Any]:
        """Return what now holds: (item_id, field) → value."""
        return {key: label.new for key, label in standing(self.labels()).items()}

    def add(self, item_id: str, item_hash: str, field: str, new: Any, label_id: str = "") -> Label:
        """Set a field of an item (None clears it) and return the label, which is then on the disk.

        `label_id` is the caller's own id for it, by default a random one: a label that arrives
        twice is written once.
        """
        wanted = Label(
            label_id=label_id or uuid.uuid4().hex,
            rater=self.rater,
            at="",
            item_id=item_id,
            item_hash=item_hash,
            field=field,
            new=new,
        )
        return self._append(wanted)

    def undo(self, label_id: str = "", undo_id: str = "") -> Label | None:
        """Take back the label of that id, by default the last one that holds, and return the line
        that does it, whose own id the caller may give as `undo_id`; None where nothing holds.
        """
        labels = self.labels()
        if undo_id and (known := [label for label in labels if label.label_id == undo_id]):
            return known[0]
        taken_back = _taken_back(labels)
        if label_id and label_id not in {label.label_id for label in labels}:
            raise RecordError(f"label_id {label_id!r} is not in {self.path}: nothing to undo")
        if label_id in taken_back:
            raise RecordError(f"label_id {label_id!r} has already been undone in {self.path}")
        holding = [x for x in labels if not x.undo_of and x.label_id not in taken_back]
        targets = [x for x in labels if x.label_id == label_id] if label_id else holding[-1:]
        if not targets:
            return None
        wanted = replace(targets[0], label_id=undo_id or uuid.uuid4().hex)
        return self._append(wanted, undo_of=targets[0].label_id)

    def undo_of(self, label_id: str) -> Label | None:
        """Return the line that takes the label of that id back, None where it stands."""
        labels = self.labels()
        taken_back = _taken_back(labels)
        undos = [x for x in labels if x.undo_of == label_id and x.label_id not in taken_back]
        return undos[-1] if undos else None

    def _append(self, wanted: Label, undo_of: str = "") -> Label:
        import fcntl  # of Unix alone: on Windows labels can be read

        is_new = not self.path.exists()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, "a+b", buffering=0) as out:
            fcntl.flock(out, fcntl.LOCK_EX)
            labels = self.labels()
            if known := [label for label in labels if label.label_id == wanted.label_id]:
                return known[0]
            label = self._stamped(wanted, undo_of, labels)
            _write_line(out, label)
            self._seen_bytes = out.tell()
        if is_new:
            _sync_directory(self.path.parent)
        self._labels.append(label)
        return label

    def _stamped(self, wanted: Label, undo_of: str, labels: list[Label]) -> Label:
        """Return `wanted` with the time, and the values before and after it."""
        key = (wanted.item_id, wanted.field)
        history = [x for x in labels if (x.item_id, x.field) == key]
        before = _last_standing(history)
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        label = replace(wanted, at=at, old=before.new if before else None)
        if not undo_of:
            return label
        label = replace(label, undo_of=undo_of)
        after = _last_standing([*history, label])
        return replace(label, new=after.new if after else None)


def _write_line(out: FileIO, label: Label) -> None:
    """Append the line, whole or not at all, and wait until it is on the disk. A line that a kill
    has cut short is closed first, so that it costs no other.

    `out` has no buffer: after a failed write, one would try to write its rest when it is closed.
    """
    try:
        text = json.dumps(asdict(label), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise RecordError(
            f"field {label.field!r} of item {label.item_id!r} set to {label.new!r}: {error}; give a"
            " JSON value"
        ) from None
    size = out.seek(0, os.SEEK_END)
    cut_short = size > 0 and os.pread(out.fileno(), 1, size - 1) != b"\n"
    try:
        data = b"\n" * cut_short + text.encode() + b"\n"
        while data:
            data = data[out.write(data) :]
        os.fsync(out.fileno())
    except OSError:
        os.ftruncate(out.fileno(), size)
        raise


def _sync_directory(path: Path) -> None:
    """Wait until a new file's name, too, is on the disk."""
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
