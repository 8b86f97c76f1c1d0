"""Checks that every room shares: ids that can serve as file names, and names that are unique."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TypeVar

Item = TypeVar("Item")

_SAFE_ID = re.compile(r"[A-Za-z0-9_\-][A-Za-z0-9_.\-]{0,199}")


class RecordError(ValueError):
    """A row that cannot be used: the message names the file, the row, the field, its value and the
    remedy.
    """


def check_id(value: str, field_name: str = "video_id") -> str:
    """Return `value` if it can serve as one path component, else raise RecordError: ids come from
    manifests and become file names.
    """
    if not is_id(value):
        raise RecordError(
            f"{field_name} {value!r} cannot be used in a file name: use 1 to 200 letters, digits,"
            " '_', '-' or '.', not starting with '.'"
        )
    return value


def is_id(value: object) -> bool:
    """Return whether a value can serve as one path component."""
    return isinstance(value, str) and _SAFE_ID.fullmatch(value) is not None


def check_path(path: str, field_name: str = "video") -> str:
    """Return `path` if each of its parts is an id, so that it stays below any directory that it is
    joined to, else raise RecordError.
    """
    for part in path.split("/"):
        check_id(part, f"a part of {field_name} {path!r}")
    return path


def by_unique(
    items: Iterable[Item], key: Callable[[Item], str], what: str = "id"
) -> dict[str, Item]:
    """Return items by their key, in order; equal items count once. RecordError names the key that
    two different items share.
    """
    found: dict[str, Item] = {}
    for item in items:
        add_unique(found, key(item), item, what)
    return found


def add_unique(found: dict[str, Item], name: str, item: Item, what: str = "id") -> None:
    """Add an item by its name. RecordError where another item has the name already."""
    if found.setdefault(name, item) != item:
        raise RecordError(
            f"two different records have the {what} {name!r}: each needs its own; rename or"
            " remove one"
        )
