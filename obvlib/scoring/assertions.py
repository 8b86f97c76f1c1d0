"""What a response asserts, as opposed to what it asks, supposes, reports of others or takes back.

`asserted` blanks every segment that declares nothing, and `after_revision` keeps what stands after
the last "wait", "actually" or "I meant". Both keep positions, or the end of the text, so that the
rules that read a choice need not know of them.

- question: `Is the answer B?`
- condition: `D is correct only when the apex is thin`, `had it been anterior, …`
- concession: `although the left atrium is visible, …`, `while B is tempting, …`
- earlier belief: `at first I thought A`, `my first guess was D`
- others' belief: `many would say the answer is A`
- possibility: `it might be C`, `B is also possible`
"""

from __future__ import annotations

import re

_SEGMENT = re.compile(
    r"(?:[?!;\n]|(?<!\bvs)(?<!\bfig)(?<!\be\.g)(?<!\bi\.e)(?<!\d)\.(?=\s|$)|(?<=\d)\.(?=\s+[A-Z]|$)"
    r"|,?\s+(?=(?:but|however|yet|because|since|hence|therefore|thus|although|though|even though"
    r"|while|whereas)\b)|,\s+(?=(?:so|if|as|it|one|i|my|unless|assuming)\b)|\s[–—-]\s)",
    re.IGNORECASE,
)
_CONDITION = re.compile(
    r"\b(?:if|unless|assuming|suppos\w+|provided (?:that|the)|only (?:in|for|when)|when(?:ever)?"
    r"|in case|depend(?:s|ing) on|had the|had it|had this|were (?:the|it|this)|whether)\b",
    re.IGNORECASE,
)
_CONCESSION = re.compile(
    r"\W*(?:although|though|even (?:though|if)|while|whereas)\b", re.IGNORECASE
)
_CONCEDED_FIRST = re.compile(
    r"(?:^|(?<=[.!?;\n]))\s*(?:although|though|even (?:though|if)|while|whereas)\b[^,.;\n]*,",
    re.IGNORECASE,
)
_EARLIER = re.compile(
    r"\b(?:initially|at first|originally|previously|(?:my )?(?:first|initial) (?:guess|thought"
    r"|impression|instinct|choice)|i (?:first|initially) (?!see\b)\w+"
    r"|i (?:had |was )?(?:thought|considered|assumed|believed"
    r"|guessed|thinking)|tempting|was thinking)\b",
    re.IGNORECASE,
)
_OTHERS = re.compile(
    r"\b(?:many|most(?! (?:accurate|likely|appropriate|correct|plausible)\b)|some|one|people|others"
    r"|someone|beginners|students|you)\s+(?:\w+\s+){0,2}?"
    r"(?:say|think|pick|choose|list|lists|argue|claim|believe|guess|assume|answer)\b",
    re.IGNORECASE,
)
_POSSIBLE = re.compile(
    r"(?<!answer is )\b(?:might|may|could|possibly|perhaps|(?<!: )maybe|maybe(?=\s+\w))\b"
    r"|\b(?:also |still )?possible\b"
    r"|\beither\b[^.;\n]*\bor\b"
    r"|\b(?:can(?:not|'t)|could not|not) (?:be )?(?:entirely |fully |completely )?"
    r"(?:ruled?|exclud\w+|eliminat\w+)\b"
    r"|(?<!\bi )(?<!answer )(?<!\bit )(?<!that )(?<!diagnosis )(?<!choice )(?<!option )(?<!letter )"
    r"(?<!guess )"
    r"\bwould\b(?! say| choose)",
    re.IGNORECASE,
)
_REVISION = re.compile(
    r"(?:^|(?<=[.!?;\n—–:,]))\s*(?:(?:but|oh|hmm|ah)[\s,]+)?"
    r"(?:(?:no\s*,?\s*)?wait\b|actually\b|correction\b|sorry\b|i meant?\b|on second thoughts?\b"
    r"|on (?:closer|further) (?:inspection|reflection|look|review)\b|on reflection\b"
    r"|hold on\b|let me (?:reconsider|re-?check|double-?check|check|correct|revise)\w*\b"
    r"|(?:after|upon) (?:reconsider\w*"
    r"|review\w*|re-?check\w*|reflection)\b"
    r"|(?:no\s*,?\s*)?(?:scratch|strike) that\b|my mistake\b"
    r"|(?<!:)(?<!:\s)no(?=[^\S\n]*[,:—–-]\s))"
    r"[\s,.:—–-]*(?:no\s*[,:—–-]+\s*|i meant?\b\s*|the\s+(?=answer))?",
    re.IGNORECASE,
)


def asserted(text: str) -> str:
    """Return the text with every segment blanked that declares nothing (the module's table)."""
    text = _CONCEDED_FIRST.sub(_blank, text)
    parts: list[str] = []
    start = 0
    for boundary in [*_SEGMENT.finditer(text), None]:
        end = boundary.start() if boundary else len(text)
        segment = text[start:end]
        is_question = boundary is not None and boundary[0] == "?"
        parts.append(";" + " " * (len(segment) - 1) if _is_idle(segment, is_question) else segment)
        if boundary:
            parts.append(boundary[0])
            start = boundary.end()
    return "".join(parts)


def after_revision(text: str) -> str | None:
    """Return what stands after the last revision, None where nothing is revised."""
    revisions = list(_REVISION.finditer(text))
    if not revisions or not text[: revisions[-1].start()].strip(" ;?\n"):
        return None
    return text[revisions[-1].end() :]


def _is_idle(segment: str, is_question: bool) -> bool:
    if len(segment.split()) < 2:  # "Maybe." may be one of the options
        return is_question and bool(segment.strip())
    return (
        is_question
        or any(rule.search(segment) for rule in (_CONDITION, _EARLIER, _OTHERS, _POSSIBLE))
        or bool(_CONCESSION.match(segment))
    )


def _blank(found: re.Match[str]) -> str:
    return ";" + " " * (len(found[0]) - 1)
