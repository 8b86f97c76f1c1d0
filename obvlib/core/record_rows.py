"""Records to and from JSON: plain types out, strict types in, one object a line in files."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
import types
import typing
from collections.abc import Iterable
from typing import Any

from obvlib.core.checks import RecordError
from obvlib.core.jsonl import read_rows, write_rows


def to_json(record: Any) -> dict[str, Any]:
    """Return the record as plain JSON types; fields at their default are left out, so that rows
    stay short.
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
    hints = _hints(cls)
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


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    """Return a record type's field types; working them out takes longer than reading a row."""
    return typing.get_type_hints(cls)


def digest(record: Any) -> str:
    """Return a short hash of a record or any JSON value: equal ones have equal hashes, in every
    process. Fields that comparison leaves out (`compare=False`) are left out here too.
    """
    if dataclasses.is_dataclass(record) and not isinstance(record, type):
        kept = {f.name for f in dataclasses.fields(record) if f.compare}
        record = {name: value for name, value in to_json(record).items() if name in kept}
    text = json.dumps(record, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def located(result: Any, record: Any) -> Any:
    """Return a stored result whose places (fields that comparison leaves out) are those of the
    record that it is made from now: a file that moved is found where it is.
    """
    if isinstance(result, tuple):
        return tuple(located(part, record) for part in result)
    if not dataclasses.is_dataclass(result) or isinstance(result, type):
        return result
    now = {
        f.name: located(getattr(result, f.name), record)
        if f.compare
        else getattr(record, f.name, getattr(result, f.name))
        for f in dataclasses.fields(result)
    }
    return dataclasses.replace(result, **now)


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
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
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
