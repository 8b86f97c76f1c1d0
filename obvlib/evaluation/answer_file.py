"""The file that keeps a model's answers: one line of JSON each, added as they come, never lost.

predictions.jsonl              the answers that hold, one line an example
predictions.set_aside.jsonl    every line that was replaced or could not be read, as it was
predictions.<mark>.jsonl       the answers of another model or setting, which took turns here
predictions.jsonl.made_by      the mark of the model and settings that answer now
predictions.jsonl.seen         which media this folder's runs have seen
predictions.jsonl.lock         held while a run writes
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from obvlib.core import Prediction
from obvlib.core.files import replacing
from obvlib.core.jsonl import parse
from obvlib.core.records import from_json, to_json


class AnswerFile:
    """The answers of one model under one setting. Open it with `opened`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen_path = path.with_name(path.name + ".seen")

    def append(self, predictions: Iterable[Prediction]) -> None:
        """Add lines, whole ones whatever other processes add at the same time."""
        text = "".join(_line(prediction) for prediction in predictions).encode()
        if not text:
            return
        with open(self.path, "ab") as out:
            fcntl.lockf(out, fcntl.LOCK_EX)
            out.write(text)
            out.flush()
            os.fsync(out.fileno())

    def settle(self, hashes: Mapping[str, str]) -> dict[str, Prediction]:
        """Keep the line of each example that holds, set the others aside, and return those kept.

        `hashes` says what is asked now. An answer holds where its hash is the same, or where the
        media cannot be read now and the words are the same; of several, the first that was
        answered. Lines of examples that are not asked now stay.
        """
        lines = _lines(self.path)
        found = [(line, _prediction(line)) for line in lines]
        kept = _best(p for _, p in found if p is not None and holds(p, hashes.get(p.example_id)))
        staying = {id(prediction) for prediction in kept.values()}
        whole = b"".join(line + b"\n" for line, p in found if id(p) in staying)
        if not self.path.exists() or self.path.read_bytes() != whole:
            self._set_aside(line for line, p in found if id(p) not in staying)
            with replacing(self.path) as partial:
                partial.write_bytes(whole)
        return kept

    def read(self, hashes: Mapping[str, str]) -> dict[str, Prediction]:
        """Return the lines that hold, as `settle` would keep them; nothing is written."""
        found = map(_prediction, _lines(self.path))
        return _best(p for p in found if p is not None and holds(p, hashes.get(p.example_id)))

    def seen(self) -> set[str]:
        """Return the ids of the examples whose media this or an earlier run could read; none where
        the file that keeps them is damaged.
        """
        try:
            found = parse(self._seen_path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return set()
        is_list = isinstance(found, list) and all(isinstance(name, str) for name in found)
        return set(found) if is_list else set()

    def note_seen(self, example_ids: Iterable[str]) -> None:
        """Remember that the media of these examples were there."""
        known = self.seen()
        if new := set(example_ids) - known:
            with replacing(self._seen_path) as partial:
                partial.write_text(json.dumps(sorted(known | new)))

    def _set_aside(self, lines: Iterable[bytes]) -> None:
        text = b"".join(line + b"\n" for line in lines)
        if text:
            with open(self.path.with_suffix(".set_aside" + self.path.suffix), "ab") as out:
                out.write(text)
                out.flush()
                os.fsync(out.fileno())


def holds(prediction: Prediction, asked: str | None) -> bool:
    """Return whether a prediction still answers what is asked now, hash `asked` ("words." where the
    media cannot be read; None: not asked now).
    """
    if asked is None or prediction.example_hash == asked:
        return True
    return asked.endswith("?") and prediction.example_hash.partition(".")[0] == asked[:-2]


def read_answers(path: Path) -> list[Prediction]:
    """Return the predictions that a file holds, one an example, whatever a killed run left between
    them.

    Nothing is written. FileNotFoundError where there is no file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there: run `obv evaluate` first")
    return list(_best(filter(None, map(_prediction, _lines(path)))).values())


def _best(predictions: Iterable[Prediction]) -> dict[str, Prediction]:
    """Return one prediction an example: the first that was answered, else the last."""
    kept: dict[str, Prediction] = {}
    for prediction in predictions:
        before = kept.get(prediction.example_id)
        if before is None or before.status != "ok":
            kept[prediction.example_id] = prediction
    return kept


@contextmanager
def opened(path: Path, mark: str, *, replace: bool) -> Iterator[AnswerFile]:
    """Open the answers of the model and settings that `mark` stands for; one run at a time.

    ValueError where another run is writing, or where the file holds another mark's answers. With
    `replace` those are kept under their mark's name, and the answers that this mark gave before
    come back.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_name(path.name + ".lock"), "a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ValueError(
                f"{path} is being written by another run: wait until it ends, or choose another"
                " output folder"
            ) from None
        _take_turns(path, mark, replace)
        yield AnswerFile(path)


def _take_turns(path: Path, mark: str, replace: bool) -> None:
    note = path.with_name(path.name + ".made_by")
    found = note.read_text().strip() if note.exists() else ""
    if found != mark:
        if path.exists() and path.stat().st_size:
            if not replace:
                raise ValueError(
                    f"{path} holds predictions of another model or other settings (fingerprint"
                    f" {found or 'unknown'}, now {mark}): choose another output folder, or remove"
                    " that file"
                )
            os.replace(path, _free_name(path, found or "unknown"))
        with replacing(note) as partial:
            partial.write_text(mark)
    mine = path.with_name(f"{path.stem}.{mark}{path.suffix}")
    if mine.exists() and not (path.exists() and path.stat().st_size):
        os.replace(mine, path)


def _free_name(path: Path, mark: str) -> Path:
    names = (f"{path.stem}.{mark}{n}{path.suffix}" for n in ("", *(f".{i}" for i in range(1, 999))))
    return next(path.with_name(name) for name in names if not path.with_name(name).exists())


def _lines(path: Path) -> list[bytes]:
    """Return the file's lines without their ends; a byte order mark and blank lines are left
    out.
    """
    if not path.exists():
        return []
    data = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    return [line for line in (raw.strip(b"\r\n ") for raw in data.split(b"\n")) if line]


def _prediction(line: bytes) -> Prediction | None:
    """Return the prediction in a line; None for a line that a kill, a full disk or a stranger
    left.
    """
    try:
        return from_json(Prediction, parse(line.decode("utf-8")))
    except (ValueError, RecursionError):
        return None


def _line(prediction: Prediction) -> str:
    row = to_json(prediction)
    text = json.dumps(row, ensure_ascii=False, allow_nan=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair has no UTF-8; JSON can escape it
        text = json.dumps(row, allow_nan=False)
    return text + "\n"
