"""A response with the places where options' letters and texts stand in it, as the rules read it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from obvlib.scoring.letters import BETWEEN, Group, group_is_denied, has_own_text
from obvlib.scoring.wordings import CLAUSE
from obvlib.scoring.words import Match, Parsed, plain, word_keys

AMBIGUOUS = Parsed(None, "ambiguous")
CONFLICT = Parsed(None, "conflict")


@dataclass(frozen=True, kw_only=True)
class Located:
    """A text with the options, and where their texts and letters stand in it."""

    text: str
    options: Mapping[str, str]
    matches: list[Match]
    groups: list[Group]

    def denies(self, group: Group, start: int | None = None) -> bool:
        return group_is_denied(self.text, self.options, group, start)

    def before(self, rule: re.Pattern[str], start: int, reach: int = 120) -> re.Match[str] | None:
        return rule.search(self.text, max(0, start - reach), start)

    def is_mislabelled(self, match: Match, group: Group) -> bool:
        """Return whether a letter in brackets follows the text of another option."""
        return (
            match.end <= group.start < match.end + 3
            and self.text[match.end : group.start + 1].strip() in ("(", "[")
            and group.letters != (match.letter,)
            and not has_own_text(self.text, self.options, group)
        )


def settle(reading: Located, group: Group, rule: str) -> Parsed:
    """Return the group's one letter, unless the clause after it is another option's text."""
    if len(group.letters) > 1:
        return AMBIGUOUS
    rest = reading.text[group.end : group.end + 500].lstrip(BETWEEN)
    rest = re.sub(r"^(?:is|was|shows?|means)\s+(?:an?\s+|the\s+)?", "", rest)
    clause = word_keys(CLAUSE.split(rest, maxsplit=1)[0])
    said = [
        letter
        for letter, option in reading.options.items()
        if clause and word_keys(plain(option)) == clause
    ]
    if said and group.letters[0] not in said:
        return CONFLICT
    if any(reading.is_mislabelled(match, group) for match in reading.matches):
        return CONFLICT
    return Parsed(group.letters[0], rule)


def one_of(letters: Iterable[str], rule: str) -> Parsed:
    distinct = set(letters)
    return Parsed(distinct.pop(), rule) if len(distinct) == 1 else AMBIGUOUS
