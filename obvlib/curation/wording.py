"""Which words of a question, an option or a caption carry content, and which of them mean the same.

Two wordings are compared by their content words in one spelling: lower case, singular, American,
numbers in digits.
"""

from __future__ import annotations

import re

# Words that carry no content of their own in an option or a question.
STOP = frozenset(
    "a an and are as at be been being by can did do does for from had has have here in into is it"
    " its of on or see seen shown show shows showing that than the their there these this to was"
    " were what when where which while who why will with visible image picture video clip frame"
    " during most likely best following used".split()
)
# One word for what is said in several; only where no question could ask for the difference.
SAME = {
    "computed": "ct", "tomography": "ct", "ctscan": "ct", "mr": "mri", "magnetic": "mri",
    "resonance": "mri", "imaging": "", "scan": "", "scanning": "", "sonography": "ultrasound",
    "sonogram": "ultrasound", "echo": "echocardiography", "echocardiogram": "echocardiography",
    "radiograph": "xray", "radiography": "xray", "roentgenogram": "xray", "cardiac": "heart",
    "renal": "kidney", "hepatic": "liver", "pulmonary": "lung", "gastric": "stomach",
    "cerebral": "brain", "bleeding": "hemorrhage", "bleed": "hemorrhage",
    "one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7",
    "eight": "8", "nine": "9", "ten": "10", "eleven": "11", "twelve": "12",
}  # fmt: skip
_SPELLED = (
    (re.compile(r"\ba-(?=[a-z])"), "a"),  # "A-lines" begins with a name and not with an article
    (re.compile(r"\bx[\s-]?rays?\b"), "xray"),
    (re.compile(r"ae(?=[a-z])|\boe(?=[ds])|(?<=f)oe(?=t)|(?<=rrh)oe|(?<=c)oe(?=l)"), "e"),
    (re.compile(r"(?<=[a-z]{3})our(?=s?\b)"), "or"),  # "tumour", and not "four"
    (re.compile(r"(?<=[bt])re(?=s?\b)"), "er"),  # "fibre", "centre"
    (re.compile(r"\b(?:more|greater|higher|larger) than\b|>"), " over "),
    (re.compile(r"\b(?:less|fewer|lower|smaller) than\b|<"), " under "),
    (re.compile(r"(?<=\d)(?=[a-z])"), " "),  # "5mm"
    (re.compile(r"(\.\d*?)0+\b"), r"\1"),  # "5.0", "2.50"
    (re.compile(r"%|\bper ?cent\b"), " % "),
)
_WORDS = re.compile(r"[^\W_]+(?:\.\d+)?|%")


def spelled_words(text: str) -> list[str]:
    """Return the words of a text in one spelling, without articles, each in the singular."""
    text = text.lower()
    for pattern, spelling in _SPELLED:
        text = pattern.sub(spelling, text)
    return [singular(word) for word in _WORDS.findall(text) if word not in ("a", "an", "the")]


def content_words(text: str) -> list[str]:
    """Return the words of a text that carry content, one word per meaning, each once."""
    found = (SAME.get(word, word) for word in spelled_words(text) if word not in STOP)
    return list(dict.fromkeys(word for word in found if word))


def singular(word: str) -> str:
    """Return a word without the ending of the plural; what only looks like one is kept."""
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def is_told(word: str, told: set[str]) -> bool:
    """Return whether a caption tells a word, in this or another form: "dorsal", "dorsally"."""
    return word in told or len(word) >= 5 and any(other[:5] == word[:5] for other in told)
