"""What a response says: which option of a closed question it chose, or None, and by which named
rule.

A response is text, written by a model that may reason, hedge, repeat the options or answer in
words. Guessing in its favour would raise the scores, matching by prefix would make "Aortic …" an A,
and a wrong letter is worse than an unread one, since it scores whenever it happens to be right. So
each rule is narrow and named, stronger rules come first, and whatever is left stays None, which
counts as wrong. Thoughts, questions, conditions and what is taken back are set aside first
(`assertions`). `tests/test_answers.py` holds the rules as a table of examples.

- letter: only one option's letter; `(B)`, `b.`, `**B**`, `Option B`
- text: only one option's text; `Aortic stenosis.`
- stated: the last declaration "the answer is …", "I choose …", `\\boxed{…}`, a JSON answer; `It
  is not A. The answer is B.`
- judged: the only option of which it is said that it is correct, or that it remains; `A is wrong.
  B is correct.`
- checked: the only option that a list of verdicts confirms; `A: no ⏎ B: yes`, `A ❌ ⏎ B ✅`
- last line: a last line that is a letter or an option, or a last sentence of one word that is;
  `The jet is fast … ⏎ B`
- leading letter: a letter with a delimiter, or with its own text, at the start; `B) Aortic
  stenosis`, `B, because …`
- concluded: the only option in a last sentence that begins as a conclusion; `The aortic valve is
  thin. Thus the fault lies with the mitral valve.`
- mentioned letter: the only option named by a marked letter and not denied; `I think it is (B)`,
  `not A but C`
- mentioned text: the only option whose text occurs and is not denied; `This shows aortic
  stenosis`
- measured: the only option that holds all quantities said; `The EF is 38%` in `30-45%`
- eliminated: the only option that is not denied, of three or more; `Not A, not B, nor C`
- yes_no:…: for options Yes and No: the rule of `parse_yes_no`; `There is no polyp`

None: `empty`, `ambiguous` (several options chosen), `conflict` (a letter followed by another
option's text), `revised` (taken back, and nothing clear after that), `no option`. Of options that
contain one another the longest that matches is meant.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from obvlib.scoring.assertions import after_revision, asserted
from obvlib.scoring.checklists import confirmed
from obvlib.scoring.letters import (
    NOUN,
    Group,
    has_own_text,
    joins,
    letter_groups,
    letter_of,
    own_text_end,
)
from obvlib.scoring.located import AMBIGUOUS, CONFLICT, Located, one_of, settle
from obvlib.scoring.ranges import measured
from obvlib.scoring.terms import canonical
from obvlib.scoring.wordings import (
    CONCLUSION,
    DELIMITER,
    JUDGED_AFTER,
    LANDMARK,
    LEFT_BEFORE,
    REFUSES,
    SENTENCE_END,
    STATED_BEFORE,
    WEAK_BEFORE,
)
from obvlib.scoring.words import (
    Parsed,
    find_options,
    full_names,
    is_denied,
    plain,
    word_keys,
    words,
)
from obvlib.scoring.yes_no import read_yes_no


def parse_choice(response: str, options: Mapping[str, str], question: str = "") -> Parsed:
    """Return which of `options` (letter → text) the response chose, by the rules of the module's
    table, in its order. The question matters where the options are yes and no.

    ValueError if `options` is empty or a key is not a single letter.
    """
    if not options or not all(len(letter) == 1 and letter.isalnum() for letter in options):
        raise ValueError(f"options {dict(options)!r}: need single letters with their texts")
    text = full_names(plain(response), list(options.values()))
    if not text:
        return Parsed(None, "empty")
    if whole := _whole(text, options):
        return whole
    if _is_yes_no(options):
        return _yes_no(text, options, question)
    said = asserted(text)
    if (revised := after_revision(said)) is None:
        return _read(said, options)
    parsed = _read(revised, options)
    if parsed.choice or parsed.rule in ("ambiguous", "conflict"):
        return parsed
    return Parsed(None, "revised")


def _read(text: str, options: Mapping[str, str]) -> Parsed:
    matches = find_options(text, options)
    groups = letter_groups(text, options, matches)
    reading = Located(text=text, options=options, matches=matches, groups=groups)
    return (
        _whole(text, options)
        or _stated(reading)
        or _last_line(text, options)
        or confirmed(text, options)
        or _leading(reading)
        or _judged(reading)
        or _concluded(reading)
        or _mentioned(reading)
    )


def _is_yes_no(options: Mapping[str, str]) -> bool:
    return sorted(" ".join(words(option)) for option in options.values()) == ["no", "yes"]


def _yes_no(text: str, options: Mapping[str, str], question: str) -> Parsed:
    """Read by letter where a letter is declared, else by the words yes and no."""
    said = asserted(text)
    parsed = _read(after_revision(said) or said, options)
    if parsed.choice and parsed.rule in ("stated", "last line", "leading letter"):
        return parsed
    choice, rule = read_yes_no(text, question)
    same = [letter for letter, option in options.items() if " ".join(words(option)) == choice]
    return Parsed(same[0] if same else None, f"yes_no:{rule}")


def _whole(text: str, options: Mapping[str, str], rule: str = "") -> Parsed | None:
    bare = re.fullmatch(rf"[\W_]*(?:{NOUN}\s+[\W_]*)?([^\W_])[\W_]*", text, re.IGNORECASE)
    if bare and (letter := letter_of(bare[1], options)):
        return Parsed(letter, rule or "letter")
    spoken = word_keys(text)
    for keys in (word_keys, _in_one_form):
        same = [x for x, option in options.items() if spoken and keys(plain(option)) == keys(text)]
        if same:
            return one_of(same, rule or "text")
    return None


def _in_one_form(text: str) -> list[str]:
    """Return the words with abbreviations spelled out, "RV" as "right ventricle"; a first "a",
    which may be a letter, is kept.
    """
    said = words(text)
    return [word for word in said[:1] if word == "a"] + canonical(said)


def _stated(reading: Located) -> Parsed | None:
    """Return the last declaration of an answer, by letter or by text."""
    statements: list[tuple[int, Parsed]] = []
    for group in reading.groups:
        before = reading.before(STATED_BEFORE, group.start)
        if before and not reading.denies(group, before.start()):
            statements.append((group.start, settle(reading, group, "stated")))
    for i, match in enumerate(reading.matches):
        before = reading.before(STATED_BEFORE, match.start)
        if before and not is_denied(reading.text, before.start(), match.end):
            joined = [
                other.letter
                for other in reading.matches[i + 1 : i + 9]
                if joins(reading.text[match.end : other.start])
            ]
            said = one_of([match.letter, *joined], "stated")
            if any(reading.is_mislabelled(match, group) for group in reading.groups):
                said = CONFLICT
            statements.append((match.start, said))
    return max(statements, key=lambda statement: statement[0])[1] if statements else None


def _judged(reading: Located) -> Parsed | None:
    """Return the only option that is called correct, or that is left when the others are
    excluded.
    """
    found: list[Parsed] = []
    for group in reading.groups:
        end = own_text_end(reading.text, reading.options, group)
        is_right = not group.lower and JUDGED_AFTER.match(reading.text, end)
        if (is_right or reading.before(LEFT_BEFORE, group.start, 40)) and not reading.denies(group):
            found.append(settle(reading, group, "judged"))
    for match in reading.matches:
        is_right = JUDGED_AFTER.match(reading.text, match.end)
        if is_right and not is_denied(reading.text, match.start, match.end):
            found.append(Parsed(match.letter, "judged"))
    if not found:
        return None
    return found[0] if len({parsed.choice for parsed in found}) == 1 else AMBIGUOUS


def _last_line(text: str, options: Mapping[str, str]) -> Parsed | None:
    lines = [line for line in text.split("\n") if line.strip(" ;")]
    last = _whole(lines[-1], options, "last line") if len(lines) > 1 else None
    if last is None:
        lines = [line for line in SENTENCE_END.split(text) if line.strip(" ;")]
        last = (
            _whole(lines[-1], options, "last line")
            if len(lines) > 1 and len(words(lines[-1])) == 1
            else None
        )
    if last is None:
        return None
    others = {found.choice for line in lines[:-1] if (found := _whole(line, options))}
    return last if not others or last.choice in others else Parsed(None, "ambiguous")


def _leading(reading: Located) -> Parsed | None:
    first = reading.groups[0] if reading.groups else None
    if (
        first is None
        or words(reading.text[: first.start])
        or any(match.start < first.start for match in reading.matches)
    ):
        return None
    is_own = has_own_text(reading.text, reading.options, first)
    if not (first.marked or DELIMITER.match(reading.text, first.end) or is_own):
        return None
    if reading.denies(first):
        return None
    listed = {group.letters for group in reading.groups[:40] if _is_listed(reading, group)}
    if len(listed | {first.letters}) > 1:  # the response repeats the options
        return _judged(reading) or AMBIGUOUS
    return settle(reading, first, "leading letter")


def _is_listed(reading: Located, group: Group) -> bool:
    """Return whether a letter stands with its own text, or heads a line or clause of its own."""
    heads = re.compile(r"\s*[:=]").match(reading.text, group.end)
    own = has_own_text(reading.text, reading.options, group)
    return bool((own or heads) and not reading.denies(group))


def _concluded(reading: Located) -> Parsed | None:
    """Return the only option that the closing sentence draws as its conclusion."""
    found = CONCLUSION.search(reading.text)
    matches = [m for m in reading.matches if found and m.start >= found.end()]
    if not matches or any(is_denied(reading.text, m.start, m.end) for m in matches):
        return None
    letters = {m.letter for m in matches}
    letters |= {x for g in reading.groups if found and g.start >= found.end() for x in g.letters}
    return Parsed(letters.pop(), "concluded") if len(letters) == 1 else None


def _mentioned(reading: Located) -> Parsed:
    standing = [group for group in reading.groups if not reading.denies(group)]
    named = [
        group
        for group in standing
        if group.marked or (not group.lower and reading.before(WEAK_BEFORE, group.start, 40))
    ]
    if named:
        letters = {letter for group in named for letter in group.letters}
        return settle(reading, named[0], "mentioned letter") if len(letters) == 1 else AMBIGUOUS
    if REFUSES.search(reading.text):
        return Parsed(None, "no option")
    if by_value := measured(reading.text, reading.options):
        return by_value
    denied = {x for g in set(reading.groups).difference(standing) for x in g.letters}
    chosen = {x for g in standing if not g.lower for x in g.letters}
    is_said = False
    denied_until = -1
    for match in reading.matches:
        if is_denied(reading.text, match.start, match.end) or (
            denied_until >= 0 and joins(reading.text[denied_until : match.start])
        ):
            denied_until = match.end
            denied.add(match.letter)
        elif not reading.before(LANDMARK, match.start):
            is_said = True
            chosen.add(match.letter)
    if is_said:
        return one_of(chosen, "mentioned text")
    left = set(reading.options) - denied
    if len(left) == 1 and len(denied) > 1 and chosen <= left and not _NONE_OF.search(reading.text):
        return Parsed(left.pop(), "eliminated")
    return Parsed(None, "no option")


_NONE_OF = re.compile(r"\bnone of the above\b|\bnot listed\b", re.IGNORECASE)
