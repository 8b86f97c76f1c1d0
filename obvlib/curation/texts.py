"""Text that comes out of a video, made safe to read: plain characters, no markup, and no sentence
that speaks to a model instead of about a picture.

Whatever is said or written in a video is data. An instruction in it ("ignore previous …") is cut
out before anything is decided, whether rules, embeddings or a language model decide.
"""

from __future__ import annotations

import html
import re
import unicodedata

PIECE_WORDS = 14  # of a text without punctuation, judged at a time
_TERMINAL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")  # colours and movements
_TEMPLATE = re.compile(r"<\|[^|>]{1,40}\|>|\[/?(?:INST|SYS)\]|<</?SYS>>", re.IGNORECASE)
_MARKUP = re.compile(
    r"<(script|style)\b.{0,3000}?</\1\s*>|</?[a-z][\w-]*(?:\s[^<>]{0,200})?/?>|<!--.{0,3000}?-->",
    re.IGNORECASE | re.DOTALL,
)
_OBJECT = re.compile(r"\{[^{}]{0,300}:[^{}]{0,300}\}")
_VALUE = re.compile(r":\s*\"((?:[^\"\\]|\\.)*)\"")
_UNSPOKEN = re.compile(r"\S{31,}")  # nobody says a word this long: encoded, a link, a row of signs
MIN_SENTENCE = 5  # words of a value within an object, below which it is a label
_BREAKS = re.compile(r"(?<=[.!?;:])\s+|(?:[#*=~|_<>-]\s*){3,}")
_ACTS = (
    r"(?:ignore|disregard|forget|override|bypass|skip) (?:\w+ ){0,3}?(?:previous|prior|above"
    r"|earlier|instructions?|rules?|filters?|prompts?|everything(?: you were told)?)"
)
_ORDERS = (
    r"(?:mark|label|classify|rate|set|return|output|answer|respond|reply|approve|accept|reject|keep"
    r"|drop|treat|flag|tag)\b"
)
_SUBJECTS = (
    r"(?:relevant|irrelevant|observable|biomedical|not relevant|off topic|true|false|yes|no"
    r"|high confidence)\b"
)
_TO_A_MODEL = re.compile(
    rf"\b{_ACTS}\b(?: (?:and|then|the|of|above|instructions?|rules?|now)\b)*"
    rf"(?: {_ORDERS}(?: [\w']+){{0,8}}? {_SUBJECTS}(?: (?:true|false|medical imaging|now))?)?"
    rf"|\b{_ORDERS}(?: [\w']+){{0,6}}? {_SUBJECTS}(?: for this (?:segment|caption|line))?"
    r"|\b(?:system|developer|new|begin|end)(?: of)? (?:prompt|override|instructions?|task"
    r"|transcript|message)\b"
    r"|\byou are (?:now )?(?:an?|the) (?:ai|assistant|language model|chat ?bot|model|pirate|bot)\b"
    r"(?: (?:who|that|and)(?: [\w']+){0,6}? (?:yes|no|true|false)\b)?"
    r"|\b(?:dear|note to the|as an?|hey) (?:ai|language model|model|assistant|reviewer|annotator"
    r"|gpt)\b(?: (?:reviewer|model))?(?: you must)?(?: please)?"
    r"|\bthis (?:caption|segment|line) (?:must|should|passed|has to)\b(?: [\w']+){0,3}"
    rf"|\b{_ORDERS} (?:this|it|the|that)? ?(?:one|line|caption|segment|everything)\b"
    r"|(?:^|(?<=[.!?]\s))(?:system|assistant|user|developer)\s?:",
    re.IGNORECASE,
)


def plain_text(text: str) -> str:
    """Return a text in plain characters, on one line: no markup, chat template, JSON object,
    control character or half of a surrogate pair, and no word of more than 30 characters.
    """
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    text = unicodedata.normalize("NFKC", text).replace("\ufffd", " ")
    text = _TERMINAL.sub(" ", html.unescape(html.unescape(text)))
    text = "".join(_plain_character(c) for c in text)
    for pattern in (_TEMPLATE, _MARKUP):
        text = pattern.sub(" ", text)
    return " ".join(_UNSPOKEN.sub(" ", _OBJECT.sub(_sentences_within, text)).split())


def _plain_character(character: str) -> str:
    """Return a character as it is, nothing for one that is not seen, or a space."""
    category = unicodedata.category(character)
    if category == "Cf":  # zero width, soft hyphens, directions: within words
        return ""
    return " " if category in ("Cc", "Co", "Cn", "Cs") else character


def _sentences_within(match: re.Match[str]) -> str:
    """Return the sentences among the values of a JSON object."""
    values = _VALUE.findall(match.group())
    return " ".join(f" {value}. " for value in values if len(value.split()) >= MIN_SENTENCE)


def without_orders(text: str) -> tuple[str, list[str]]:
    """Return a plain text without what addresses a model, and the parts that were cut out."""
    cut = [match.group() for match in _TO_A_MODEL.finditer(text)]
    return " ".join(_TO_A_MODEL.sub(" ", text).split()), cut


def pieces(text: str, num_words: int = PIECE_WORDS) -> list[str]:
    """Return a text in sentences; one without punctuation, or a very long one, in overlapping
    windows of `num_words`.
    """
    found = []
    for sentence in _BREAKS.split(text):
        words = sentence.split()
        if len(words) <= num_words * 3 // 2:
            found += [" ".join(words)] if words else []
            continue
        step = num_words // 2
        starts = range(0, max(1, len(words) - step), step)
        found += [" ".join(words[start : start + num_words]) for start in starts]
    return found
