"""The labelled responses under tests/golden and how a reader of answers does on them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

GOLDEN = Path(__file__).parent / "golden"
OPTIONS = {
    "ANAT": ("Left ventricle", "Right ventricle", "Left atrium", "Right atrium"),
    "VALV": ("Aortic stenosis", "Aortic regurgitation", "Mitral stenosis", "Mitral regurgitation"),
    "EF": ("Less than 30%", "30% to 40%", "41% to 54%", "55% or more"),
    "SEV": ("Normal", "Mild", "Moderate", "Severe"),
    "TUM": ("Tumor", "Edema", "Hemorrhage", "Ischemia"),
    "MOD": ("CT", "MRI", "Ultrasound", "X-ray"),
    "PUB": ("Yes", "No", "Maybe"),
    "NUM": ("2", "3", "4", "5"),
}


class Case(NamedTuple):
    """One response, the options that were shown (None: yes or no) and its label, None: unread."""

    options: dict[str, str] | None
    want: str | None
    response: str


def read_cases(name: str) -> list[Case]:
    """Return the cases of `responses_<name>.tsv`."""
    text = (GOLDEN / f"responses_{name}.tsv").read_text(encoding="utf-8")
    rows = [line.split("\t") for line in text.splitlines() if not line.startswith("#")]
    return [
        Case(
            None if options == "YN" else dict(zip("ABCD", OPTIONS[options], strict=False)),
            None if want == "-" else want,
            response.replace("\\n", "\n").replace("\\\\", "\\"),
        )
        for options, want, response in rows
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
