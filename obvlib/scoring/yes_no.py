"""Whether a response says yes or no, or neither, and by which named rule.

- stated: the last "the answer is yes", "Answer: no", `\\boxed{yes}`; `Two clips were seen.
  Answer: no`
- leading: the response begins with yes or no, or agrees ("Indeed, …") and denies nothing; `Yes,
  there is no effusion` → yes; `No polyp is seen` → no
- last line: a last line or sentence that is yes or no; `The lumen is smooth. No.`
- synonym: only true, false, present, absent, seen, not seen, correct, unlikely …; `Not
  seen` → no
- mentioned: the only one of the words yes and no that stands in it, "no" only without a noun; `I
  would say yes`
- restated: of a question for normal, intact, absent …, that word itself, or its denial; `Is it
  normal?` `The wall is not normal` → no
- asserted: finding words all of one kind: "there is a …", "is present" (yes); "there is no …",
  "not seen", "unlikely" (no); `There is no polyp` → no

None: `empty`; `undecided` ("I cannot say", "cannot be ruled out", "no image was given");
`ambiguous` (both words, or findings of both kinds); `asked the other way` (a finding, where the
question is whether something is normal or not there); `no answer` (anything else). "Normal" does
not begin with no. `asserted` reads the response as an answer to "is there …?": both kinds are read
alike, so that neither answer is favoured. Questions, conditions, possibilities and what is taken
back are set aside first (`assertions`).
"""

from __future__ import annotations

import re

from obvlib.scoring.assertions import after_revision, asserted
from obvlib.scoring.words import Parsed, plain, words

_UNDECIDED = re.compile(
    r"\b(?:no|not enough|insufficient)\s+(?:image|video|picture|frame|clip|information|idea|way"
    r" to|data|context|answer)"
    r"|\b(?:can(?:not|'t)|could(?: not|n't)|unable to|(?:im|not )possible to|hard to|difficult"
    r" to)\s+(?:be\s+)?(?:\w+ly\s+)?"
    r"(?:rule out|exclude|ruled out|excluded|say|tell|determine\w*|answer\w*|know"
    r"|judge|assess|confirm\w*|decide|conclude|(?:see|view) (?:the|any|this)"
    r" (?:image|video|picture|frame|clip))"
    r"|\b(?:does|do|did) not (?:allow|permit|suffice|exclude|rule out)\b"
    r"|\bnon-?diagnostic\b|\b(?:indeterminate|equivocal|inconclusive)\b"
    r"|\b(?:do not|don't) know\b|\bnot"
    r" (?:sure|certain|clear|applicable|necessarily)\b|\bunsure\b|\bunclear\b|\buncertain\b",
    re.IGNORECASE,
)
_BOTH = re.compile(r"\byes\s*(?:/|or|and)\s*no\b|\bno\s*(?:/|or|and)\s*yes\b", re.IGNORECASE)
_STATED = re.compile(
    r"\b(?:answer|conclusion|final)\s*(?:is|would be|must"
    r" be|=|:|→|to)\s*(?:(?:that|therefore|thus|probably|likely|clearly|a)\s+)*"
    r"[\"'(\[{:\s]*(yes|no)\b(?!\s+(?:evidence|sign)|\s+or\s+(?:yes|no))",
    re.IGNORECASE,
)
_NO_WITH_NOUN = re.compile(
    r"\bno\s+(?!,|yes\b|because|since|as\b|it\b|there\b|this\b|the\b)[^\W\d]", re.IGNORECASE
)
_ABSENT = re.compile(
    r"\bunlikely\b|\bdoubtful\b|\bdoubts? (?:that|there)|\bimprobable\b|\bnot true\b|\bis false\b"
    r"|\bneither\b|\b(?:ruled out|excluded)\b|\black(?:s|ing)?\b|\bfree of\b|\bprobably not\b"
    r"|(?:\bnot|n't) (?:think|believe|suspect)\b"
    r"|\bno\s+\w|\bnone\b|\bnothing\b|\babsen(?:t|ce)\b|\bwithout\b|\bnegative for\b"
    r"|(?:\bnot|n't|\bnever|\bcannot|\bfails? to)\s+(?:\w+\s+){0,2}?"
    r"(?:seen?|visible|visuali[sz]ed|present|evident|shown?|appear\w*|identif\w+|detect\w*|includ\w+|depicted|noted|demonstrat\w+|found|find|observed?|an?\b|any\b|there\b)",
    re.IGNORECASE,
)
_PRESENT = re.compile(
    r"\bthere(?:'s| is| are| (?:does |do )?appears? to be| seems? to be)\s+(?!no\b|not\b|n't)\w"
    r"|\b(?:is|are|was|were)\s+(?:clearly\s+|well\s+|also\s+|likely\s+|probably\s+)?(?:true|likely|seen|visible|visuali[sz]ed|present|evident|shown|identified|detected|found|observed)\b"
    r"|\b(?:i|we)(?: can)?(?: clearly)? (?:see|observe)\s+(?:an?|some|multiple|several)\b"
    r"(?! normal)"
    r"|\b(?:shows?|demonstrates?|reveals?|contains?)\s+(?!no\b|not\b)\w|\bpositive"
    r" for\b|\b(?:present|visible)\s*$",
    re.IGNORECASE,
)
_SYNONYMS = {
    "yes": (
        "true|present|seen|visible|it is|it does|there is|it is present|is present"
        "|positive|correct|that is correct|this is correct|absolutely|definitely|certainly"
        "|likely|most likely|probably|the statement is true|the statement is correct"
        "|affirmative|of course|i think so|i believe so|indeed|right|that is right|that s right"
    ),
    "no": (
        "false|absent|it isn t|it doesn t|there isn t|there aren t"
        "|not seen|not visible|not present|it is not|it does not|there is not|none"
        "|none seen|hardly|i would not say so|i do not think so|i don t think so"
        "|not really|not at all|negative|incorrect|that is incorrect|this is incorrect"
        "|unlikely|very unlikely|probably not|certainly not|definitely not|the statement is false"
        "|the statement is incorrect|the statement is not correct|the statement is not true"
        "|absolutely not|most likely not|likely not|clearly not|surely not|of course not"
        "|apparently not|not correct|not true|this is not correct|that is not correct|not likely"
        "|improbable"
    ),
}
_CASUAL = {"nope": "no", "nah": "no", "yep": "yes", "yeah": "yes", "yup": "yes"}
_AGREES = re.compile(
    r"\W*(?:correct|indeed|true|absolutely|certainly|definitely|of course|exactly)\s*,",
    re.IGNORECASE,
)
_PRESENCE = {"absent", "negative", "none", "positive", "present", "seen", "there", "visible"}
_OTHER_WAY = re.compile(
    r"\b(?:(normal|healthy|unremarkable|intact|absent|missing)|(?:free|clear|devoid) of|without"
    r"|negative|no|not|ruled out|excluded|un(?:affected|changed|involved|obstructed))\b|n't\b",
    re.IGNORECASE,
)
_DENIAL_OF = re.compile(
    r"\b(?:wrong|incorrect|false|inaccurate|misleading|not (?:true|correct|accurate|the case))"
    r" (?:to (?:say|state|claim|conclude) )?that\b",
    re.IGNORECASE,
)
_CLAUSES = re.compile(r"[.;!?\n,]|\b(?:and|but|although|while|except)\b")
_DENIES = (
    r"(?:\b(?:not|never|no longer|hardly|without|far from|neither|cannot|unlikely|doubtful"
    r"|improbable)|n't)\s+(?:\w+\s+){0,3}?"
)
_HOW_TO_ANSWER = re.compile(
    r"\b(?:yes\s*(?:,|/|or)\s*no|no\s*(?:,|/|or)\s*yes|or\s+not)\b", re.IGNORECASE
)
_CHINESE_UNDECIDED = re.compile(r"无法|不确定|不清楚|难以|不能(?:判断|确定)|不知道")
_CHINESE = re.compile(
    r"(?:answer:|^|,|\.)\W*(?:(?:图像?|影像|画面|视频|超声)(?:上|中|显示)*)?(不是|不存在|没有|未见|不对|否|无|是(?!正常)|有|存在|可见|可以看到|能看到|对)(?!\w*[吗?])"
)


def parse_yes_no(response: str, question: str = "") -> Parsed:
    """Return whether the response to a question says "yes" or "no" (`choice`), by the module's
    rules, in their order; None where it says neither.
    """
    return Parsed(*read_yes_no(plain(response), question))


def read_yes_no(text: str, question: str = "") -> tuple[str | None, str]:
    """Do as `parse_yes_no`, of text that is plain already."""
    if not words(text):
        return None, "empty"
    if re.search(r"[\u4e00-\u9fff]", text):
        return _chinese(text)
    said = asserted(text)
    said = after_revision(said) or said
    without_both = _BOTH.sub(" ", said)
    other_way = _OTHER_WAY.search(_HOW_TO_ANSWER.sub(" ", question))
    if stated := _STATED.findall(without_both):
        return stated[-1].lower(), "stated"
    spoken = [_CASUAL.get(word, word) for word in words(without_both)]
    if not spoken:
        return None, "ambiguous" if without_both != said else _unclaimed(text)
    if _standing(without_both) == {"yes", "no"}:
        return None, "ambiguous"
    begun = without_both.lstrip(" \n\"'([{")
    if spoken[0] == "yes" or (
        spoken[0] == "no"
        and not _UNDECIDED.match(begun)
        and not (other_way and _NO_WITH_NOUN.match(begun))
    ):
        return spoken[0], "leading"
    last = words(re.split(r"[.!?\n]+\s*(?=\S)", without_both.rstrip(" .!?\n"))[-1])
    if last in (["yes"], ["no"]):
        return last[0], "last line"
    for choice, synonyms in _SYNONYMS.items():
        if " ".join(spoken) in synonyms.split("|") and not (other_way and _PRESENCE & {*spoken}):
            return choice, "synonym"
    if _UNDECIDED.search(text):
        return None, "undecided"
    if _AGREES.match(without_both) and not _ABSENT.search(without_both):
        return "yes", "leading"
    if mentioned := _mentioned(without_both):
        return mentioned
    if other_way:
        return _restated(without_both, other_way[1])
    return _asserted(without_both, had_both=without_both != said)


def _unclaimed(text: str) -> str:
    """Name what a response is that claims nothing at all."""
    return "undecided" if _UNDECIDED.search(text) else "no answer"


def _chinese(text: str) -> tuple[str | None, str]:
    if _CHINESE_UNDECIDED.search(text):
        return None, "undecided"
    declared = list(re.finditer(r"answer:", text))
    found = _CHINESE.search(text, declared[-1].start() if declared else 0)
    if found is None:
        return None, "no answer"
    is_no = found[1][0] in "不没未否无"
    return "no" if is_no else "yes", "stated" if declared else "leading"


def _standing(text: str) -> set[str]:
    """Return which of the two words stand on their own; "no" before a noun does not."""
    return set(words(_NO_WITH_NOUN.sub(" ", text))) & {"yes", "no"}


def _mentioned(text: str) -> tuple[str | None, str] | None:
    found = _standing(text)
    if found and not re.search(r"(?:\bnot|n't)\s+(?:\w+\s+)?(?:yes|no)\b", text, re.IGNORECASE):
        return found.pop(), "mentioned"
    return None


def _restated(text: str, quality: str | None) -> tuple[str | None, str]:
    """Read whether a single clause grants the quality that was asked for, or denies it."""
    clauses = [part for part in _CLAUSES.split(text) if part.strip()]
    if quality and re.search(rf"\b(?:ab)?{quality}\b", text, re.IGNORECASE) and len(clauses) == 1:
        denied = re.search(rf"{_DENIES}{quality}\b|\bab{quality}", text, re.IGNORECASE)
        return "no" if denied else "yes", "restated"
    return None, "asked the other way"


def _asserted(text: str, had_both: bool) -> tuple[str | None, str]:
    """Read each clause as absent, present or neither; "no evidence that it is present" is one
    clause and says absent.
    """
    if denial := _DENIAL_OF.search(text):
        if _DENIAL_OF.search(text, denial.end()):
            return None, "ambiguous"
        denied, _ = _asserted(text[denial.end() :], had_both)
        return "yes" if denied == "no" else "no", "asserted"
    kinds = {
        "no" if _ABSENT.search(clause) else "yes" if _PRESENT.search(clause) else ""
        for clause in _CLAUSES.split(text)
    } - {""}
    if len(kinds) == 1:
        return kinds.pop(), "asserted"
    return None, "ambiguous" if kinds or had_both else "no answer"
