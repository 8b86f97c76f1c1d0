"""JSON lines in and out: one object a line, UTF-8, strict (no NaN, no name given twice), written
whole or not at all.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from obvlib.core.checks import RecordError
from obvlib.core.files import replacing

MAX_DEPTH = 32  # of lists and objects in a row


def read_rows(path: str | os.PathLike) -> Iterator[tuple[str, Any]]:
    """Yield ("file, line N", parsed JSON) for each line that is not blank; RecordError names the
    first that is not JSON.
    """
    for number, row, problem in scan_rows(path):
        where = f"{os.fspath(path)}, line {number}"
        if problem:
            raise RecordError(f"{where}: {problem}")
        yield where, row


def read_object(path: str | os.PathLike, *names: str) -> dict[str, Any]:
    """Return the JSON object in a file that a command wrote; ValueError where it is damaged, or
    lacks one of `names`.
    """
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not found.keys() >= set(names):
        raise damaged(path)
    return found


def damaged(path: str | os.PathLike) -> ValueError:
    """Return the error for a file that a command wrote and nobody can use."""
    return ValueError(
        f"{os.fspath(path)} is damaged, or of another version: move it away, and run again the"
        " command that wrote it"
    )


def scan_rows(path: str | os.PathLike) -> Iterator[tuple[int, Any, str]]:
    """Yield (line number, parsed JSON, "") for each line that is not blank, or (line number, None,
    what is wrong) for one that is not JSON: the lines after it still come.
    """
    with open(path, "rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
                if text.strip():
                    yield number, parse(text), ""
            except ValueError as error:  # bad UTF-8, bad JSON, NaN, a number of thousands of digits
                yield (
                    number,
                    None,
                    f"not JSON ({error}); each line must hold one JSON object in UTF-8",
                )


def write_rows(path: str | os.PathLike, rows: Iterable[dict[str, Any]]) -> int:
    """Write one JSON object a line, whole or not at all; return how many."""
    num_rows = 0
    with replacing(path) as partial, open(partial, "w", encoding="utf-8") as out:
        for row in rows:
            out.write(_line(row))
            num_rows += 1
    return num_rows


def parse(text: str) -> Any:
    """Return one JSON value; ValueError for what strict JSON forbids, for nesting that is too deep
    and for numbers beyond a float's range.
    """
    try:
        return json.loads(
            text, object_pairs_hook=_once, parse_constant=_refuse, parse_float=_finite
        )
    except RecursionError:
        raise ValueError("nested too deep") from None


def check_plain(value: Any, where: str) -> None:
    """Raise RecordError where a JSON value is nested deeper than `MAX_DEPTH`, or a text in it holds
    half of a surrogate pair or a NUL character, which neither files nor tokenizers take.
    """
    left = [(value, where, 0)]
    while left:
        item, at, depth = left.pop()
        if depth > MAX_DEPTH:
            raise RecordError(f"{where}: nested deeper than {MAX_DEPTH} levels; flatten the row")
        if isinstance(item, str):
            if "\0" in item or not _is_unicode(item):
                raise RecordError(
                    f"{at} holds a NUL character or half of a surrogate pair; remove it"
                )
        elif isinstance(item, dict):
            left += [(key, f"{where}, a field name", depth + 1) for key in item]
            left += [(item[key], f"{where}, field {key!r}", depth + 1) for key in item]
        elif isinstance(item, (list, tuple)):
            left += [(part, at, depth + 1) for part in item]


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(row := dict(pairs)) < len(pairs):
        raise ValueError("a name is given twice in one object")
    return row


def _finite(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueError(f"{digits[:20]} is too large for a number")
    return value


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a JSON number")


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
