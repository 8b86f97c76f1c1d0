"""Captions and questions without a language model: sentences are selected and cleared of fillers,
and questions come from templates.

Nothing is added: every word of a caption was said, and every right answer is a published label or
stands in the words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np

from obvlib.curation.labels import names
from obvlib.curation.relevance import Relevance

TEMPLATES = "templates_v1.yaml"
LETTERS = "ABCD"
MIN_PIECE = 0.2  # probability of a sentence of a kept caption: a short one says little by itself
_FILLERS = re.compile(
    r"\b(?:u+[hm]+|e+rm*|hmm+|you know|i mean|sort of|kind of|basically|okay|alright|you see)\b"
    r",?\s*",
    re.IGNORECASE,
)
_OPENERS = re.compile(
    r"^(?:(?:so|well|now|and|but|okay|right|good|here we have|let us look at|if you look)\b"
    r"[,\s]*)+",
    re.IGNORECASE,
)
# Labels that may both be right of one picture, and so never stand beside each other as options.
_CLOSE = (
    {"Ultrasound", "Echocardiography"},
    {"Surgical and Procedural", "Endoscopy and Laparoscopic Surgery"},
    {"X-ray", "Fluoroscopy", "Angiography"},
    {"Cardiac", "Vascular System", "Thoracic and Respiratory System"},
    {"Cranial and Nervous System", "Head and Neck"},
    {"Endocrine System", "Head and Neck"},
)
_REST = frozenset({"Other", "Anatomy and Biological Processes"})  # no technique, and no place
_TWICE = re.compile(r"\b(\w+)(?:,? \1\b)+", re.IGNORECASE)


class Draft(NamedTuple):
    """A question before its options have letters: the right one, the wrong ones, the evidence."""

    question: str
    right: str
    wrong: tuple[str, ...]
    quote: str
    family: str


def clean_caption(judged: Relevance) -> str:
    """Return the pieces of a raw caption that describe what can be seen, as sentences without
    fillers; all of them where it has no punctuation and was judged in overlapping windows.
    """
    kept = [piece for piece, probability in judged.pieces if probability >= MIN_PIECE]
    joined = _joined(kept)
    found = []
    for sentence in joined:
        text = _TWICE.sub(r"\1", _OPENERS.sub("", _FILLERS.sub("", sentence).strip()))
        text = re.sub(r"\s+([,.;:!?])", r"\1", " ".join(text.split()))
        text = re.sub(r"[,;:]+([.!?])", r"\1", text).strip(" ,;:")
        if len(text.split()) >= 2:
            text = text[0].upper() + text[1:]
            found.append(text if text[-1] in ".!?" else f"{text}.")
    return " ".join(found)


def _joined(parts: Sequence[str]) -> list[str]:
    """Return the pieces with overlapping windows put together again."""
    found: list[list[str]] = []
    for part in parts:
        words = part.split()
        last = found[-1] if found else []
        shared = next(
            (n for n in range(min(len(last), len(words)), 3, -1) if last[-n:] == words[:n]), 0
        )
        if shared:
            last += words[shared:]
        else:
            found.append(words)
    return [" ".join(words) for words in found]


@lru_cache(maxsize=1)
def templates() -> list[dict[str, Any]]:
    """Return the question templates: a pattern of the caption, and what is asked where it fits."""
    import yaml

    text = (files("obvlib.curation") / "prompts" / TEMPLATES).read_text(encoding="utf-8")
    return yaml.safe_load(text)["findings"]


def questions_from_templates(
    raw: str, labels: dict[str, tuple[str, str]], rng: np.random.Generator
) -> list[Draft]:
    """Return what templates ask about a passage. `labels` holds the name and the quotation of its
    modality and region; the names of what is left over (`_REST`) are neither asked for nor offered.
    """
    asked = {
        "modality": "Which technique were these pictures made with?",
        "region": "Which part of the body do these pictures show?",
    }
    found = []
    for field, question in asked.items():
        name, quote = labels[field]
        if name and name not in _REST and quote:
            close = _REST.union({name}, *(group for group in _CLOSE if name in group))
            others = [other for other in names(field) if other not in close]
            found.append(Draft(question, name, _some(others, rng), quote, field))
    for row in templates():
        for answer, pattern in row["answers"].items():
            if match := re.search(pattern, raw, re.IGNORECASE):
                others = [o for o in (*row["answers"], *row.get("wrong", ())) if o != answer]
                wrong = _some(others, rng)
                found.append(Draft(row["question"], answer, wrong, match.group(), row["family"]))
                break
    return found


def _some(others: Sequence[str], rng: np.random.Generator) -> tuple[str, ...]:
    return tuple(others[i] for i in sorted(rng.permutation(len(others))[:3]))


def lettered(drafts: Sequence[Draft], rng: np.random.Generator) -> list[tuple[dict[str, str], str]]:
    """Return options by letter and the right letter of each draft. The right letters of one clip's
    questions go through all four, in a seeded order, before one comes again.
    """
    order = rng.permutation(4)
    found = []
    for index, draft in enumerate(drafts):
        wrong = [draft.wrong[i] for i in rng.permutation(3)]
        place = int(order[index % 4])
        texts = [*wrong[:place], draft.right, *wrong[place:]]
        found.append((dict(zip(LETTERS, texts, strict=True)), LETTERS[place]))
    return found
