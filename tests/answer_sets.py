"""The labelled responses of data_manifests/judging and how a reader of answers does on them."""

from __future__ import annotations

import csv
from collections.abc import Callable
from typing import NamedTuple

from obvlib.core import manifests_dir


class Case(NamedTuple):
    """One response, the options that were shown (None: yes or no) and its label, None: unread."""

    options: dict[str, str] | None
    want: str | None
    response: str


def read_cases(half: str) -> list[Case]:
    """Return the cases of one half, "tuning" or "held_back"."""
    path = manifests_dir() / "judging" / "responses.csv"
    with open(path, encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["half"] == half]
    return [
        Case(
            dict(zip("ABCDE", row["options"].split("|"), strict=False)) if row["options"] else None,
            row["want"] or None,
            row["response"],
        )
        for row in rows
    ]


def tally(cases: list[Case], read: Callable[[Case], str | None]) -> dict[str, list[Case]]:
    """Return the cases that were read right, read wrongly, left unread, and rightly left unread."""
    ends: dict[str, list[Case]] = {"right": [], "wrong": [], "unread": [], "left alone": []}
    for case in cases:
        said = read(case)
        if said is None:
            ends["unread" if case.want else "left alone"].append(case)
        else:
            ends["right" if said == case.want else "wrong"].append(case)
    return ends
