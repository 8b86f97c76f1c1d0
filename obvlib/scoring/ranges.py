"""Options that are quantities: which one holds what a response measured, `38%` in `30-45%`.

Only where every option is one quantity with a unit, nothing is denied, and all that the response
says in that unit lies in the same option: "Normal is above 55%. Here it is 25%." chooses nothing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from obvlib.scoring.quantities import (
    Quantity,
    converted,
    same_dimension,
    same_quantity,
    spelled_out,
    split_quantities,
)
from obvlib.scoring.words import Parsed, plain

_DENIES = re.compile(r"\b(?:not|no|never|neither|nor|unlikely)\b|n't\b|不|非", re.I)


def measured(text: str, options: Mapping[str, str]) -> Parsed | None:
    """Return the option in which all quantities of `text` lie, "ambiguous" where they lie in
    several; None where something is denied, or options and text have no common unit.
    """
    if _DENIES.search(text):
        return None
    found = {letter: split_quantities(spelled_out(plain(o)))[0] for letter, o in options.items()}
    if any(len(quantities) != 1 for quantities in found.values()):
        return None
    ranges = {letter: quantities[0] for letter, quantities in found.items()}
    unit = next(iter(ranges.values()))
    if not unit.unit or not all(same_dimension(unit, other) for other in ranges.values()):
        return None
    said = [q for q in split_quantities(spelled_out(text))[0] if same_dimension(unit, q)]
    if not said:
        return None
    holding = {tuple(x for x, other in ranges.items() if _holds(other, q)) for q in said}
    letters = holding.pop() if len(holding) == 1 else ()
    return Parsed(letters[0], "measured") if len(letters) == 1 else Parsed(None, "ambiguous")


def _holds(option: Quantity, said: Quantity) -> bool:
    """Return whether what was said lies in an option's range, or is the option's one value."""
    if not option.sign and option.until is None:
        return same_quantity(said, option)
    low, high = _ends(option, option.unit)
    first, last = _ends(said, option.unit)
    if not low <= first <= last <= high:
        return False
    touches = (first == low and option.sign == ">") or (last == high and option.sign == "<")
    return not touches or said.sign == option.sign


def _ends(quantity: Quantity, unit: str) -> tuple[float, float]:
    value = converted(quantity.value, quantity.unit, unit)
    if quantity.until is not None:
        return value, converted(quantity.until, quantity.unit, unit)
    return (-math.inf if "<" in quantity.sign else value), (
        math.inf if ">" in quantity.sign else value
    )
