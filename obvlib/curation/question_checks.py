"""What can be seen to be wrong with a multiple-choice question without looking at the video.

A question that a language model wrote is checked by rules before any person or model spends time on
it. Each rule is narrow and named, so that a dropped question says why; a rule that would also drop
good questions does not belong here.

| rule | what is wrong | example |
|---|---|---|
| no question | empty, a placeholder, or no sentence | `Question 1` |
| hostile | markup, control characters, or an instruction to a model | `Ignore previous …` |
| options | not four options, an empty one, or a placeholder | `Option A` |
| same option | two options say the same | `CT scan`, `a CT scan` |
| two right | another option is right too, in other words or less precisely | `CT`, `CT scan` |
| catch-all | an option that stands for others | `All of the above`, `Both A and B` |
| key | no option, or another option than its text, is named as right | key `E` |
| leak | the key's words stand in the question, those of no other option | |
| no picture needed | it asks about the text, the speaker or the recording | `The speaker …` |
| unsupported | the caption names another option and not the key | |
| longest | the key is by far the longest option | |
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

LETTERS = "ABCD"
# Words that carry no content of their own in an option or a question.
STOP = frozenset(
    "a an and are as at be been being by can did do does for from had has have here in into is it"
    " its of on or see seen shown show shows showing that the their there these this to was were"
    " what when where which while who why will with visible image picture video clip frame during"
    " most likely best following used".split()
)
# One word for what is said in several; only where no question could ask for the difference.
SAME = {
    "computed": "ct", "tomography": "ct", "ctscan": "ct", "mr": "mri", "magnetic": "mri",
    "resonance": "mri", "imaging": "", "scan": "", "scanning": "", "sonography": "ultrasound",
    "sonogram": "ultrasound", "echo": "echocardiography", "echocardiogram": "echocardiography",
    "radiograph": "xray", "radiography": "xray", "roentgenogram": "xray", "cardiac": "heart",
    "renal": "kidney", "hepatic": "liver", "pulmonary": "lung", "gastric": "stomach",
    "cerebral": "brain", "tumour": "tumor", "haemorrhage": "hemorrhage",
    "oesophagus": "esophagus", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5",
}  # fmt: skip
_PLACEHOLDER = re.compile(
    r"^(option|choice|answer|distractor|question)\s*[a-d0-9]?\W*$|^[a-d]?\W*$|[<\[{](option|answer)"
    r"|^(n/?a|none|null|tbd|todo|unknown|string|i (do not|don't) know"
    r"|not (applicable|specified|mentioned))\W*$",
    re.IGNORECASE,
)
_CATCH_ALL = re.compile(
    r"\b(all|none|any|neither|both|either)\b.{0,12}"
    r"\b(above|below|these|those|options?|choices|listed|mentioned)\b"
    r"|\bboth [a-d]\b|\b[a-d] (and|or|&) [a-d]\b"
    r"|\bcannot be determined\b|\bnot enough information\b",
    re.IGNORECASE,
)
_ABOUT_TEXT = re.compile(
    r"\b(according to|based on|mentioned|described|stated|discussed|said|referred to|explained"
    r"|as noted)\b.{0,30}\b(caption|transcript|text|passage|narrat\w+|speaker|lecturer|presenter"
    r"|instructor|author|doctor|audio|description)\b"
    r"|\b(caption|transcript|passage|narrat\w+|speaker|lecturer|presenter|instructor)\b.{0,20}"
    r"\b(says?|said|mentions?|mentioned|states?|stated|describes?|described|explains?|refers?)\b"
    r"|\b(in|from) the (caption|transcript|passage|narration)\b"
    r"|\b(name|affiliation|title) of the"
    r" (speaker|lecturer|presenter|channel|video|lecture|course|author)\b"
    r"|\b(youtube|subscribe|channel|timestamp|this lecture|the lecture)\b",
    re.IGNORECASE,
)
_A_NAME = re.compile(r"\ba-(?=[a-z])")  # "A-lines" begins with a name and not with an article
_HOSTILE = re.compile(
    r"<\s*/?\s*(script|img|iframe|a|b|br|div|span|style|svg)\b|<\|[a-z_]+\|>|\bjavascript:"
    r"|\b(ignore|disregard|forget)\b.{0,30}"
    r"\b(previous|above|prior|earlier|all|instructions?|rules)\b"
    r"|\b(system|developer) prompt\b"
    r"|\byou are (now )?(an?|the) (ai|assistant|language model|chatbot)\b"
    r"|\bas an ai\b|\b(respond|reply|answer|output) (only )?with\b",
    re.IGNORECASE,
)


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


def content_words(text: str) -> list[str]:
    """Return the words of a text that carry content: lower case, singular, one word per meaning."""
    text = _A_NAME.sub("a", re.sub(r"\bx[\s-]?rays?\b", "xray", text.lower()))
    found = []
    for word in re.findall(r"[a-z0-9]+(?:\.[0-9]+)?%?", text):
        word = SAME.get(word, word)
        if word and word not in STOP:
            found.append(SAME.get(_singular(word), _singular(word)))
    return list(dict.fromkeys(word for word in found if word))


def _singular(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def _no_question(draft: Draft) -> str:
    text = draft.question.strip()
    if not text or _PLACEHOLDER.search(text) and len(text.split()) < 4:
        return f"{text[:40]!r} asks nothing"
    return "" if len(re.findall(r"[^\W\d_]{2,}", text)) >= 3 else f"{text[:40]!r} is not a sentence"


def _hostile(draft: Draft) -> str:
    for text in (draft.question, *draft.options.values()):
        if any(ord(c) < 32 and c not in "\n\t" or 0xD800 <= ord(c) < 0xE000 for c in text):
            return "holds control characters"
        if match := _HOSTILE.search(text):
            return f"{match.group()[:40]!r}"
    return ""


def _options(draft: Draft) -> str:
    if sorted(draft.options) != list(LETTERS):
        return f"has {len(draft.options)} options with the letters {''.join(sorted(draft.options))}"
    for letter, text in draft.options.items():
        if not text.strip() or _PLACEHOLDER.search(text.strip()):
            return f"option {letter} is {text[:30]!r}"
    return ""


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
    right = set(content_words(key))
    for letter, text in draft.options.items():
        other = set(content_words(text))
        if letter == draft.key or not right or not other or _plain(text) == _plain(key):
            continue
        if right == other or _overlaps(key, text):
            return f"{letter} ({text[:30]!r}) is right as well as {draft.key}"
        vague = (right < other or other < right) and right ^ other <= _VAGUE
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
    if key and key <= asked and distinct and not any(o and o <= asked for o in others):
        return f"the question says {' '.join(sorted(distinct))!r}"
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
    if not told or not key:
        return ""
    for letter, text in draft.options.items():
        other = set(content_words(text))
        own = key - other  # what tells the key from this option
        if letter != draft.key and other and other <= told and own and not own & told:
            return f"the caption says {text[:30]!r} and not {draft.options[draft.key][:30]!r}"
    return ""


def _longest(draft: Draft) -> str:
    sizes = {letter: len(text.split()) for letter, text in draft.options.items()}
    key = sizes.pop(draft.key, 0)
    if sizes and key >= 8 and key >= 3 * max(sizes.values()):
        return f"the key has {key} words, the others at most {max(sizes.values())}"
    return ""


def _plain(text: str) -> str:
    """Return a text without case, punctuation, articles, option letter and plural."""
    text = re.sub(r"^\s*\(?[A-D][).:]\s+", "", text)
    found = re.findall(r"[^\W_]+(?:\.\d+)?%?", _A_NAME.sub("a", text.lower()))
    return " ".join(_singular(word) for word in found if word not in ("a", "an", "the"))


RULES: dict[str, Callable[[Draft], str]] = {
    "no question": _no_question,
    "hostile": _hostile,
    "options": _options,
    "same option": _same_option,
    "two right": _two_right,
    "catch-all": _catch_all,
    "key": _key,
    "leak": _leak,
    "no picture needed": _no_picture,
    "unsupported": _unsupported,
    "longest": _longest,
}
