"""Modality and region of a caption, from the published lists: by the words that name them, else by
the description that is nearest in meaning.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np

from obvlib.curation.relevance import judge_captions

LABELS = "labels_v2.yaml"
FIELDS = ("modality", "region")
_WORD_WEIGHT = 0.35  # of naming a label, next to similarities between -1 and 1


class Label(NamedTuple):
    """A label of the published list, and the piece of the caption that speaks for it most."""

    name: str
    quote: str


@lru_cache(maxsize=1)
def label_table() -> dict[str, dict[str, dict[str, Any]]]:
    """Return the labels of each field: the words that name them, and descriptions."""
    import yaml

    text = (files("obvlib.curation") / "prompts" / LABELS).read_text(encoding="utf-8")
    return yaml.safe_load(text)


def names(field: str) -> tuple[str, ...]:
    """Return the published names of "modality" or "region"."""
    return tuple(label_table()[field])


@lru_cache(maxsize=2)
def _descriptions(field: str) -> tuple[np.ndarray, ...]:
    """Return the vectors (descriptions, 384) of each label."""
    from obvlib.encoders.texts import embed_texts

    return tuple(embed_texts(row["says"]) for row in label_table()[field].values())


def _nearness(vectors: np.ndarray, field: str) -> np.ndarray:
    """Return how near each vector is to the nearest description of each label, (N, labels)."""
    return np.stack([(vectors @ own.T).max(axis=1) for own in _descriptions(field)], axis=1)


def label_captions(texts: Sequence[str], field: str) -> list[Label]:
    """Return the label of each caption with its quotation; ("Other", "") for an empty one. What
    addresses a model has no say in it.
    """
    found = []
    for judged in judge_captions(texts):
        parts = [piece for piece, _ in judged.pieces]
        if not parts:
            found.append(Label("Other", ""))
            continue
        scores = _nearness(judged.vectors, field) + _named(parts, field)
        best = int(scores.max(axis=0).argmax())
        found.append(Label(names(field)[best], parts[int(scores[:, best].argmax())]))
    return found


def _named(parts: Sequence[str], field: str) -> np.ndarray:
    """Return how much the words of each piece name each label, (pieces, labels)."""
    rows = list(label_table()[field].values())
    return np.array(
        [[_WORD_WEIGHT * min(2, _num_named(part, row["words"])) for row in rows] for part in parts]
    ).reshape(len(parts), len(rows))


def _num_named(text: str, words: Sequence[str]) -> int:
    text = text.lower()
    return sum(bool(re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text)) for word in words)
