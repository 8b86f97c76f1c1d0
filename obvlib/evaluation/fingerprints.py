"""What made an answer, as one short hash: weights, tokenizer, end tokens, settings and code."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from obvlib import inputs, media
from obvlib.core import frame_policy
from obvlib.core.provenance import hash_code
from obvlib.evaluation import generation, visuals
from obvlib.manifests import pictures
from obvlib.models import Bundle

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

# What turns an example into model input and an answer: a change there asks every question again.
INPUT_CODE = (frame_policy, inputs, generation, visuals, pictures, media)


@functools.cache
def input_code_hash() -> str:
    """Return `hash_code` of what makes the input; read once: code does not change in a run."""
    return hash_code(*INPUT_CODE)


def fingerprint_of(bundle: Bundle, settings: Mapping[str, Any]) -> str:
    """Return 16 hex digits, the same for equal bytes whatever the machine's threads."""
    parts = (
        input_code_hash(),
        hashed(bundle).weights_hash,
        hash_tokenizer(bundle.tokenizer),
        json.dumps(sorted(generation.end_tokens(bundle))),
        json.dumps(settings, sort_keys=True),
    )
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


@dataclasses.dataclass(frozen=True, kw_only=True)
class HashedBundle(Bundle):
    """A bundle whose weights stay as they are while it is used, with their hash: gigabytes are read
    once, not for every control and policy.
    """

    weights_hash: str


def hashed(bundle: Bundle) -> HashedBundle:
    """Return the bundle with the hash of its weights, computed now if it has none yet."""
    if isinstance(bundle, HashedBundle):
        return bundle
    own = {field.name: getattr(bundle, field.name) for field in dataclasses.fields(bundle)}
    return HashedBundle(**own, weights_hash=hash_weights(bundle.model))


def hash_weights(model: PreTrainedModel) -> str:
    """Return the SHA-256 over the names, shapes, types and hashes of a model's weights, in order of
    names.
    """
    named = sorted(model.state_dict().items())
    with ThreadPoolExecutor() as pool:
        parts = pool.map(_hash_tensor, (tensor for _, tensor in named))
        digest = hashlib.sha256()
        for (name, tensor), part in zip(named, parts, strict=True):
            digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype} {part}\n".encode())
    return digest.hexdigest()


def _hash_tensor(tensor: Tensor) -> str:
    import torch

    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return hashlib.sha256(flat.view(torch.uint8).numpy().data).hexdigest()


def hash_tokenizer(tokenizer: PreTrainedTokenizerFast) -> str:
    """Return the SHA-256 over vocabulary, merges and special tokens. Padding and truncation, which
    each call sets as it needs, are left out.
    """
    made = json.loads(tokenizer.backend_tokenizer.to_str())
    made = {name: value for name, value in made.items() if name not in ("padding", "truncation")}
    return hashlib.sha256(json.dumps(made, sort_keys=True).encode()).hexdigest()
