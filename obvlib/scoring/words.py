"""Plain text, words and denials: what the rules of `choices` and `yes_no` have in common."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_WORD = re.compile(
    r"[<>≤≥]=?|%|\+|(?<!\w)\d+(?:\.\d+)?-\d+(?:\.\d+)?(?!\w)|(?<!\w)-?\d+(?:[.,]\d+)*|[\u4e00-\u9fff]|[^\W_\u4e00-\u9fff]+"
)
_SAME = {"percent": "%"}
_MARKS = str.maketrans(dict.fromkeys("✅✔✓☑", " : correct ") | dict.fromkeys("❌✗✘☒", " : wrong "))
_NONE = re.compile(
    r"\bnone of (?:these|them|those|the (?:(?:listed|given|provided) )?(?:options|choices|answers))"
    r"(?: (?:above|listed|given))?\b",
    re.IGNORECASE,
)
_TAG = re.compile(
    r"</?(?:b|i|u|em|strong|p|br|hr|span|div|code|pre|ul|ol|li|h[1-6])(?:\s[^<>]{0,80})?/?>",
    re.IGNORECASE,
)
_COUNTS = dict(
    zip("two three four five six seven eight nine ten".split(), range(2, 11), strict=True)
)
_QUANTITIES = tuple(
    (re.compile(pattern, re.IGNORECASE), written)
    for pattern, written in (
        (r"≤|=<|&le;", "<="),
        (r"≥|=>(?=\s*\d)|&ge;", ">="),
        (r"([<>])\s+=", r"\1="),
        (r"\b(?:more|greater|higher|larger) than or equal to\s+(?=\d)", ">= "),
        (r"\b(?:less|fewer|lower|smaller) than or equal to\s+(?=\d)", "<= "),
        (r"\b(?:at least|no(?:t)? less than|a minimum of)\s+(?=\d)", ">= "),
        (r"\b(?:at most|no(?:t)? more than|up to)\s+(?=\d)", "<= "),
        (r"\b(?:less|fewer|lower|smaller) than\s+(?=\d)|\b(?:below|under)\s+(?=\d)", "< "),
        (
            r"\b(?:more|greater|higher|larger) than\s+(?=\d)|\b(?:above|over|exceeding)\s+(?=\d)",
            "> ",
        ),
        (r"(\d)\s+(?:%|per ?cent\b)|(\d) ?per ?cent\b", r"\1\2%"),
        (
            r"(?<![<>=])(?<![<>=] )\b(\d[\d.,]*%?)\s+(?:or|and)"
            r" (?:more|higher|greater|above|over)\b",
            r">= \1",
        ),
        (
            r"(?<![<>=])(?<![<>=] )\b(\d[\d.,]*%?)\s+(?:or|and) (?:less|lower|fewer|below|under)\b",
            r"<= \1",
        ),
        (r"\bbetween\s+(\d+(?:\.\d+)?)(%?)\s+and\s+(\d+(?:\.\d+)?)(%?)", r"\1-\3\4"),
        (r"\b(\d+(?:\.\d+)?)%?\s*(?:to|–|—|-|−)\s*(\d+(?:\.\d+)?)", r"\1-\2"),
        (r"([<>]=?)\s+(?=\d)", r"\1"),
    )
)
_CHINESE = tuple(
    (re.compile(pattern), written)
    for pattern, written in (
        (r"(?:如果|假如|假设|倘若|若是|除非)[^。；.;\n]*", " if "),
        (
            r"\(?(?<![A-Za-z])([A-Z])\)?\s*(?:选项)?\s*(?:才)?是(?:最)?(?:正确|佳|合适)(?:的)?(?:答案|选项)",
            r"\nanswer: \1 ",
        ),
        (r"。|；", ". "),
        (r"、", ", "),
        (
            r"(?:(?:正确|最终|本题)?(?:的)?答案)\s*(?:应该|应当|应)?(?:是|为|选)?\s*:?\s*",
            "\nanswer: ",
        ),
        (r"正确(?:的)?选项\s*(?:是|为|:)\s*", "\nanswer: "),
        (r"最(?:有)?可能的?(?:诊断|选项|结构)?(?:应该|应)?(?:是|为)\s*", "\nanswer: "),
        (
            r"选项\s*\(?([A-Z])\)?\s*(?:是|最|更)?(?:为)?(?:正确|符合|合适|恰当)的?",
            r"\nanswer: \1 ",
        ),
        (
            r"(?:应该|应|我|故|所以|因此)?[,\s]*选择?\s*(?:选项)?\s*(?=\(?[A-Z](?![A-Za-z]))",
            "\nanswer: ",
        ),
        (r"(?<![A-Za-z])([A-Z])\s*选项\s*(?:最)?(?:正确|符合|合适)", r"\nanswer: \1 "),
        (r"[,\s]*而是\s*", "\nanswer: "),
        (r"(?<=[\u4e00-\u9fff])(?=[A-Za-z0-9])|(?<=[A-Za-z0-9])(?=[\u4e00-\u9fff])", " "),
        (r"(answer: \(?[A-Z]\)?)\s*选项", r"\1"),
    )
)
_JSON_ANSWER = re.compile(
    r"\{[^{}]*?\"(?:final_?|selected_?|correct_?|predicted_?)?(?:answer|choice|option|response|prediction)"
    r"(?:_?(?:letter|index|id|key|text))?\"\s*:\s*(?:\"([^\"]*)\"|(\w+))[^{}]*\}",
    re.IGNORECASE,
)
_CLAUSE_END = re.compile(
    r"[.;:!?\n,]|\b(?:but|however|so|therefore|thus|hence)\b|\binstead\b(?! of)|\brather\b(?!"
    r" than)",
    re.IGNORECASE,
)
_DENIED_BEFORE = re.compile(
    r"(?:\b(?:not|no|never|neither|nor|cannot|without|rather than|instead of|opposed to|rul\w+"
    r" out|exclud\w+|eliminat\w+|except"
    r"|against|anything but|whether|if|unlike|unlikely|lack\w*|doubt\w*"
    r"|less\s+(?:likely|probabl[ey]))|n't)\b(?:\W+\w+){0,4}\W*$"
    r"|(?:不是|并非|而非|不像|排除|没有|未见|不支持)\W*$",
    re.IGNORECASE,
)
_VERB = (
    r"(?:is|are|was|were|seems?|appears?|looks?"
    r"|(?:would|can|could|must|should|will)(?:\s+be)?|does|do|did|has|have|had)"
)
_DENIED_AFTER = re.compile(
    rf"[)\]\"']*\s*(?:{_VERB}\s+(?:(?:both|also|clearly|definitely|probably|likely|therefore|thus|been|be)\s+)*not\b"
    r"|(?:is|are|was|were|does|do|did|has|have|ca|could|would|should|wo)n't\b|cannot\b"
    rf"|(?:[:,–-]\s*)?(?:{_VERB}\s+)?(?:(?:both|all|also|clearly|definitely|probably|likely|therefore|thus|been|be|to)\s+)*"
    r"(?:incorrect|wrong|false|unlikely|less\s+likely|ruled\s+out|excluded|eliminated|inconsistent|absent|impossible|implausible|improbable|rejected|dismissed|discarded|out(?!\s+of)|contraindicated|inappropriate"
    r"|withheld|avoided|discontinued)\b)"
    r"|\s*[:–—-]\s*no\s*(?:[,.;:–—-]|$)"
    r"|\s?(?:不(?:正确|对|符合?|支持|可能|是正确)|(?:可以?|被)排除|是?错)",
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
    """Return the response without reasoning tags, markup and invisible characters; boxes and answer
    tags become "answer: …".
    """
    text = unicodedata.normalize("NFKC", response)
    text = "".join(
        " " if c == "\t" else c for c in text if c in "\n\t" or unicodedata.category(c)[0] != "C"
    )
    text = re.sub(r"[^\S\n]+", " ", text)
    text = re.sub(
        r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", " ", text, flags=re.DOTALL | re.IGNORECASE
    )
    text = re.split(r"</think(?:ing)?>", text, flags=re.IGNORECASE)[
        -1
    ]  # its opening is in the prompt
    text = _JSON_ANSWER.sub(lambda found: f"\nanswer: {found[1] or found[2] or ''}\n", text)
    text = re.sub(r"</?s>|<\|[^|<>]{0,40}\|>|</answer>", " ", text, flags=re.IGNORECASE)
    text = _TAG.sub(" ", text).translate(_MARKS)
    text = re.sub(r"<answer>", "\nanswer: ", text, flags=re.IGNORECASE)
    text = re.sub(r"\\(?:text|mathrm|mathbf|textbf)\s*\{([^{}]*)\}", r"\1", text)
    text = re.sub(r"\\boxed\s*\{([^{}]*)\}", r" answer: \1 ", text)
    text = text.replace("‘", "'").replace("’", "'").replace("“", '"').replace("”", '"')
    text = re.sub(r"[*`#$~]|(?<!\w)_+|_+(?!\w)", "", text)
    text = _NONE.sub("none of the above", text)
    text = re.sub(r"\bn/a\b", "not applicable", text, flags=re.IGNORECASE)
    text = re.sub(
        r"\b(?:there is )?no doubt\b|\bwithout (?:a |any )?doubt\b",
        "surely",
        text,
        flags=re.IGNORECASE,
    )
    for pattern, written in (*_CHINESE, *_QUANTITIES):
        text = pattern.sub(written, text)
    return re.sub(r"[^\S\n]+", " ", text).strip()


def full_names(text: str, known: Sequence[str]) -> str:
    """Return the text with a species' short name spelled out where `known` texts hold the long one:
    "E. coli" → "Escherichia coli".
    """
    for initial, species in set(re.findall(r"\b([A-Z])\. ?([a-z]{3,})\b", text)):
        if not any(species in one.casefold() for one in known):
            continue
        long = re.compile(rf"\b{initial}[a-z]+ {species}\b", re.IGNORECASE)
        if whole := next(filter(None, map(long.search, known)), None):
            text = re.sub(rf"\b{initial}\. ?{species}\b", whole[0], text)
    return text


def word_keys(text: str) -> list[str]:
    """Return the words as they are compared: spelling as in American English, singular, digits."""
    return [spelling_key(word) for word in words(text)]


@functools.lru_cache(maxsize=4096)
def spelling_key(word: str) -> str:
    """Return one form for British and American spelling, plural and singular, number words."""
    if word in _COUNTS:
        return str(_COUNTS[word])
    if len(word) < 5 or not word.isalpha():
        return word
    word = re.sub(r"ae(?!r)|oe", "e", word)
    word = re.sub(r"our(s|ed|ing|less)?$", r"or\1", word)
    word = re.sub(r"is(e|ed|es|ing|ation)$", r"iz\1", word)
    word = re.sub(r"([^aeiou])re$", r"\1er", word)
    if word.endswith("ies") and len(word) > 5:
        return word[:-3] + "y"
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us", "is")) else word


def words(text: str) -> list[str]:
    """Return the lower-case words, numbers and the signs that change a number's meaning; nothing
    else.
    """
    return [word for word, _, _ in _located_words(text)]


def find_options(text: str, options: Mapping[str, str]) -> list[Match]:
    """Return every place where an option's words stand in `text` (already plain), in order, without
    those inside a longer one.
    """
    located = _located_words(text)
    spoken = [spelling_key(word) for word, _, _ in located]
    # position of the first word → (number of words, letter)
    found: dict[int, list[tuple[int, str]]] = {}
    keys = {letter: word_keys(plain(option)) for letter, option in options.items()}
    for letter, wanted in keys.items():
        for i in range(len(spoken) - len(wanted) + 1 if wanted else 0):
            is_bound = i > 0 and spoken[i - 1][0] in "<>" and wanted[0][0].isdigit()
            if spoken[i : i + len(wanted)] != wanted or is_bound:
                continue
            found.setdefault(i, []).append((len(wanted), letter))
            if i == 0 or spoken[i - 1] not in ("and", "or", "nor"):
                continue
            for other, whole in keys.items():  # "left" in "left and right ventricle"
                for k in range(1, min(i, len(whole))):
                    rest = len(whole) - k
                    if whole == spoken[i - 1 - k : i - 1] + wanted[-rest:] and rest < len(wanted):
                        found.setdefault(i - 1 - k, []).append((k, other))
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
    """Return whether what stands at `start` to `end` is denied: "not X", "rather than X", "whether
    X", "X is wrong", "X isn't" …
    """
    clause = _CLAUSE_END.split(text[max(0, start - 100) : start])[-1]
    return bool(_DENIED_BEFORE.search(clause) or _DENIED_AFTER.match(text, end))


def _located_words(text: str) -> list[tuple[str, int, int]]:
    located = [(m[0].casefold(), m.start(), m.end()) for m in _WORD.finditer(text)]
    return [(_SAME.get(word, word), start, end) for word, start, end in located]
