"""Whether what is said over a stretch describes something that can be seen there.

A logistic rule on sentence embeddings, fitted at its first use on short spoken sentences that the
authors labelled (`prompts/spoken_v1.tsv`): a few milliseconds of work, and nothing to ship but the
sentences.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import NamedTuple

import numpy as np

from obvlib.curation.texts import pieces, plain_text, without_orders

SENTENCES = "spoken_v1.tsv"
_RIDGE, _NUM_STEPS = 0.1, 20


class Relevance(NamedTuple):
    """The probability that a caption describes what can be seen, and that of each of its pieces."""

    probability: float
    pieces: tuple[tuple[str, float], ...]
    orders: tuple[str, ...]  # parts that address a model, cut out before judging

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
    for _ in range(_NUM_STEPS):
        p = 1 / (1 + np.exp(-x @ weight))
        gradient = x.T @ (p - truth) + ridge @ weight
        weight -= np.linalg.solve((x * (p * (1 - p))[:, None]).T @ x + ridge, gradient)
    return LogisticRule(mean=mean, weight=weight[:-1], bias=float(weight[-1]))


def labelled_sentences() -> list[tuple[bool, str, str]]:
    """Return the authors' sentences: whether to keep, of which kind, and the words."""
    text = (files("obvlib.curation") / "prompts" / SENTENCES).read_text(encoding="utf-8")
    rows = [line.split("\t") for line in text.splitlines()]
    return [(keep == "keep", kind, said) for keep, kind, said in rows]


@lru_cache(maxsize=1)
def shipped_rule() -> LogisticRule:
    """Return the rule fitted on the authors' sentences, once a process."""
    from obvlib.encoders.texts import embed_texts

    rows = labelled_sentences()
    return fit_rule(embed_texts([said for *_, said in rows]), np.array([keep for keep, *_ in rows]))


def judge_captions(texts: Sequence[str]) -> list[Relevance]:
    """Return how likely each raw caption describes what can be seen.

    A caption is judged in pieces, each a sentence or a window of words, whose logits are averaged.
    Markup and instructions to a model are taken out first; what is left empty has probability 0.
    """
    from obvlib.encoders.texts import embed_texts

    cleaned = [without_orders(plain_text(text)) for text in texts]
    split = [pieces(text) for text, _ in cleaned]
    every = [piece.lower() for parts in split for piece in parts]
    logits = shipped_rule().logits(embed_texts(every))
    found, first = [], 0
    for parts, (_, orders) in zip(split, cleaned, strict=True):
        own = logits[first : first + len(parts)]
        first += len(parts)
        each = tuple(zip(parts, _probabilities(own), strict=True))
        whole = _probabilities(own.mean(keepdims=True))[0] if len(own) else 0.0
        found.append(Relevance(whole, each, tuple(orders)))
    return found


def _probabilities(logits: np.ndarray) -> list[float]:
    return [round(float(value), 4) for value in 1 / (1 + np.exp(-logits))]
