"""What a response says: which option of a closed question it chose, or None, and by which named
rule.

A response is text, written by a model that may reason, hedge, repeat the options or answer in
words. Guessing in its favour would raise the scores, matching by prefix would make "Aortic …" an A.
So each rule is narrow and named, stronger rules come first, and whatever is left stays None, which
counts as wrong. `tests/test_answers.py` holds the rules as a table of examples.

| rule | what it takes | example |
|---|---|---|
| letter | nothing but one option's letter | `(B)`, `b.`, `**B**`, `Option B` |
| text | nothing but one option's text | `Aortic stenosis.` |
| stated | the last sentence of the form "the answer is …", "I choose …", "… is correct", `\\boxed{…}` | `It is not A. The answer is B.` |
| last line | a last line that is a letter or an option, or a last sentence of one word that is | `The jet is fast … ⏎ B` |
| leading letter | a letter with a delimiter, or with its own text, at the start | `B) Aortic stenosis`, `B, because …` |
| mentioned letter | the only option named by a marked letter and not denied | `I think it is (B)`, `not A but C` |
| mentioned text | the only option whose text occurs and is not denied | `This shows aortic stenosis` |
| yes_no:… | for options Yes and No: the rule of `parse_yes_no` | `There is no polyp` |

None: `empty`, `ambiguous` (several options chosen), `conflict` (a letter followed by another
option's text), `no option`. A letter is not an article: a bare "A" counts only where a sentence
could end after it. Of options that contain one another the longest that matches is meant. Letters
inside an option's text ("hepatitis B") are part of the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from obvlib.scoring.words import Match, Parsed, find_options, is_denied, plain, words
from obvlib.scoring.yes_no import read_yes_no

_NOUN = r"(?:options?|choices?|letters?|answers?)"
_STATED_BEFORE = re.compile(
    r"(?:\b(?:answer|choice|option|diagnosis|conclusion|final|ans|selected|correct|correct"
    r" one|right one|best one)"
    r"(?:\s+(?:choice|option|letter|here|to\s+th(?:e|is)\s+question))?"
    r"[\"']?\s*(?:\b(?:is|was|would\s+be|should\s+be|must\s+be|will\s+be)\b|=|:|→|=>|\s[–-]\s)"
    r"|\b(?:choose|chose|choosing|pick|select|go\s+with|going\s+with|vote\s+for|opt\s+for))\s*"
    r"[\s:(]*(?:(?:most|probably|likely|clearly|definitely|therefore|thus|option|choice|letter|the|an?|that|it\s+is|it's)\b[\s:)]*)*"
    r"[\"'(\[{\s]*$",
    re.IGNORECASE,
)
_STATED_AFTER = re.compile(
    r"\s*(?:\b(?:is|seems|appears|looks|would\s+be|must\s+be)\b|[:–-])\s*(?:to\s+be\s+)?"
    r"(?:(?:definitely|clearly|probably|indeed|the|most|my|final)\s+)*"
    r"(?:correct|right|best|true|accurate|appropriate|likely|answer)\b",
    re.IGNORECASE,
)
_WEAK_BEFORE = re.compile(
    r"(?:\b(?:is|be|it's|that's|think|believe|say|guess|but|rather|instead|so|therefore|thus|hence|probably|likely|maybe|perhaps"
    r"|definitely|certainly|yes)|→|=>|->)[\s,:]*$",
    re.IGNORECASE,
)
_SENTENCE_COULD_END = re.compile(
    r"\s*(?:$|[.,;:!?)\]}\"'\n/&+–—→-]|\((?:not|because|since)\b)"
    r"|\s+(?:because|since|as|due|is|are|and|or|nor|but|based|given|for|not|rather|which|with|vs)\b",
    re.IGNORECASE,
)
_JOINED = re.compile(
    rf"\s*(?:,\s*(?:and|or|nor)?|/|&|\+|\band\b|\bor\b|\bnor\b|\bvs\b\.?)\s*(?:(?:perhaps|maybe|possibly|rather|even)\s+)?(?:{_NOUN}\s+)?",
    re.IGNORECASE,
)
_DELIMITER = re.compile(
    r"[)\]}\"']*\s*[.:,;)\]\n–—-]|\s*$|\s+\(?(?:because|since|due)\b|\s+\(not\b"
)
_CLAUSE = re.compile(r"[.,;:\n()]|\b(?:because|since|as|due|is|are|which|with)\b", re.IGNORECASE)
_SENTENCE_END = re.compile(r"(?<=[.!?])(?<!\bvs\.)(?<!\bfig\.)(?<!\d\.)\s+(?=\S)", re.IGNORECASE)
_BETWEEN = " .:,;)]}\"'\n–—-"


@dataclass(frozen=True)
class _Group:
    """One option letter, or several joined by "or", "and", commas. `marked`: in brackets or after
    "option"; `lower`: some bare lower case.
    """

    letters: tuple[str, ...]
    start: int
    end: int
    marked: bool
    lower: bool


def parse_choice(response: str, options: Mapping[str, str]) -> Parsed:
    """Which of `options` (letter → text) the response chose. The rules are those of the module's
    table, in its order.

    ValueError if `options` is empty or a key is not a single letter.
    """
    if not options or not all(len(letter) == 1 and letter.isalnum() for letter in options):
        raise ValueError(f"options {dict(options)!r}: need single letters with their texts")
    text = plain(response)
    if not text:
        return Parsed(None, "empty")
    matches = find_options(text, options)
    groups = _groups(text, options, matches)
    found = (
        _whole(text, options)
        or _stated(text, options, matches, groups)
        or _last_line(text, options)
        or _leading(text, options, matches, groups)
    )
    if found:
        return found
    if sorted(" ".join(words(option)) for option in options.values()) == ["no", "yes"]:
        choice, rule = read_yes_no(text)
        letter = next(
            (letter for letter, option in options.items() if " ".join(words(option)) == choice),
            None,
        )
        return Parsed(letter, f"yes_no:{rule}")
    return _mentioned(text, options, matches, groups)


def _whole(text: str, options: Mapping[str, str], rule: str = "") -> Parsed | None:
    bare = re.fullmatch(rf"[\W_]*(?:{_NOUN}\s+)?[\W_]*([^\W_])[\W_]*", text, re.IGNORECASE)
    if bare and (letter := _letter(bare[1], options)):
        return Parsed(letter, rule or "letter")
    spoken = words(text)
    same = [
        letter for letter, option in options.items() if spoken and words(plain(option)) == spoken
    ]
    return _one(same, rule or "text") if same else None


def _stated(
    text: str, options: Mapping[str, str], matches: list[Match], groups: list[_Group]
) -> Parsed | None:
    statements: list[tuple[int, Parsed]] = []
    for group in groups:
        before = _STATED_BEFORE.search(text, max(0, group.start - 120), group.start)
        after = None if group.lower else _STATED_AFTER.match(text, group.end)
        if (before or after) and not _denied(
            text, options, group, before.start() if before else group.start
        ):
            statements.append((group.start, _settle(text, options, group, "stated")))
    for i, match in enumerate(matches):
        before = _STATED_BEFORE.search(text, max(0, match.start - 120), match.start)
        if before and not is_denied(text, before.start(), match.end):
            joined = [
                other.letter
                for other in matches[i + 1 : i + 9]
                if _joins(text[match.end : other.start])
            ]
            statements.append((match.start, _one([match.letter, *joined], "stated")))
    return max(statements, key=lambda statement: statement[0])[1] if statements else None


def _last_line(text: str, options: Mapping[str, str]) -> Parsed | None:
    lines = [line for line in text.split("\n") if line.strip()]
    last = _whole(lines[-1], options, "last line") if len(lines) > 1 else None
    if last is None:
        lines = _SENTENCE_END.split(text)
        last = (
            _whole(lines[-1], options, "last line")
            if len(lines) > 1 and len(words(lines[-1])) == 1
            else None
        )
    if last is None:
        return None
    others = {found.choice for line in lines[:-1] if (found := _whole(line, options))}
    return last if not others or last.choice in others else Parsed(None, "ambiguous")


def _leading(
    text: str, options: Mapping[str, str], matches: list[Match], groups: list[_Group]
) -> Parsed | None:
    first = groups[0] if groups else None
    if (
        first is None
        or words(text[: first.start])
        or any(match.start < first.start for match in matches)
    ):
        return None
    if not (
        first.marked or _DELIMITER.match(text, first.end) or _has_own_text(text, options, first)
    ):
        return None
    if _denied(text, options, first):
        return None
    listed = {
        group.letters
        for group in groups
        if _has_own_text(text, options, group) and not _denied(text, options, group)
    }
    if len(listed | {first.letters}) > 1:  # the response repeats the options
        return Parsed(None, "ambiguous")
    return _settle(text, options, first, "leading letter")


def _mentioned(
    text: str, options: Mapping[str, str], matches: list[Match], groups: list[_Group]
) -> Parsed:
    named = [
        group
        for group in groups
        if (
            group.marked
            or (
                not group.lower and _WEAK_BEFORE.search(text, max(0, group.start - 40), group.start)
            )
        )
        and not _denied(text, options, group)
    ]
    if named:
        letters = {letter for group in named for letter in group.letters}
        return (
            _settle(text, options, named[0], "mentioned letter")
            if len(letters) == 1
            else Parsed(None, "ambiguous")
        )
    chosen: list[str] = []
    denied_until = -1
    for match in matches:
        if is_denied(text, match.start, match.end) or (
            denied_until >= 0 and _joins(text[denied_until : match.start])
        ):
            denied_until = match.end
        else:
            chosen.append(match.letter)
    return _one(chosen, "mentioned text") if chosen else Parsed(None, "no option")


def _groups(text: str, options: Mapping[str, str], matches: list[Match]) -> list[_Group]:
    """Every place where option letters stand as letters, those joined by "or", "and", "/" or commas
    taken together.
    """
    either = re.escape("".join(options) + "".join(options).swapcase())
    token = re.compile(
        rf"(?<!\w)(?<!\w['.-])(?P<noun>{_NOUN}\s+)?(?P<open>[(\[{{\"']?)(?P<letter>(?-i:[{either}]))(?P<close>[)\]}}\"']?)"
        rf"(?![\w']|-\w|/(?!(?-i:[{either}])(?!\w))\w)",
        re.IGNORECASE,
    )
    spoken_for = {
        i for match in matches if match.num_words > 1 for i in range(match.start, match.end)
    }
    groups: list[_Group] = []
    for found in token.finditer(text):
        group = None if found.start("letter") in spoken_for else _group(text, options, found)
        if group and groups and _joins(text[groups[-1].end : group.start]):
            last = groups.pop()
            letters = tuple(dict.fromkeys(last.letters + group.letters))
            group = _Group(
                letters,
                last.start,
                group.end,
                last.marked or group.marked,
                last.lower and group.lower,
            )
        if group:
            groups.append(group)
    return groups


def _group(text: str, options: Mapping[str, str], found: re.Match) -> _Group | None:
    letter = _letter(found["letter"], options)
    closes_earlier = (
        found["close"] == ")"
        and not found["open"]
        and "(" in text[max(0, found.start() - 200) : found.start()]
    )
    bracketed = found["close"] in tuple(")]}") and not closes_earlier
    lower = found["letter"].islower()
    could_end = bool(_SENTENCE_COULD_END.match(text, found.end()))
    marked = bracketed or (found["noun"] is not None and (could_end or not lower))
    group = _Group((letter,), found.start(), found.end(), marked, lower and not marked)
    return (
        group
        if marked or could_end or (not lower and _has_own_text(text, options, group))
        else None
    )


def _settle(text: str, options: Mapping[str, str], group: _Group, rule: str) -> Parsed:
    """The group's one letter, unless the clause after it is another option's text."""
    if len(group.letters) > 1:
        return Parsed(None, "ambiguous")
    clause = words(_CLAUSE.split(text[group.end : group.end + 500].lstrip(_BETWEEN), maxsplit=1)[0])
    said = [
        letter for letter, option in options.items() if clause and words(plain(option)) == clause
    ]
    return (
        Parsed(None, "conflict")
        if said and group.letters[0] not in said
        else Parsed(group.letters[0], rule)
    )


def _has_own_text(text: str, options: Mapping[str, str], group: _Group) -> bool:
    return _own_text_end(text, options, group) > group.end


def _own_text_end(text: str, options: Mapping[str, str], group: _Group) -> int:
    """Where the option's own text after its letter ends; the group's end where something else
    follows.
    """
    after = text[group.end : group.end + 2 * len(options[group.letters[-1]]) + 40]
    start = group.end + len(after) - len(after.lstrip(_BETWEEN))
    for match in find_options(after.lstrip(_BETWEEN), {"": options[group.letters[-1]]}):
        if match.start == 0:
            return start + match.end
    return group.end


def _denied(text: str, options: Mapping[str, str], group: _Group, start: int | None = None) -> bool:
    return is_denied(
        text, group.start if start is None else start, _own_text_end(text, options, group)
    )


def _joins(between: str) -> bool:
    return bool(_JOINED.fullmatch(between))


def _letter(char: str, options: Mapping[str, str]) -> str | None:
    same = [letter for letter in options if letter == char] or [
        letter for letter in options if letter.casefold() == char.casefold()
    ]
    return same[0] if len(same) == 1 else None


def _one(letters: Iterable[str], rule: str) -> Parsed:
    distinct = set(letters)
    return Parsed(distinct.pop(), rule) if len(distinct) == 1 else Parsed(None, "ambiguous")
