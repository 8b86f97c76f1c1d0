"""Whether an open answer is right, judged offline: repeatable, free, sends nothing anywhere.

Strict first, generous where it is safe. All deciding words of the reference must be there, in any
order, in American or British spelling, singular or plural, abbreviated or misspelled a little;
one word that turns an answer around makes it wrong.

- exact: right: the same words; `the left ventricle` → `Left ventricle.`
- same: right: all deciding words, nothing against; `CT scan` → `computed tomography`
- within: right: the reference whole within more words; `scalpel` → `The surgeon uses a scalpel`
- similar: right: `similarity` of the texts reaches the threshold, nothing against |
- number: wrong: a quantity is missing, or another one is given; `3 cm` → `3 mm`
- opposite: wrong: a word that excludes one of the reference; `left lung` → `right lung`
- denied: wrong: only one of the two denies; `a polyp` → `no polyp`
- list: wrong: members that the reference lacks; `liver` → `liver, spleen, kidney`
- missing: wrong: a deciding word is not there; `subdural hemorrhage` → `hemorrhage`
- undecided: wrong: only asks, supposes or offers alternatives; `It may be a polyp`
- empty: wrong: no words |

`overlap` is the F1 of the two sets of words, a column of its own in reports.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from obvlib.scoring.assertions import after_revision, asserted
from obvlib.scoring.lexicon import ADDRESSES_JUDGE, BESIDE, DENIES_ALL, DENIES_REST, FILLER, GENERIC
from obvlib.scoring.quantities import (
    Quantity,
    same_dimension,
    same_quantity,
    spelled_out,
    split_quantities,
)
from obvlib.scoring.terms import canonical, exclude_each_other, same_word
from obvlib.scoring.words import full_names, plain, words

Similarity = Callable[[str, str], float]
# Of the labelled pairs that the rules leave as `missing`, all-MiniLM-L6-v2 gives a wrong one 0.985
# ("3+4" for "4+3") and no right one more than 0.962: no threshold is useful and safe. Unused by
# default.
MIN_SIMILARITY = 0.99
MAX_SHORT = 6  # deciding words; of a longer reference this share must be there
MIN_SHARE = 0.75
_SENTENCE = re.compile(r"[.;!?\n]+(?=\s|$)|,?\s+\b(?:but|however|whereas)\b")
_NORMAL = re.compile(
    r"\bno (?:significant |acute |focal |obvious )?abnormalit(?:y|ies)\b|\bnothing abnormal\b", re.I
)
# but "H&E"
_MEMBERS = re.compile(r",|/|(?<!\b\w)(?<!\b\w\s)&|;|\band\b|\bor\b|\bas well as\b|\bplus\b")


@dataclass(frozen=True)
class Judged:
    """Whether a response is right, by which rule, and its overlap (F1 of words, 0 to 1) with the
    reference.
    """

    correct: bool
    rule: str
    overlap: float


@dataclass(frozen=True, kw_only=True)
class _Said:
    """An answer taken apart: quantities, deciding words in order, list members, and denial."""

    quantities: list[Quantity]
    words: list[str]
    members: list[list[str]]
    denies: bool


def judge_open(
    response: str,
    answer: str,
    similarity: Similarity | None = None,
    min_similarity: float = MIN_SIMILARITY,
) -> Judged:
    """Judge an open response against the reference answer by the module's rules.

    `similarity` takes two texts and returns a number up to 1, such as the cosine of sentence
    embeddings; without it there is no `similar`.
    """
    wanted_text = plain(answer)
    said_text = full_names(plain(response), [wanted_text])
    overlap = word_f1(words(said_text), words(wanted_text))
    correct, rule = _judge(said_text, wanted_text)
    if rule == "missing" and similarity is not None:
        if similarity(said_text, wanted_text) >= min_similarity:
            correct, rule = True, "similar"
    return Judged(correct, rule, overlap)


def _judge(said_text: str, wanted_text: str) -> tuple[bool, str]:
    if not words(said_text):
        return False, "empty"
    if exact_match(said_text, wanted_text):
        return True, "exact"
    if _is_acronym(said_text, wanted_text) or _is_acronym(wanted_text, said_text):
        return True, "same"
    wanted = _take_apart(wanted_text, is_denied_too=True)
    declared = _declared(said_text)
    said = _take_apart(declared, is_denied_too=wanted.denies)
    if not said.words and not said.quantities:
        return False, "denied" if said.denies else "undecided"
    if not _quantities_agree(said.quantities, wanted.quantities):
        return False, "number"
    if any(_is_against(word, wanted.words) for word in said.words):
        return False, "opposite"
    if wanted.denies and not said.denies:
        return False, "denied"
    missing = [word for word in wanted.words if not _is_among(word, said.words)]
    if missing and not _is_enough(missing, wanted.words):
        return False, "denied" if said.denies and not wanted.denies else "missing"
    if _lists_more(said, wanted) or _offers_others(declared, wanted):
        return False, "list"
    return True, "same" if len(said.words) <= len(wanted.words) else "within"


def exact_match(response: str, answer: str) -> bool:
    """Return whether the two hold the same words, articles and case aside."""
    return _content(words(plain(response))) == _content(words(plain(answer)))


def word_f1(said: list[str], wanted: list[str]) -> float:
    """Return the F1 of the two sets of words without articles and the like: 1 for the same set."""
    said_set, wanted_set = set(_content(said)), set(_content(wanted))
    return 2 * len(said_set & wanted_set) / ((len(said_set) + len(wanted_set)) or 1)


def _is_acronym(short: str, long: str) -> bool:
    """Return whether one is the initials of the other, of at least three words."""
    letters = re.sub(r"[.\s]", "", short)
    initials = "".join(word[0] for word in words(long) if word not in FILLER)
    return len(initials) > 2 and letters.isupper() and letters.casefold() == initials


def _declared(text: str) -> str:
    """Return what the response claims in the end, without sentences addressed to a judge."""
    text = re.sub(r"(?m)^answer:", " ", text)
    sentences = re.split(r"(?<=[.!?\n])\s+", text)
    kept = " ".join(part for part in sentences if not re.search(ADDRESSES_JUDGE, part, re.I))
    said = asserted(kept)
    return after_revision(said) or said


def _take_apart(text: str, *, is_denied_too: bool) -> _Said:
    """Take an answer apart; what a clause denies is left out unless it is wanted too."""
    clauses, denies = [], False
    text = _NORMAL.sub("normal", text)
    for clause in _SENTENCE.split(text):
        if not is_denied_too:
            clause = re.split(BESIDE, clause, maxsplit=1, flags=re.IGNORECASE)[0]
        rest = re.search(DENIES_REST, clause, re.IGNORECASE)
        whole = re.search(DENIES_ALL, clause[: rest.start()] if rest else clause, re.IGNORECASE)
        denies = denies or bool(rest or whole)
        if is_denied_too:
            clauses.append(re.sub(rf"{DENIES_REST}|{DENIES_ALL}", " ", clause, flags=re.I))
        elif not whole:
            clauses.append(clause[: rest.start()] if rest else clause)
    quantities, left = split_quantities(spelled_out(" . ".join(clauses)))
    members = [_deciding(member) for member in _MEMBERS.split(left)]
    return _Said(
        quantities=quantities,
        words=_deciding(left),
        members=[member for member in members if member],
        denies=denies,
    )


def _deciding(text: str) -> list[str]:
    terms = canonical(words(text))
    return [word for word in terms if word not in FILLER and word not in GENERIC] or [
        word for word in terms if word not in FILLER
    ]


def _quantities_agree(said: list[Quantity], wanted: list[Quantity]) -> bool:
    """Return whether each wanted quantity was said, and no other of its kind."""
    return all(any(same_quantity(one, other) for one in said) for other in wanted) and all(
        any(same_quantity(one, other) for other in wanted)
        for one in said
        if any(same_dimension(one, other) for other in wanted)
    )


def _is_among(word: str, others: list[str]) -> bool:
    return any(same_word(word, other) for other in others)


def _is_against(word: str, wanted: list[str]) -> bool:
    return word not in wanted and any(exclude_each_other(word, other) for other in wanted)


def _is_enough(missing: list[str], wanted: list[str]) -> bool:
    return len(wanted) > MAX_SHORT and len(missing) <= (1 - MIN_SHARE) * len(wanted)


def _lists_more(said: _Said, wanted: _Said) -> bool:
    """Return whether the response is a list of short members, one of which shares no word with the
    reference.
    """
    short = [member for member in said.members if len(member) <= 3]
    strange = [
        member for member in short if not any(_is_among(word, wanted.words) for word in member)
    ]
    if len(wanted.members) > 1:
        return bool(strange)
    return len(short) == len(said.members) > 2 and len(strange) >= 2


def _offers_others(declared: str, wanted: _Said) -> bool:
    """Return whether "or" joins the wanted thing to another one."""
    for sentence in _SENTENCE.split(declared):
        sides = [_deciding(side) for side in re.split(r"\bor\b", sentence)]
        hits = [any(_is_among(word, wanted.words) for word in side) for side in sides if side]
        if any(hits) and not all(hits):
            return True
    return False


def _content(text: list[str]) -> list[str]:
    articles = ("a", "an", "the")
    return [word for word in text if word not in articles] or text
