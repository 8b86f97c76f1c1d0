"""The wordings around an option by which a response declares, judges, leaves or concludes it."""

from __future__ import annotations

import re

STATED_BEFORE = re.compile(
    r"(?:\b(?:answer|choice|option|diagnosis|conclusion|decision|response|guess|final|ans|selected"
    r"|correct|correct one|right one|best one"
    r"|(?:next|best|first|initial)\s+step|(?:best|preferred)\s+treatment)"
    r"(?:\s+(?:choice|option|letter|here|to\s+th(?:e|is)\s+question))?"
    r"[\"']?\s*(?:\b(?:is|was|would\s+(?:still\s+|then\s+)?be|should\s+be|must\s+be|will\s+be|has\s+to\s+be)\b|'s\b"
    r"|=|:|→|=>|\s[–-]\s|\n+(?=\W*$))"
    r"|\bchange[sd]?\s+my\s+(?:answer|mind)(?:\s+to)?|\bI(?:'d|\s+would)?\s+answer"
    r"|\b(?:choose|chose|choosing|pick|select|go\s+with|going\s+with|vote\s+for|opt\s+for|favou?r|conclude"
    r"|lean(?:ing)?\s+towards?))\s*"
    r"[\s:(]*(?:(?:most|probably|likely|clearly|definitely|therefore|thus|option|choice|letter|the"
    r"|an?|that|it\s+is|it's|indeed|now|still|to\s+(?:give|start|perform|administer)"
    r"|(?:latter|former)(?=,))\b[\s:),]*)*"
    r"[\"'(\[{\s]*$",
    re.IGNORECASE,
)
JUDGED_AFTER = re.compile(
    r"[\"')\]]*\s*(?:(?:\b(?:is|seems|appears|looks|would\s+be|must\s+be|has\s+to\s+be)\b|[:–-])\s*"
    r"(?:to\s+be\s+)?"
    r"(?:(?:definitely|clearly|probably|indeed|the|most|more|my|final|a|only)\s+)*"
    r"(?:correct|right|best|better|true|accurate|appropriate|likely|probable|answer|diagnosis|consistent|preferred|(?:drug|treatment|test|agent)\s+of\s+choice|what\s+i(?:'d|\s+would)\s+(?:pick|choose|select|say)"
    r"|(?:option|one|choice)\s+left)"
    r"|(?:best|most\s+closely|clearly)?\s*\b(?:describes|matches|fits|explains|corresponds|remains)"
    r"|makes\s+(?:the\s+most\s+)?sense|is\s+left|it\s+is)\b",
    re.IGNORECASE,
)
LEFT_BEFORE = re.compile(
    r"\b(?:leav(?:es|ing)|remaining|left\s+with)(?:\s+(?:us\s+with|is|only|option|choice|just))*[\s:,(]*$",
    re.IGNORECASE,
)
WEAK_BEFORE = re.compile(
    r"(?:\b(?:is|be|it's|that's|think|believe|say|guess|but|rather|instead|so|therefore|thus|hence"
    r"|probably|likely|maybe|perhaps|definitely|certainly|clearly|obviously|yes|indicates|suggests|meant?|means|makes\s+it|elimination|label(?:l?ed)?|marked|favou?rs|consistent\s+with|no(?=,))"
    r"|→|=>|->)[\s,:(]*$",
    re.IGNORECASE,
)
DELIMITER = re.compile(
    r"[)\]}\"']*\s*[.:,;)\]\n!–—-]|\s*$|\s+\(?(?:because|since|due)\b|\s+\(not\b"
)
CONCLUSION = re.compile(
    r"(?:^|[.!?;\n,])\s*(?:thus|therefore|hence|so|consequently|overall"
    r"|in (?:conclusion|summary))\b(?=[^.!?;\n]*[.!]?\W*$)",
    re.IGNORECASE,
)
CLAUSE = re.compile(r"[.,;:\n()]|\b(?:because|since|as|due|is|are|which|with)\b", re.IGNORECASE)
LANDMARK = re.compile(
    r"\b(?:behind|beside|next\s+to|in\s+front\s+of|near|opposite|(?:adjacent|close|posterior"
    r"|anterior|lateral|medial|superior|inferior|proximal|distal)\s+to)\s+(?:the\s+|an?\s+)?$",
    re.IGNORECASE,
)
SENTENCE_END = re.compile(r"(?<=[.!?])(?<!\bvs\.)(?<!\bfig\.)(?<!\d\.)\s+(?=\S)", re.IGNORECASE)
REFUSES = re.compile(
    r"\b(?:cannot|can't|could\s+not|unable\s+to|(?:im|not\s+)possible\s+to)\s+(?:be\s+)?"
    r"(?:answer\w*|determin\w+|tell|say)\b",
    re.IGNORECASE,
)
