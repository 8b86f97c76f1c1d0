"""Texts to vectors: all-MiniLM-L6-v2, whose weights a package ships."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from obvlib.encoders.parts import part_path

MAX_TOKENS = 256
BATCH_SIZE = 64  # texts at a time: bounds the memory, whatever their number


@lru_cache(maxsize=1)
def _network() -> tuple[Any, Any]:
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging

    path = str(part_path("all-minilm-l6-v2"))
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        return AutoTokenizer.from_pretrained(path), AutoModel.from_pretrained(path).eval()
    finally:
        if shown:
            logging.enable_progress_bar()


def embed_texts(texts: Sequence[str]) -> np.ndarray:
    """Return vectors (N, 384) float32 of length 1: the dot product of two is their similarity."""
    import torch

    if not texts:
        return np.zeros((0, 384), np.float32)
    (tokenizer, model), found = _network(), []
    with torch.inference_mode():
        for start in range(0, len(texts), BATCH_SIZE):
            part = list(texts[start : start + BATCH_SIZE])
            batch = tokenizer(
                part, padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt"
            )
            hidden = model(**batch).last_hidden_state  # (N, L, 384)
            mask = batch["attention_mask"][..., None].float()
            means = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
            found.append(torch.nn.functional.normalize(means, dim=1).numpy())
    return np.concatenate(found)
