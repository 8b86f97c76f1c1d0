"""Greedy generation in batches with our own positions, from the prompt's to every new token's.

The library's `generate` would recompute positions by its own rule (see `obvlib.inputs.positions`), so that
a model trained with one rule answered under another. Here a row's next token has position `index +
rope_delta`, in the prompt's own numbering, whatever else is in the batch.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

    from obvlib.inputs import ModelInput


def pad_left(inputs: Sequence[ModelInput], pad_token_id: int) -> dict[str, torch.Tensor]:
    """A batch of prompts (B, L) that all end in the last column, with attention_mask and
    position_ids (3, B, L).
    """
    import torch

    longest = max(sample.num_tokens for sample in inputs)
    ids = np.full((len(inputs), longest), pad_token_id, dtype=np.int64)
    mask = np.zeros_like(ids)
    positions = np.zeros((3, len(inputs), longest), dtype=np.int64)
    for row, sample in enumerate(inputs):
        ids[row, longest - sample.num_tokens :] = sample.input_ids
        mask[row, longest - sample.num_tokens :] = 1
        positions[:, row, longest - sample.num_tokens :] = sample.position_ids
    batch = {"input_ids": ids, "attention_mask": mask, "position_ids": positions}
    for name in ("pixel_values", "pixel_values_videos", "image_grid_thw", "video_grid_thw"):
        parts = [getattr(sample, name) for sample in inputs if getattr(sample, name) is not None]
        if parts:
            batch[name] = np.concatenate(parts)
    return {name: torch.from_numpy(value) for name, value in batch.items()}


def generate(
    model: Any,
    inputs: Sequence[ModelInput],
    *,
    max_new_tokens: int = 64,
    eos_token_ids: Collection[int],
    pad_token_id: int = 0,
) -> list[list[int]]:
    """The most likely continuation of each prompt, as new token ids without the end token.

    Prompts must be encoded with `add_generation_prompt=True`. One forward pass reads all prompts,
    then each step adds one token to every row through the key-value cache until each has ended or
    `max_new_tokens` is reached. Deterministic; gradients are off.
    """
    import torch
    from transformers import DynamicCache

    if max_new_tokens < 1:
        raise ValueError(
            f"max_new_tokens is {max_new_tokens}: an answer needs room for at least one token"
        )
    if not inputs:
        return []
    device = model.get_input_embeddings().weight.device
    batch = {name: value.to(device) for name, value in pad_left(inputs, pad_token_id).items()}
    mask = batch["attention_mask"]
    # (B,)
    deltas = torch.tensor(
        [sample.num_tokens + sample.rope_delta for sample in inputs], device=device
    )
    ends = torch.tensor(sorted(eos_token_ids), device=device)
    was_training = model.training
    model.eval()
    columns = []
    try:
        with torch.inference_mode():
            cache = DynamicCache(config=model.config.get_text_config())
            step = model(**batch, past_key_values=cache, use_cache=True, logits_to_keep=1)
            ended = torch.zeros(len(inputs), dtype=torch.bool, device=device)
            for count in range(max_new_tokens):
                token = step.logits[:, -1].argmax(-1).masked_fill(ended, pad_token_id)  # (B,)
                columns.append(token)
                ended = ended | torch.isin(token, ends)
                if count + 1 == max_new_tokens or bool(ended.all()):
                    break
                mask = torch.cat([mask, mask.new_ones(len(inputs), 1)], dim=1)
                positions = (deltas + count).expand(3, -1)[..., None]  # (3, B, 1)
                step = model(
                    input_ids=token[:, None],
                    attention_mask=mask,
                    position_ids=positions,
                    past_key_values=cache,
                    use_cache=True,
                )
    finally:
        model.train(was_training)
    return [_until_end(row, set(eos_token_ids)) for row in torch.stack(columns, dim=1).tolist()]


def _until_end(tokens: list[int], ends: set[int]) -> list[int]:
    """The tokens before the first end token."""
    first = next((i for i, token in enumerate(tokens) if token in ends), len(tokens))
    return tokens[:first]
