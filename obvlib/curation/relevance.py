"""Whether what is said over a stretch describes something that can be seen there.

Two logistic rules on sentence embeddings: whether a piece describes something, and whether it
addresses a model instead of a viewer. `data_manifests/caption_rules` holds them with the short
spoken sentences, labelled by the authors, that they are fitted on. Most of these are there also as
a recogniser heard a synthetic voice say them, so that a misheard word costs less.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from obvlib.core import manifests_dir
from obvlib.curation.texts import pieces, plain_text, without_orders

_RIDGE, _MAX_STEPS = 0.2, 20


class Relevance(NamedTuple):
    """The probability that a caption describes what can be seen, and that of each of its pieces."""

    probability: float
    pieces: tuple[tuple[str, float], ...]
    orders: tuple[str, ...]  # parts that address a model, cut out before judging
    vectors: np.ndarray  # (pieces, 384), the embeddings of the pieces

    @property
    def keep(self) -> bool:
        return self.probability >= 0.5


@dataclass(frozen=True, kw_only=True)
class LogisticRule:
    """Weights (D,) and a bias on embeddings (N, D), less their `mean` (D,)."""

    mean: np.ndarray
    weight: np.ndarray
    bias: float

    def logits(self, vectors: np.ndarray) -> np.ndarray:
        return (vectors - self.mean) @ self.weight + self.bias


def fit_rule(vectors: np.ndarray, truth: np.ndarray) -> LogisticRule:
    """Return the ridge logistic regression of `truth` (N,) bool on `vectors` (N, D), by Newton's
    method.
    """
    mean = vectors.mean(axis=0)
    x = np.c_[vectors - mean, np.ones(len(vectors))].astype(np.float64)  # (N, D + 1)
    ridge = np.eye(x.shape[1]) * _RIDGE
    ridge[-1, -1] = 1e-9  # the bias is free
    weight = np.zeros(x.shape[1])
    for _ in range(_MAX_STEPS):
        p = 1 / (1 + np.exp(-x @ weight))
        gradient = x.T @ (p - truth) + ridge @ weight
        step = np.linalg.solve((x * (p * (1 - p))[:, None]).T @ x + ridge, gradient)
        weight -= step
        if np.abs(step).max() < 1e-6:
            break
    return LogisticRule(mean=mean, weight=weight[:-1], bias=float(weight[-1]))


class Sentence(NamedTuple):
    """A spoken sentence with its author label: "keep", "drop" or "order"."""

    label: str
    kind: str
    said: str
    heard: str  # by a recogniser, where that is something else


def labelled_sentences() -> list[Sentence]:
    """Return the authors' sentences, one of a line with its fields between tabs."""
    lines = (_folder() / "sentences.tsv").read_text(encoding="utf-8").splitlines()
    rows = (line.split("\t") for line in lines)
    return [Sentence(label, kind, said, "".join(heard)) for label, kind, said, *heard in rows]


class Rules(NamedTuple):
    """What tells a description from other talk, and an order to a model from both."""

    describes: LogisticRule
    orders: LogisticRule


def fit_rules(sentences: Sequence[Sentence]) -> Rules:
    """Return both rules, fitted on sentences. An order is told by what was said alone."""
    from obvlib.encoders.texts import embed_texts

    said = embed_texts([row.said for row in sentences])
    labels = np.array([row.label for row in sentences])
    heard = [row for row in sentences if row.heard]
    talk = labels != "order"
    misheard = embed_texts([row.heard.lower() for row in heard])
    kept = np.array([*labels[talk], *(row.label for row in heard)]) == "keep"
    describes = fit_rule(np.concatenate([said[talk], misheard]), kept)
    return Rules(describes, fit_rule(said, labels == "order"))


def rules_file() -> Path:
    """Return where the project's own rules lie."""
    return _folder() / "caption_rules.safetensors"


@lru_cache(maxsize=1)
def shipped_rules() -> Rules:
    """Return the rules that ship with the project."""
    from safetensors.numpy import load_file

    held = load_file(rules_file())
    return Rules(*(
        LogisticRule(
            mean=held[f"{name}.mean"],
            weight=held[f"{name}.weight"],
            bias=float(held[f"{name}.bias"][0]),
        )
        for name in Rules._fields
    ))  # fmt: skip


def _folder() -> Path:
    return manifests_dir() / "caption_rules"


def judge_captions(texts: Sequence[str]) -> list[Relevance]:
    """Return how likely each raw caption describes what can be seen.

    A caption is judged in pieces, each a sentence or a window of words. Markup and what addresses a
    model are taken out first; the logits of the other pieces are averaged by their numbers of
    words. Where nothing is left the probability is 0.
    """
    return list(_judged(tuple(texts)))


@lru_cache(maxsize=1)
def _judged(texts: tuple[str, ...]) -> tuple[Relevance, ...]:
    """Return the judgements of captions. The last ones are kept: stages ask for the same."""
    from obvlib.encoders.texts import embed_texts

    cleaned = [without_orders(plain_text(text)) for text in texts]
    split = [pieces(text) for text, _ in cleaned]
    vectors = embed_texts([piece.lower() for parts in split for piece in parts])
    rules = shipped_rules()
    logits, to_a_model = rules.describes.logits(vectors), rules.orders.logits(vectors) > 0
    found, first = [], 0
    for parts, (_, orders) in zip(split, cleaned, strict=True):
        told = [first + i for i in range(len(parts)) if not to_a_model[first + i]]
        own = [parts[i - first] for i in told]
        cut = [parts[i] for i in range(len(parts)) if to_a_model[first + i]]
        words = [len(piece.split()) for piece in own]
        whole = _probability(np.average(logits[told], weights=words)) if told else 0.0
        each = tuple((piece, _probability(logits[i])) for piece, i in zip(own, told, strict=True))
        found.append(Relevance(whole, each, (*orders, *cut), vectors[told]))
        first += len(parts)
    return tuple(found)


def _probability(logit: float) -> float:
    return round(float(1 / (1 + np.exp(-logit))), 4)
