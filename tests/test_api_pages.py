"""The reference is complete: every public name and every command, each with its words."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "book/_ext"))
import api_reference  # noqa: E402


def test_every_room_is_in_the_reference_once():
    from test_project import ROOMS

    names = [room.__name__ for room in api_reference.rooms()]
    assert names == [f"obvlib.{name}" for name in ROOMS if (ROOT / "obvlib" / name).is_dir()][:-1]


@pytest.mark.parametrize("room", api_reference.rooms(), ids=lambda room: room.__name__)
def test_every_public_name_stands_in_the_reference(room):
    text = api_reference.room_text(room)
    assert [name for name in room.__all__ if f"\n### {name}\n\n" not in text] == []


def test_every_command_stands_in_the_reference_with_its_options():
    from obvlib.cli.app import ORDER

    text = api_reference.commands_text()
    assert [name for name in ORDER if f"\n### obv {name}" not in text] == []
    assert "| `--dry-run` | Only say what would be removed. |" in text


def test_name_without_words_is_found():
    room = ModuleType("obvlib.toy", "A toy.")
    room.__all__ = ["silent"]

    def silent(count: int = 3) -> None: ...

    room.silent = silent
    with pytest.raises(ValueError, match="obvlib.toy.silent has no docstring"):
        api_reference.room_text(room)
    silent.__doc__ = "Say it."
    assert "```python\nsilent(count: int = 3) -> None\n```\n\nSay it." in (
        api_reference.room_text(room)
    )
