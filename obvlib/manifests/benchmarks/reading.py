"""What the readers share: where rows come from, texts that must be there, kinds of questions."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from obvlib.core import RecordError
from obvlib.core.jsonl import parse, scan_rows
from obvlib.manifests.cards import Card


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a row stands: its benchmark (`name`, `card`), its number from 1 and `where` in words;
    and the folder of the benchmark's media.
    """

    name: str
    card: Card
    folder: Path
    number: int
    where: str


def rows_of(path: str | os.PathLike) -> Iterator[tuple[str, Any, str]]:
    """Return (where, row, "") for each row of a file of JSON lines or of one JSON array, or (where,
    None, reason) for a line that is not JSON.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is not a file of rows: give the benchmark's published file"
        )
    data = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    if data.lstrip()[:1] == b"[":
        for number, row in enumerate(_array(data, path.name), start=1):
            yield f"{path.name}, row {number}", row, ""
        return
    for number, row, broken in scan_rows(path):
        where = f"{path.name}, line {number}"
        yield where, row, f"{where}: {broken}" if broken else ""


def _array(data: bytes, name: str) -> list[Any]:
    try:
        return parse(data.decode("utf-8"))
    except ValueError as error:
        raise RecordError(
            f"{name}: not one JSON array ({error}); download the file again"
        ) from None


def text_of(row: Any, field: str, where: str) -> str:
    """Return the text of a field; RecordError where it has none."""
    value = row.get(field) if isinstance(row, dict) else None
    if not isinstance(value, str) or not value.strip():
        raise RecordError(f"{where}: field {field!r} is {value!r}; give it some text")
    return value.strip()


def family_of(answer: str, options: dict[str, str] | None) -> str:
    """Return "closed" (with options), "yes_no" or "open"."""
    return "closed" if options else "yes_no" if answer in ("yes", "no") else "open"
