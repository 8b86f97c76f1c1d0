"""Greedy generation with our own positions, from the prompt's to every new token's.

The library's `generate` would recompute positions by its own rule (see `obvlib.inputs.positions`),
so that a model trained with one rule answered under another. Here a row's next token has position
`index + rope_delta`, in the prompt's own numbering.

Each prompt is read alone, without padding or mask, through the fastest attention that the machine
has (`obvlib.models.attention`), so that no answer depends on what else is in the batch; then all
rows are continued together, where a step costs little more for eight than for one.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import torch
    from transformers import DynamicCache

    from obvlib.inputs import ModelInput
    from obvlib.models import Bundle


def end_tokens(bundle: Bundle) -> set[int]:
    """Return every token at which an answer ends: those of the tokenizer, of the checkpoint's
    generation config and model config (each a number or a list), and the chat format's <|im_end|>.
    """
    config = bundle.model.config
    named: list[Any] = [bundle.tokenizer.eos_token_id]
    for place in (bundle.model.generation_config, config, config.get_text_config()):
        value = getattr(place, "eos_token_id", None)
        named += value if isinstance(value, (list, tuple)) else [value]
    turn_end = bundle.tokenizer.convert_tokens_to_ids("<|im_end|>")
    if turn_end != bundle.tokenizer.unk_token_id:
        named.append(turn_end)
    return {int(token) for token in named if token is not None}


class Replies(NamedTuple):
    """New token ids of each prompt without the end token, and the logits (B, vocabulary) of their
    first.
    """

    tokens: list[list[int]]
    first_logits: torch.Tensor


def generate(
    model: Any,
    inputs: Sequence[ModelInput],
    *,
    max_new_tokens: int = 64,
    eos_token_ids: Collection[int],
    pad_token_id: int = 0,
) -> list[list[int]]:
    """Return the most likely continuation of each prompt, as new token ids without the end token.

    Prompts must be encoded with `add_generation_prompt=True`. Deterministic; gradients are off.
    """
    if not inputs:
        return []
    return reply(
        model,
        inputs,
        max_new_tokens=max_new_tokens,
        eos_token_ids=eos_token_ids,
        pad_token_id=pad_token_id,
    ).tokens


def reply(
    model: Any,
    inputs: Sequence[ModelInput],
    *,
    max_new_tokens: int,
    eos_token_ids: Collection[int],
    pad_token_id: int,
) -> Replies:
    """Continue at least one prompt greedily: each step adds one token to every row through the
    key-value cache, until each has ended or `max_new_tokens` is reached.
    """
    import torch

    from obvlib.models import attention

    if max_new_tokens < 1:
        raise ValueError(
            f"max_new_tokens is {max_new_tokens}: an answer needs room for at least one token"
        )
    device = model.get_input_embeddings().weight.device
    ends = torch.tensor(sorted(eos_token_ids), device=device)
    was_training = model.training
    model.eval()
    columns = []
    try:
        with torch.inference_mode(), attention.used(model):
            logits, cache, mask = read_prompts(model, inputs)
            first = logits
            deltas = torch.tensor([i.num_tokens + i.rope_delta for i in inputs], device=device)
            ended = torch.zeros(len(inputs), dtype=torch.bool, device=device)
            for count in range(max_new_tokens):
                token = logits.argmax(-1).masked_fill(ended, pad_token_id)  # (B,)
                columns.append(token)
                ended = ended | torch.isin(token, ends)
                if count + 1 == max_new_tokens or bool(ended.all()):
                    break
                mask = torch.cat([mask, mask.new_ones(len(inputs), 1)], dim=1)
                logits = model(
                    input_ids=token[:, None],
                    attention_mask=mask,
                    position_ids=(deltas + count).expand(3, -1)[..., None],  # (3, B, 1)
                    past_key_values=cache,
                    use_cache=True,
                ).logits[:, -1]
    finally:
        model.train(was_training)
    rows = torch.stack(columns, dim=1).tolist()
    return Replies([_until_end(row, set(eos_token_ids)) for row in rows], first)


def read_prompts(
    model: Any, inputs: Sequence[ModelInput]
) -> tuple[torch.Tensor, DynamicCache, torch.Tensor]:
    """Return the logits after each prompt (B, vocabulary), their keys and values padded on
    the left to one cache, and its mask (B, L).
    """
    import torch
    from transformers import DynamicCache

    read = [read_prompt(model, sample) for sample in inputs]
    logits = torch.stack([row for row, _ in read])
    longest = max(sample.num_tokens for sample in inputs)
    mask = torch.zeros(len(inputs), longest, dtype=torch.int64, device=logits.device)
    for row, sample in enumerate(inputs):
        mask[row, longest - sample.num_tokens :] = 1
    caches = [cache for _, cache in read]
    if len(caches) == 1:
        return logits, caches[0], mask
    together = DynamicCache(config=model.config.get_text_config())
    layers: list[list[Any]] = [list(cache.layers) for cache in caches]
    for cache in caches:
        cache.layers.clear()
    for index in range(len(layers[0])):
        keys = _padded([own[index].keys for own in layers], longest)
        values = _padded([own[index].values for own in layers], longest)
        together.update(keys, values, index)
        for own in layers:  # what is copied is freed at once
            own[index] = None
    return logits, together, mask


def read_prompt(model: Any, sample: ModelInput) -> tuple[torch.Tensor, DynamicCache]:
    """Make one forward pass over a prompt; return the logits after it (vocabulary,), and its
    cache.
    """
    import torch
    from transformers import DynamicCache

    from obvlib.inputs import VisionSpec, normalised_on_device

    device = model.get_input_embeddings().weight.device
    fields = {
        "input_ids": sample.input_ids[None],  # (1, L)
        "position_ids": sample.position_ids[:, None],  # (3, 1, L)
    }
    for name in ("pixel_values", "pixel_values_videos", "image_grid_thw", "video_grid_thw"):
        if getattr(sample, name) is not None:
            fields[name] = getattr(sample, name)
    batch = {name: torch.from_numpy(value).to(device) for name, value in fields.items()}
    for name in {"pixel_values", "pixel_values_videos"} & batch.keys():
        if batch[name].dtype == torch.uint8:
            spec = VisionSpec.from_config(model.config)
            batch[name] = normalised_on_device(batch[name], spec)
    cache = DynamicCache(config=model.config.get_text_config())
    step = model(**batch, past_key_values=cache, use_cache=True, logits_to_keep=1)
    return step.logits[0, -1], cache


def _padded(parts: Sequence[torch.Tensor], length: int) -> torch.Tensor:
    """Put parts (1, heads, L, dim) of different lengths into one (B, heads, length, dim), each at
    its end.
    """
    first = parts[0]
    out = first.new_zeros(len(parts), first.shape[1], length, first.shape[3])
    for row, part in enumerate(parts):
        out[row, :, length - part.shape[2] :] = part[0]
    return out


def _until_end(tokens: list[int], ends: set[int]) -> list[int]:
    """Return the tokens before the first end token."""
    first = next((i for i, token in enumerate(tokens) if token in ends), len(tokens))
    return tokens[:first]
