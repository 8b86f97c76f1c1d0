"""The options and the answer of a question, however a published row writes them.

Options come as a list, an object, a JSON string or in columns (`option_A` …), and may carry their
letters ("B. Severe"). Answers come as a letter, "(B)", "B. Severe" or the option's text. What can
be read in two ways, or contradicts itself, is a problem by name and never a guess.
"""

from __future__ import annotations

import re
from string import ascii_uppercase
from typing import Any

from obvlib.core import RecordError
from obvlib.core.jsonl import parse

LETTER_FIELDS = ("correct_option", "answer_idx", "answer_letter")
TEXT_FIELDS = ("answer", "correct_answer", "final_decision")
_COLUMN = re.compile(r"option_?([A-Za-z])|([A-H])")
_LETTERED = re.compile(r"\s*[(\[]?([A-Za-z])[)\].:]+\s+(\S.*?)\s*", re.DOTALL)
_BARE = re.compile(r"\s*(?:option\s+)?[(\[]?([A-Za-z])[)\].:]*\s*", re.IGNORECASE)


def options_of(row: dict[str, Any], where: str) -> dict[str, str] | None:
    """The options of a row by letter, without the letters that their texts may carry; None where it
    has fewer than two.

    RecordError names an option that is given twice, and options of another form.
    """
    given = row.get("options") or row.get("choices")
    if isinstance(given, str):
        try:
            given = parse(given)
        except ValueError:
            raise RecordError(
                f"{where}: options {given!r}; give an object of letters and texts, a list of texts,"
                " or either as JSON text"
            ) from None
    found = _by_letter(given if given else _columns(row), where)
    found = {letter: text for letter, text in found.items() if text}
    if len(found) < 2:
        return None
    found = _without_letters(found, isinstance(given, (list, tuple)), where)
    seen: dict[str, str] = {}
    for letter, text in found.items():
        if (first := seen.setdefault(_key(text), letter)) != letter:
            raise RecordError(
                f"{where}: option {text!r} is given twice, as {first} and {letter}; remove one"
            )
    return found


def answer_of(row: dict[str, Any], options: dict[str, str] | None, where: str) -> str:
    """The right answer: a letter where there are options, else "yes", "no" or the words as given.

    RecordError where it is missing, is none of the options, can be read as two of them, or where
    the row's letter and text disagree.
    """
    said = {n: row[n] for n in (*LETTER_FIELDS, *TEXT_FIELDS) if row.get(n) not in (None, "")}
    if odd := [n for n, value in said.items() if not isinstance(value, str) or not value.strip()]:
        raise RecordError(f"{where}: field {odd[0]!r} is {said[odd[0]]!r}; give the answer as text")
    if not said:
        raise RecordError(f"{where}: field 'answer' is missing; add it to the row")
    if options is None:
        text = next((said[n] for n in TEXT_FIELDS if n in said), "").strip()
        if not text:
            raise RecordError(f"{where}: answer {said!r} is a letter, and no options are given")
        plain = text.rstrip(".").lower()
        return plain if plain in ("yes", "no") else text
    possible = set(options)
    for name, value in said.items():
        letters = _letters(value, options, name in LETTER_FIELDS)
        if not letters:
            raise RecordError(
                f"{where}: {name} {value!r} is not one of the option letters"
                f" {sorted(options)}, nor one of their texts; correct it"
            )
        possible &= letters
    if len(possible) != 1:
        fault = "can be read as two options" if possible else "contradict each other"
        raise RecordError(f"{where}: {said!r} {fault} of {options!r}; correct the row")
    return possible.pop()


def _letters(said: str, options: dict[str, str], letter_only: bool) -> set[str]:
    """The options that `said` may mean."""
    found = set()
    if (bare := _BARE.fullmatch(said)) and bare[1].upper() in options:
        found.add(bare[1].upper())
    if letter_only and found:
        return found
    found |= {letter for letter, text in options.items() if _key(text) == _key(said)}
    if not found and (both := _LETTERED.fullmatch(said)):
        letter = both[1].upper()
        if letter in options and _key(options[letter]) == _key(both[2]):
            found.add(letter)
    return found


def _columns(row: dict[str, Any]) -> dict[str, Any]:
    """The options spread over columns option_A, optionB or A …, in order of their letters."""
    found: dict[str, str] = {}
    for name in sorted(row, key=str):
        if isinstance(name, str) and (match := _COLUMN.fullmatch(name)):
            found.setdefault((match[1] or match[2]).upper(), row[name])
    return found


def _by_letter(given: Any, where: str) -> dict[str, str]:
    """Options of any form by upper-case letter; what is empty has the text ""."""
    if isinstance(given, (list, tuple)):
        if all(isinstance(item, dict) and {"key", "value"} <= item.keys() for item in given):
            given = {item["key"]: item["value"] for item in given}
        elif len(given) > len(ascii_uppercase):
            raise RecordError(f"{where}: {len(given)} options; letters name 26 at the most")
        else:
            given = dict(zip(ascii_uppercase, given, strict=False))
    if not isinstance(given, dict):
        raise RecordError(
            f"{where}: options {given!r}; give an object of letters and texts, or a list of texts"
        )
    found: dict[str, str] = {}
    for letter, text in given.items():
        name = str(letter).strip().upper()
        if name in found or text is not None and not isinstance(text, (str, int, float)):
            raise RecordError(f"{where}: option {letter!r} is {text!r}; give each letter one text")
        found[name] = "" if text is None or text != text else str(text).strip()
    return found


def _without_letters(options: dict[str, str], is_list: bool, where: str) -> dict[str, str]:
    """Options whose texts all carry a letter, without it. A list's own letters count; an object's
    must agree.
    """
    matches = {letter: _LETTERED.fullmatch(text) for letter, text in options.items()}
    carried = {letter: match[1].upper() for letter, match in matches.items() if match}
    if set(carried.values()) != set(options) or len(carried) < len(options):
        return options  # "E. coli" carries none
    if not is_list and any(letter != own for letter, own in carried.items()):
        raise RecordError(f"{where}: options {options!r} carry other letters than their own")
    return {carried[letter]: match[2] for letter, match in matches.items() if match}


def _key(text: str) -> str:
    return " ".join(text.split()).rstrip(".").casefold()
