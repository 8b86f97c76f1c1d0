"""Plain text, words and denials: what the rules of `answers` and `yes_no` have in common."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

_WORD = re.compile(r"[<>≤≥]=?|%|\+|(?<!\w)-?\d+(?:[.,]\d+)*|[^\W_]+")
_SAME = {"percent": "%", "none of these": "none of the above", "none of them": "none of the above"}
_CLAUSE_END = re.compile(
    r"[.;:!?\n,]|\b(?:but|however|so|therefore|thus|hence)\b|\binstead\b(?! of)|\brather\b(?!"
    r" than)",
    re.IGNORECASE,
)
_DENIED_BEFORE = re.compile(
    r"(?:\b(?:not|no|never|neither|nor|cannot|without|rather than|instead of|rul\w+"
    r" out|exclud\w+|eliminat\w+|except"
    r"|whether|if|unlike|unlikely)|n't)\b(?:\W+\w+){0,4}\W*$",
    re.IGNORECASE,
)
_VERB = r"(?:is|are|was|were|seems?|appears?|looks?|(?:would|can|could|must|should|will)(?:\s+be)?|does|do|did|has|have|had)"
_DENIED_AFTER = re.compile(
    rf"[)\]\"']*\s*(?:{_VERB}\s+(?:(?:both|also|clearly|definitely|probably|likely|therefore|thus|been|be)\s+)*not\b"
    r"|(?:is|are|was|were|does|do|did|has|have|ca|could|would|should|wo)n't\b|cannot\b"
    rf"|(?:[:,–-]\s*)?(?:{_VERB}\s+)?(?:(?:both|all|also|clearly|definitely|probably|likely|therefore|thus|been|be|to)\s+)*"
    r"(?:incorrect|wrong|false|unlikely|less\s+likely|ruled\s+out|excluded|eliminated|inconsistent|absent|impossible)\b)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Parsed:
    """What a response chose (an option's letter as in `options`; "yes" or "no") or None, and the
    name of the rule that said so.
    """

    choice: str | None
    rule: str


@dataclass(frozen=True)
class Match:
    """An option's text found in a response: characters `start` to `end`."""

    letter: str
    start: int
    end: int
    num_words: int


def plain(response: str) -> str:
    """The response without reasoning tags, markup and invisible characters; boxes and answer tags
    become "answer: …".
    """
    text = unicodedata.normalize("NFKC", response)
    text = "".join(
        " " if c == "\t" else c for c in text if c in "\n\t" or unicodedata.category(c)[0] != "C"
    )
    text = re.sub(
        r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", " ", text, flags=re.DOTALL | re.IGNORECASE
    )
    text = re.sub(r"</?s>|<\|[^|<>]{0,40}\|>|</answer>", " ", text, flags=re.IGNORECASE)
    text = re.sub(r"<answer>", "\nanswer: ", text, flags=re.IGNORECASE)
    text = re.sub(r"\\(?:text|mathrm|mathbf|textbf)\s*\{([^{}]*)\}", r"\1", text)
    text = re.sub(r"\\boxed\s*\{([^{}]*)\}", r" answer: \1 ", text)
    text = text.replace("‘", "'").replace("’", "'").replace("“", '"').replace("”", '"')
    text = re.sub(r"[*`#$~]|(?<!\w)_+|_+(?!\w)", "", text)
    text = re.sub(r"\bn/a\b", "not applicable", text, flags=re.IGNORECASE)
    text = re.sub(
        r"\b(?:there is )?no doubt\b|\bwithout (?:a |any )?doubt\b",
        "surely",
        text,
        flags=re.IGNORECASE,
    )
    return re.sub(r"[^\S\n]+", " ", text).strip()


def words(text: str) -> list[str]:
    """Lower-case words, numbers and the signs that change a number's meaning; nothing else."""
    return [word for word, _, _ in _located_words(text)]


def find_options(text: str, options: Mapping[str, str]) -> list[Match]:
    """Every place where an option's words stand in `text` (already plain), in order, without those
    inside a longer one.
    """
    located = _located_words(text)
    spoken = [word for word, _, _ in located]
    # position of the first word → (number of words, letter)
    found: dict[int, list[tuple[int, str]]] = {}
    for letter, option in options.items():
        wanted = words(plain(option))
        for i in range(len(spoken) - len(wanted) + 1 if wanted else 0):
            if spoken[i : i + len(wanted)] == wanted:
                found.setdefault(i, []).append((len(wanted), letter))
    reach = max((length for places in found.values() for length, _ in places), default=0)
    return [
        Match(letter, located[i][1], located[i + length - 1][2], length)
        for i in sorted(found)
        for length, letter in sorted(found[i])
        if not any(
            other > length and k + other >= i + length
            for k in range(i - reach, i + 1)
            for other, _ in found.get(k, ())
        )
    ]


def is_denied(text: str, start: int, end: int) -> bool:
    """Whether what stands at `start` to `end` is denied: "not X", "rather than X", "whether X", "X
    is wrong", "X isn't" …
    """
    clause = _CLAUSE_END.split(text[max(0, start - 100) : start])[-1]
    return bool(_DENIED_BEFORE.search(clause) or _DENIED_AFTER.match(text, end))


def _located_words(text: str) -> list[tuple[str, int, int]]:
    located = [(m[0].casefold(), m.start(), m.end()) for m in _WORD.finditer(text)]
    return [(_SAME.get(word, word), start, end) for word, start, end in located]
