"""Numbers with units in an answer, compared after conversion by pint."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import Any

from obvlib.scoring.lexicon import UNITS

_MANY = (
    (r"\bmm\s+hg\b", "mmhg"),
    (r"\b(?:heart)?beats?\s*(?:per|/|a)\s*min(?:ute)?\b|\b/\s?min(?:ute)?\b", "bpm"),
    (r"\b(met|lit)re(s?)\b", r"\1er\2"),
    (r"(milli|centi|kilo|micro|nano)(met|lit)re(s?)\b", r"\1\2er\3"),
    (r"\bpercent\b", "%"),
    (r"\bnon[-\s](?=[a-z])", "non"),
    (r"\b(type|group|hepatitis|vitamin|class|stage|influenza|protein)\s+([a-e])\b", r"\1 kind\2"),
    (r"\b([ctls])(\d\d?)\s?[-–/]\s?([ctls]\d)", r"\1\2 \3"),  # vertebrae
    (r"\b([ctls])(\d\d?)\s?[-–/]\s?(\d\d?)\b", r"\1\2 \1\3"),
    (r"\ba([2-5])ch?\b", r"apical \1 chamber"),
)
_ROMAN = {
    "i": 1,
    "ii": 2,
    "iii": 3,
    "iv": 4,
    "v": 5,
    "vi": 6,
    "vii": 7,
    "viii": 8,
    "ix": 9,
    "x": 10,
}
_RANKED = re.compile(
    r"\b(type|grade|stage|class|level|nerve|segment|zone|phase|lead|factor|degree)\s+"
    r"(viii|vii|vi|iv|ix|iii|ii|i|v|x)\b"
)
_SPOKEN = {
    word: str(number)
    for number, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve".split()
    )
} | {"twenty": "20", "thirty": "30", "forty": "40", "fifty": "50", "sixty": "60", "ninety": "90"}
_SPOKEN_WORD = re.compile(rf"\b(?:{'|'.join(_SPOKEN)})\b(?!\s+of\b)")
_NUMBER = re.compile(
    r"(?:([<>]=?)\s?|(?<![\w.]))(-?\d+(?:[.,]\d+)*)(?:-(\d+(?:\.\d+)?))?(?![\w-]*\d)[\s-]?"
    r"(%|°[cf]|[a-zμ]+(?:/[a-z]+)?)?"
)


@dataclass(frozen=True)
class Quantity:
    """A number as it was written (`digits` after the point), its unit ("" for none) and sign."""

    value: float
    digits: int
    unit: str
    sign: str = ""
    until: float | None = None


def spelled_out(text: str) -> str:
    """Return lower-case text with number words, Roman ranks and long units in one form."""
    text = re.sub(r"'s\b", "", text.casefold())
    for pattern, written in _MANY:
        text = re.sub(pattern, written, text)
    text = _RANKED.sub(lambda found: f"{found[1]} {_ROMAN[found[2]]}", text)
    text = re.sub(r"(?<=\d)\s*\+\s*(?=\d)", "plus", text)  # 3+4 is not 4+3
    return _SPOKEN_WORD.sub(lambda found: _SPOKEN[found[0]], text)


def split_quantities(text: str) -> tuple[list[Quantity], str]:
    """Return the quantities of a spelled-out text, and the text without them."""
    found, left, end = [], [], 0
    for match in _NUMBER.finditer(text):
        if (quantity := _quantity(match)) is None:
            continue
        found.append(quantity)
        left += [text[end : match.start()], " "]
        left += [match[4]] if match[4] and not quantity.unit else []
        end = match.end()
    return found, "".join([*left, text[end:]])


def _quantity(match: re.Match[str]) -> Quantity | None:
    """Return what a match says; None for something with several points, such as a date."""
    number = match[2].replace(",", "") if re.search(r",\d{3}\b", match[2]) else match[2]
    number = number.replace(",", ".")
    if number.count(".") > 1:
        return None
    until = float(match[3]) if match[3] else None
    digits = len(number.partition(".")[2])
    unit = UNITS.get(match[4] or "", "")
    return Quantity(float(number), digits, unit, match[1] or "", until)


def same_quantity(said: Quantity, wanted: Quantity) -> bool:
    """Return whether two quantities agree in value, to the wanted digits, in unit and sign."""
    if said.sign != wanted.sign or (said.until is None) != (wanted.until is None):
        return False
    if wanted.unit and not same_dimension(said, wanted):
        return False
    pairs = [(said.value, wanted.value)]
    if said.until is not None and wanted.until is not None:
        pairs.append((said.until, wanted.until))
    return all(
        abs(converted(one, said.unit, wanted.unit) - other) <= _slack(wanted)
        for one, other in pairs
    )


def converted(value: float, unit: str, wanted: str) -> float:
    """Return a value in another unit of its dimension; unchanged where none is wanted."""
    if not wanted or unit == wanted:
        return value
    return value * float(_registry().Quantity(1.0, unit).to(wanted).magnitude)


def same_dimension(one: Quantity, other: Quantity) -> bool:
    """Return whether the units can be converted into one another."""
    if not one.unit or not other.unit:
        return one.unit == other.unit
    units = _registry()
    first, second = units.Unit(one.unit), units.Unit(other.unit)
    return bool(first.dimensionality == second.dimensionality) and (
        (one.unit == "percent") == (other.unit == "percent")
    )


def _slack(wanted: Quantity) -> float:
    """Return half a unit of the last digit where decimals were written, else the rounding of
    floats.
    """
    return 0.5 * 10.0**-wanted.digits + 1e-9 if wanted.digits else 1e-6 * max(1, abs(wanted.value))


@functools.cache
def _registry() -> Any:
    import pint

    return pint.UnitRegistry()
