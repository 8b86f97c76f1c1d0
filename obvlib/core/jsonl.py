"""JSON lines in and out: one object a line, UTF-8, strict (no NaN, no name given twice), written
whole or not at all.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from typing import Any

from obvlib.core.checks import RecordError
from obvlib.core.files import replacing


def read_rows(path: str | os.PathLike) -> Iterator[tuple[str, Any]]:
    """Yield ("file, line N", parsed JSON) for each line that is not blank."""
    with open(path, "rb") as lines:
        for number, line in enumerate(lines, start=1):
            where = f"{os.fspath(path)}, line {number}"
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
                row = parse(text) if text.strip() else None
            except (
                ValueError,
                RecursionError,
            ) as error:  # bad UTF-8, bad JSON, NaN, a number of thousands of digits
                raise RecordError(
                    f"{where}: not JSON ({error}); each line must hold one JSON object in UTF-8"
                ) from None
            if text.strip():
                yield where, row


def write_rows(path: str | os.PathLike, rows: Iterable[dict[str, Any]]) -> int:
    """Write one JSON object a line, whole or not at all; return how many."""
    num_rows = 0
    with replacing(path) as partial, open(partial, "w", encoding="utf-8") as out:
        for row in rows:
            out.write(_line(row))
            num_rows += 1
    return num_rows


def parse(text: str) -> Any:
    """One JSON value; ValueError for what strict JSON forbids."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(row := dict(pairs)) < len(pairs):
            raise ValueError("a name is given twice in one object")
        return row

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not a JSON number")

    return json.loads(text, object_pairs_hook=once, parse_constant=refuse)


def _line(row: dict[str, Any]) -> str:
    try:
        text = json.dumps(row, ensure_ascii=False, allow_nan=False)
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair has no UTF-8; JSON can escape it
        text = json.dumps(row, allow_nan=False)
    except ValueError as error:
        raise RecordError(
            f"row {row!r}: {error}; leave out or replace numbers that are not finite"
        ) from None
    return text + "\n"
