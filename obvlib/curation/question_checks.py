"""What can be seen to be wrong with a multiple-choice question without looking at the video.

A question that a language model wrote is checked by rules before any person or model spends time on
it. Each rule is narrow and named, so that a dropped question says why; a rule that would also drop
good questions does not belong here.

| rule | what is wrong | example |
|---|---|---|
| no question | empty, a placeholder, or no sentence | `Question 1` |
| hostile | markup, control characters, or an instruction to a model | `Ignore previous …` |
| options | not four, an empty one, a placeholder, or lettered once more | `A. Heart` |
| yes or no | the options say yes and no: two answers, whatever the others are | `Yes, it does` |
| same option | two options say the same | `CT scan`, `a CT scan` |
| two right | another option is right too, in other words or less precisely | `CT`, `CT scan` |
| catch-all | an option that stands for others | `All of the above`, `Both A and B` |
| key | no option, or another option than its text, is named as right | key `E` |
| grammar | how the question ends fits the key alone | `The bulge is an` |
| leak | the key's words stand in the question, those of no other option | |
| no picture needed | it asks about the text, the recording or a term | `The speaker …` |
| unsupported | the caption names another option and not the key | |
| longest | the key is by far the longest option | |
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from obvlib.curation.wording import content_words, is_told, singular, spelled_words

LETTERS = "ABCD"
_PLACEHOLDER = re.compile(
    r"^(option|choice|answer|distractor|question)\s*[a-d0-9]?\W*$|^[a-d]?\W*$|[<\[{](option|answer)"
    r"|^(n/?a|none|null|tbd|todo|unknown|string|i (do not|don't) know"
    r"|not (applicable|specified|mentioned))\W*$",
    re.IGNORECASE,
)
_CATCH_ALL = re.compile(
    r"\b(all|none|any|neither|both|either)(?: of)?(?: the)?(?: other| listed| given)?"
    r" (above|below|these|those|options?|choices|answers)\b"
    r"|\b(all|none|any)\b.{0,20}\b(listed|mentioned)\b"
    r"|\bboth [a-d]\b|\b[a-d] (and|or|&) [a-d]\b"
    r"|\bcannot be determined\b|\bnot enough information\b",
    re.IGNORECASE,
)
_YES_OR_NO = re.compile(r"\s*(yes\b|no\b|true(?=\W*$)|false(?=\W*$))", re.IGNORECASE)
_LETTERED = re.compile(r"\s*[(\[]?([A-Da-d1-4])(?:[)\]]\s*|[.:]\s+)\S")  # not "2.5 cm", "1:2"
_ABOUT_TEXT = re.compile(
    r"\b(according to|based on|mentioned|described|stated|discussed|said|referred to|explained"
    r"|as noted)\b.{0,30}\b(caption|transcript|text|passage|narrat\w+|speaker|lecturer|presenter"
    r"|instructor|author|doctor|audio|description)\b"
    r"|\b(caption|transcript|passage|description|narrat\w+|speaker|lecturer|presenter|instructor)\b"
    r".{0,20}"
    r"\b(says?|said|mentions?|mentioned|states?|stated|describes?|described|explains?|refers?)\b"
    r"|\b(in|from) the (caption|transcript|passage|narration)\b"
    r"|\b(name|affiliation|title) of the"
    r" (speaker|lecturer|presenter|channel|video|lecture|course|author)\b"
    r"|\bstands? for\b|\bdefinition of\b|\bdefined as\b|\b(in|since) (what|which) year\b"
    r"|\bwho (first )?(discovered|invented|described|developed)\b"
    r"|\b(youtube|subscribe|this channel|timestamp|this lecture|the lecture)\b",
    re.IGNORECASE,
)
_HOSTILE = re.compile(
    r"<\s*/?\s*(script|img|iframe|a|b|br|div|span|style|svg)\b|<\|[a-z_]+\|>|\bjavascript:"
    r"|\b(ignore|disregard|forget)\b.{0,30}"
    r"\b(previous|above|prior|earlier|all|instructions?|rules)\b"
    r"|\b(system|developer) prompt\b"
    r"|\byou are (now )?(an?|the) (ai|assistant|language model|chatbot)\b"
    r"|\bas an ai\b|\b(respond|reply|answer|output) (only )?with\b",
    re.IGNORECASE,
)
_NEGATED = re.compile(r"\b(?:not|except|absent|without|no|never|least)\b", re.IGNORECASE)
_VOWEL = re.compile(r"[AEIOaeio]|[Uu](?!ni|se|ter|re|ri)|hour|[FHLMNRSX](?=[A-Z\d-])")
_OPEN_END = re.compile(r"\b(an?|is|are)\s*[:.…_?-]*\s*$", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A question as it was written, before it is believed: `options` by letter, `key` the letter of
    the right one, `key_text` its text where the writer gave it too.
    """

    question: str
    options: Mapping[str, str]
    key: str
    key_text: str = ""
    caption: str = ""


def faults(draft: Draft) -> list[str]:
    """Return every fault that rules can see, as "rule: what"; an empty list where there is none."""
    return [f"{name}: {found}" for name, rule in RULES.items() if (found := rule(draft))]


def _no_question(draft: Draft) -> str:
    text = draft.question.strip()
    if not text or _PLACEHOLDER.search(text) and len(text.split()) < 4:
        return f"{text[:40]!r} asks nothing"
    return "" if len(re.findall(r"[^\W\d_]{2,}", text)) >= 2 else f"{text[:40]!r} is not a sentence"


def _hostile(draft: Draft) -> str:
    for text in (draft.question, *draft.options.values()):
        if any(ord(c) < 32 and c not in "\n\t" or 0xD800 <= ord(c) < 0xE000 for c in text):
            return "holds control characters"
        if match := _HOSTILE.search(text):
            return f"{match.group()[:40]!r}"
    return ""


def _options(draft: Draft) -> str:
    if sorted(draft.options) != list(LETTERS):
        letters = "".join(sorted(draft.options))
        return f"has {len(draft.options)} options with the letters {letters[:20]!r}"
    for letter, text in draft.options.items():
        if not text.strip() or _PLACEHOLDER.search(text.strip()):
            return f"option {letter} is {text[:30]!r}"
    prefixes = [_LETTERED.match(text) for text in draft.options.values()]
    if all(prefixes) and len({match[1] for match in prefixes if match}) == len(prefixes):
        return f"the options' texts are lettered: {draft.options['A'][:30]!r}"
    return ""


def _yes_or_no(draft: Draft) -> str:
    matches = (_YES_OR_NO.match(text) for text in draft.options.values())
    said = sorted(match[1].lower() for match in matches if match)
    return f"the options say {' and '.join(said)}" if len(set(said)) == len(said) == 2 else ""


def _same_option(draft: Draft) -> str:
    seen: dict[str, str] = {}
    for letter, text in draft.options.items():
        name = _plain(text).replace(" ", "")  # "gall bladder", "gallbladder"
        if name and name in seen:
            return f"{seen[name]} and {letter} both say {text[:30]!r}"
        seen[name] = letter
    return ""


def _two_right(draft: Draft) -> str:
    key = draft.options.get(draft.key, "")
    right, told = set(content_words(key)), f" {_plain(draft.caption)} "
    for letter, text in draft.options.items():
        other = set(content_words(text))
        if letter == draft.key or not right or not other or _plain(text) == _plain(key):
            continue
        if right == other or _overlaps(key, text):
            return f"{letter} ({text[:30]!r}) is right as well as {draft.key}"
        vague = (right < other or other < right) and right ^ other <= _VAGUE
        vague |= right < other and f" {_plain(text)} " in told  # the more precise one
        if vague or other < right and not _JOINED.search(key):  # "ventricle" for "left ventricle"
            return f"{letter} ({text[:30]!r}) is right as well as {draft.key}"
    return ""


_JOINED = re.compile(r"\b(with|without|and|or|no|not|but|plus)\b|[,/&+]", re.IGNORECASE)
# Words that make an option wordier and not another one.
_VAGUE = frozenset(
    "procedure examination exam technique image study surgery type region area structure organ view"
    " tissue device machine modality".split()
)


def _overlaps(first: str, second: str) -> bool:
    """Return whether two options are ranges of one unit that share more than an end."""
    ranges = []
    for text in (first, second):
        match = re.fullmatch(
            r"\W*(?:about |between )?(\d+(?:\.\d+)?)\s*(?:-|–|to|and)\s*(\d+(?:\.\d+)?)"
            r"\s*(\D*?)\W*",
            text.strip().lower(),
        )
        if not match:
            return False
        ranges.append((float(match[1]), float(match[2]), match[3]))
    (a, b, unit), (c, d, other) = ranges
    return unit == other and min(b, d) > max(a, c)


def _catch_all(draft: Draft) -> str:
    found = (text for text in draft.options.values() if _CATCH_ALL.search(text))
    return next((f"{text[:40]!r}" for text in found), "")


def _key(draft: Draft) -> str:
    if draft.key not in draft.options:
        return f"{draft.key[:20]!r} is not one of the options' letters"
    text = draft.options[draft.key]
    if draft.key_text and _plain(draft.key_text) != _plain(text):
        return f"{draft.key} is {text[:30]!r}, and the answer is given as {draft.key_text[:30]!r}"
    return ""


def _leak(draft: Draft) -> str:
    asked = set(content_words(draft.question))
    key = set(content_words(draft.options.get(draft.key, "")))
    others = [set(content_words(text)) for name, text in draft.options.items() if name != draft.key]
    distinct = key - set().union(*others) if others else key
    phrase = _plain(draft.options.get(draft.key, ""))
    whole = " " in phrase and f" {phrase} " in f" {_plain(draft.question)} "
    if key and key <= asked and (distinct or whole) and not any(o and o <= asked for o in others):
        return f"the question says {' '.join(sorted(distinct or key))!r}"
    return ""


def _no_picture(draft: Draft) -> str:
    match = _ABOUT_TEXT.search(draft.question)
    return f"{match.group()[:50]!r}" if match else ""


def _unsupported(draft: Draft) -> str:
    """Return whether the caption names a wrong option whole, and no word that tells the key from
    it.
    """
    told = set(content_words(draft.caption))
    key = set(content_words(draft.options.get(draft.key, "")))
    if not told or not key or _NEGATED.search(draft.question):
        return ""
    for letter, text in draft.options.items():
        other = set(content_words(text))
        own = key - other  # what tells the key from this option
        if letter == draft.key or not other or not own or not other <= told:
            continue
        if not any(is_told(word, told) for word in own):
            return f"the caption says {text[:30]!r} and not {draft.options[draft.key][:30]!r}"
    return ""


def _longest(draft: Draft) -> str:
    sizes = {letter: len(text.split()) for letter, text in draft.options.items()}
    key = sizes.pop(draft.key, 0)
    if sizes and key >= 8 and key >= 3 * max(sizes.values()):
        return f"the key has {key} words, the others at most {max(sizes.values())}"
    return ""


def _grammar(draft: Draft) -> str:
    """Return whether only the key can follow a question that ends in an article, "is" or "are"."""
    match = _OPEN_END.search(draft.question)
    if not match or draft.key not in draft.options:
        return ""
    fits = [name for name, text in draft.options.items() if _goes_on(match[1].lower(), text)]
    return f"only the key goes on after {match[1]!r}" if fits == [draft.key] else ""


def _goes_on(last: str, option: str) -> bool:
    """Return whether an option can stand after "a", "an", "is" or "are"."""
    first, *_ = option.split() or [""]
    many = first.lower() not in ("a", "an") and singular(option.split()[-1]) != option.split()[-1]
    if last in ("is", "are"):
        return many == (last == "are")
    return not many and bool(_VOWEL.match(first)) == (last == "an")


def _plain(text: str) -> str:
    """Return a text without case, punctuation, articles, option letter and plural."""
    return " ".join(spelled_words(re.sub(r"^\s*\(?[A-D][).:]\s+", "", text)))


RULES: dict[str, Callable[[Draft], str]] = {
    "no question": _no_question,
    "hostile": _hostile,
    "options": _options,
    "yes or no": _yes_or_no,
    "same option": _same_option,
    "two right": _two_right,
    "catch-all": _catch_all,
    "grammar": _grammar,
    "key": _key,
    "leak": _leak,
    "no picture needed": _no_picture,
    "unsupported": _unsupported,
    "longest": _longest,
}
