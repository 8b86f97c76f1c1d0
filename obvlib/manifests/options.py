"""The options and the answer of a question, however a published row writes them.

Options come as a list, an object, a JSON string or in columns (`option_A`, `Choice 1`, `opa`,
`A` …), under names in any case, and may carry their letters ("B. Severe"). Answers come as a
letter, "(B)", "B. Severe" or the option's text. What can be read in two ways, or contradicts
itself, is a problem by name and never a guess.
"""

from __future__ import annotations

import re
from string import ascii_uppercase
from typing import Any

from obvlib.core import RecordError
from obvlib.core.jsonl import parse

LETTER_FIELDS = ("correct_option", "answer_idx", "answer_letter")
TEXT_FIELDS = ("answer", "correct_answer", "final_decision")
KNOWN_FIELDS = (*LETTER_FIELDS, *TEXT_FIELDS)
_COLUMN = re.compile(r"(?!options$|choices$)(?:option|choice|opt)[\s_-]?([a-z]|\d\d?)|op([a-h])")
_LIKE_COLUMN = re.compile(r"option|choice|alternative|candidate|distractor|ending|opt[\s_-]")
_LETTERED = re.compile(r"\s*[(\[]?([A-Za-z])[)\].:]+\s+(\S.*?)\s*", re.DOTALL)
_BARE = re.compile(r"\s*(?:option\s+)?[(\[]?([A-Za-z])[)\].:]*\s*", re.IGNORECASE)


def options_of(row: dict[str, Any], where: str) -> dict[str, str] | None:
    """Return the options of a row by letter, without the letters that their texts may carry; None
    where it has none.

    RecordError names an option that is given twice, one that stands alone, and options of another
    form: none is left out silently.
    """
    row = lower_names(row, where)
    fields = [_plain(row[name], where) for name in ("options", "choices") if row.get(name)]
    if len(fields) > 1 and fields[0] != fields[1]:
        raise RecordError(f"{where}: fields 'options' and 'choices' differ; remove one")
    given = fields[0] if fields else None
    spread = _texts(_columns(row, where), where)
    found = _texts(_by_letter(given, where) if given else spread or _letter_columns(row), where)
    _check_columns(row, is_all=bool(found), where=where)
    if not found:
        return None
    if len(found) == 1:
        raise RecordError(f"{where}: options {found!r}; give at least two, or none")
    found = _without_letters(found, isinstance(given, (list, tuple)), where)
    seen: dict[str, str] = {}
    for letter, text in found.items():
        if (first := seen.setdefault(_key(text), letter)) != letter:
            raise RecordError(
                f"{where}: option {text!r} is given twice, as {first} and {letter}; remove one"
            )
    missing = [t for t in _without_letters(spread, False, where).values() if _key(t) not in seen]
    if missing:
        raise RecordError(
            f"{where}: option {missing[0]!r} has a column and is not in field 'options'; correct"
            " the row"
        )
    return found


def _plain(given: Any, where: str) -> Any:
    """Return the options of a field, read where they are JSON text."""
    if not isinstance(given, str):
        return given
    try:
        return parse(given)
    except ValueError:
        raise RecordError(
            f"{where}: options {given!r}; give an object of letters and texts, a list of texts,"
            " or either as JSON text"
        ) from None


def answer_of(row: dict[str, Any], options: dict[str, str] | None, where: str) -> str:
    """Return the right answer: a letter where there are options, else "yes", "no" or the words as
    given.

    RecordError where it is missing, is none of the options, can be read as two of them, or where
    the row's letter and text disagree.
    """
    row = lower_names(row, where)
    said = {n: row[n] for n in KNOWN_FIELDS if row.get(n) not in (None, "")}
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


def is_letter(answer: str) -> bool:
    """Return whether an answer is only the letter of an option."""
    return _BARE.fullmatch(answer) is not None


def _letters(said: str, options: dict[str, str], letter_only: bool) -> set[str]:
    """Return the options that `said` may mean."""
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


def _columns(row: dict[str, Any], where: str) -> dict[str, Any]:
    """Return the options spread over columns (option_A, Choice b, option1, opa), in their order."""
    found: dict[str, Any] = {}
    for name, text in row.items():
        if (match := _COLUMN.fullmatch(name)) and not _is_empty(text):
            place = (match[1] or match[2]).upper()
            if found.setdefault(place, text) != text:
                raise RecordError(f"{where}: option {place!r} has two columns; remove one")
    if all(place.isdigit() for place in found):  # counted from 0 or 1
        return dict(zip(ascii_uppercase, (found[n] for n in sorted(found, key=int)), strict=False))
    return {place: found[place] for place in sorted(found)}


def _letter_columns(row: dict[str, Any]) -> dict[str, Any]:
    """Return the options in columns A, B, …: up to H with gaps, from there without."""
    found: dict[str, Any] = {}
    for letter, before in zip(ascii_uppercase, " " + ascii_uppercase, strict=False):
        if letter.lower() in row and (letter <= "H" or before in found):
            found[letter] = row[letter.lower()]
    return found


def _check_columns(row: dict[str, Any], is_all: bool, where: str) -> None:
    """Raise RecordError for a column that looks like options and cannot be read as such."""
    for name, held in row.items():
        if name in (*KNOWN_FIELDS, "options", "choices") or _COLUMN.fullmatch(name):
            continue
        is_list = isinstance(held, (list, tuple, dict)) and len(held) > 0
        is_text = isinstance(held, str) and held.strip() and not (is_all and name[:6] == "choice")
        if _LIKE_COLUMN.search(name) and (is_list or is_text):
            raise RecordError(
                f"{where}: column {name!r} looks like options; name a list 'options' and single"
                " ones option_A, option_B …, or rename it"
            )


def lower_names(row: dict[str, Any], where: str) -> dict[str, Any]:
    """Return a row with the names of its columns in lower case; RecordError where two become one
    and differ.
    """
    found: dict[str, Any] = {}
    for name, value in row.items():
        known = str(name).strip().lower()
        if known in found and found[known] != value:
            raise RecordError(f"{where}: column {known!r} is given twice; remove one")
        found[known] = value
    return found


def _is_empty(text: Any) -> bool:
    return text is None or text != text or not str(text).strip()


def _texts(options: dict[str, Any], where: str) -> dict[str, str]:
    """Return the options that have a text, each as text."""
    found: dict[str, str] = {}
    for letter, text in options.items():
        if text is not None and (isinstance(text, bool) or not isinstance(text, (str, int, float))):
            raise RecordError(f"{where}: option {letter!r} is {text!r}; give each letter one text")
        if not _is_empty(text):
            found[letter] = str(text).strip()
    return found


def _by_letter(given: Any, where: str) -> dict[str, Any]:
    """Return the options of a field, of any form, by upper-case letter."""
    if isinstance(given, dict) and {"text", "label"} == given.keys():
        given = [{"key": k, "value": v} for k, v in _pairs(given, where)]
    if isinstance(given, (list, tuple)):
        if all(isinstance(item, dict) and {"key", "value"} <= item.keys() for item in given):
            given = {str(item["key"]): item["value"] for item in given}
        elif len(given) > len(ascii_uppercase):
            raise RecordError(f"{where}: {len(given)} options; letters name 26 at the most")
        else:
            given = dict(zip(ascii_uppercase, given, strict=False))
    if not isinstance(given, dict):
        raise RecordError(
            f"{where}: options {given!r}; give an object of letters and texts, or a list of texts"
        )
    found: dict[str, Any] = {}
    for letter, text in given.items():
        if (name := str(letter).strip().upper()) in found:
            raise RecordError(f"{where}: option {letter!r} is given twice; remove one")
        found[name] = text
    return found


def _pairs(given: dict[str, Any], where: str) -> list[tuple[Any, Any]]:
    """Return the labels and texts that stand in two lists, as pairs."""
    labels, texts = given["label"], given["text"]
    if not isinstance(labels, list) or not isinstance(texts, list) or len(labels) != len(texts):
        raise RecordError(f"{where}: options {given!r}; give as many labels as texts")
    return list(zip(labels, texts, strict=True))


def _without_letters(options: dict[str, str], is_list: bool, where: str) -> dict[str, str]:
    """Return the options whose texts all carry a letter, without it. A list's own letters count; an
    object's must agree.
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
