"""Whether an open answer is right, judged offline by words alone: repeatable, free, sends nothing
anywhere, and blind to synonyms.

| rule | verdict | example (answer → response) |
|---|---|---|
| exact | right: the same words, articles and filler words aside | `the left ventricle` → `Left ventricle.` |
| overlap | right: F1 of the two sets of words is at least 0.5 | `removal of the thyroid` → `thyroid removal surgery` |
| little overlap | wrong: F1 below 0.5 | `the liver` → `the spleen` |
| number | wrong: a number of the answer is missing, or another one is given | `60 beats per minute` → `90 beats per minute` |
| opposite | wrong: a word of the answer is replaced by its opposite | `left ventricle` → `right ventricle` |
| denied | wrong: only one of the two denies | `a polyp` → `no polyp` |
| empty | wrong: no words | |

F1 = 2 · shared / (words of the answer + words of the response), so that a response that lists
everything is not right. The last four rules are for what overlap alone gets wrong: one word can
turn an answer around.
"""

from __future__ import annotations

from dataclasses import dataclass

from obvlib.scoring.words import plain, words

MIN_OVERLAP = 0.5
_FILLER = frozenset(
    "a an the is are was were be of in on at to from by with and it its this that there".split()
)
# "t" is what is left of "isn't"
_DENIALS = frozenset("no not without none never neither nor absent cannot t".split())
_OPPOSITES = [
    pair.split("/")
    for pair in (
        "left/right upper/lower superior/inferior anterior/posterior medial/lateral proximal/distal"
        " systolic/diastolic systole/diastole increased/decreased increase/decrease"
        " increases/decreases high/low higher/lower large/small larger/smaller dilated/constricted"
        " open/closed opens/closes normal/abnormal regular/irregular benign/malignant mild/severe"
        " acute/chronic male/female arterial/venous artery/vein hyperechoic/hypoechoic before/after"
        " yes/no"
    ).split()
]
_OPPOSITE = {a: b for a, b in _OPPOSITES} | {b: a for a, b in _OPPOSITES}


@dataclass(frozen=True)
class Judged:
    """Whether a response is right, by which rule, and its overlap (F1 of words, 0 to 1) with the
    answer.
    """

    correct: bool
    rule: str
    overlap: float


def judge_open(response: str, answer: str) -> Judged:
    """Judge an open response against the reference answer by the module's rules."""
    said, wanted = words(plain(response)), words(plain(answer))
    if not said:
        return Judged(False, "empty", 0.0)
    overlap = word_f1(said, wanted)
    if _content(said) == _content(wanted):
        return Judged(True, "exact", overlap)
    said_set, wanted_set = set(said), set(wanted)
    if _numbers(said) != _numbers(wanted) and _numbers(wanted):
        return Judged(False, "number", overlap)
    if any(_OPPOSITE.get(word) in said_set for word in wanted_set - said_set):
        return Judged(False, "opposite", overlap)
    if bool(said_set & _DENIALS) != bool(wanted_set & _DENIALS):
        return Judged(False, "denied", overlap)
    return Judged(
        overlap >= MIN_OVERLAP, "overlap" if overlap >= MIN_OVERLAP else "little overlap", overlap
    )


def word_f1(said: list[str], wanted: list[str]) -> float:
    """F1 of the two sets of words without filler words: 1 for the same set, 0 for nothing shared."""
    said_set, wanted_set = set(_content(said)), set(_content(wanted))
    return 2 * len(said_set & wanted_set) / ((len(said_set) + len(wanted_set)) or 1)


def _content(text: list[str]) -> list[str]:
    return [word for word in text if word not in _FILLER] or text


def _numbers(text: list[str]) -> set[str]:
    return {word for word in text if word.lstrip("-")[:1].isdigit()}
