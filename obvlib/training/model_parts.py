"""A model without its weights: what a training set needs of it to count tokens."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, NamedTuple

from obvlib.core.identity import identify
from obvlib.core.record_rows import digest
from obvlib.inputs import VisionSpec
from obvlib.manifests import load_card


class ModelParts(NamedTuple):
    """A model without its weights."""

    tokenizer: Any
    spec: VisionSpec
    config: Any


def parts_of(model: str) -> ModelParts:
    """Return tokenizer, patch sizes and configuration of a model by name ("tiny", a checkpoint
    directory, which is read again when a file in it changes, or a card's hub model).
    """
    return _parts_of(model, tuple(identify(str(p)) for p in sorted(Path(model).glob("*.[jt]*"))))


@functools.lru_cache(maxsize=4)
def _parts_of(model: str, files: tuple[Any, ...]) -> ModelParts:
    if model == "tiny":
        from obvlib.models import tiny_config, tiny_tokenizer

        config = tiny_config(tiny_tokenizer())
        return ModelParts(tiny_tokenizer(), VisionSpec.from_config(config), config)
    from transformers import AutoConfig, AutoTokenizer

    from obvlib.manifests import fetch

    directory = Path(model)
    if not directory.is_dir():
        card = load_card(model)
        directory = fetch(card.hub_id, revision=card.revision, patterns=["*.json", "*.txt"])
    config = AutoConfig.from_pretrained(directory)
    tokenizer = AutoTokenizer.from_pretrained(directory)
    return ModelParts(tokenizer, VisionSpec.from_config(config), config)


def tokenizer_and_spec(model: str) -> tuple[Any, VisionSpec]:
    """Return the tokenizer and patch sizes of a model by name; see `parts_of`."""
    return parts_of(model)[:2]


def tokenizer_digest(tokenizer: Any) -> str:
    """Return a short hash of what a tokenizer does to a text: vocabulary, merges and rules."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    return digest(
        backend.to_str() if backend is not None else sorted(tokenizer.get_vocab().items())
    )
