"""Attention for packed rows: every sample sees itself and nothing else, and no T x T mask is ever
built.

`use` switches a model to one of the kernels of `obvlib.models.kernels`. They are registered with
transformers under names that contain "flash": only then does the vision tower hand over its
boundaries, one per temporal patch, instead of calling attention once for each.

On a CPU the loop takes about a tenth of the time of a block mask for a row of 2,048 tokens
(tests/benchmarks/attention.py). Padded batches, which have a mask, go to the library's sdpa; a
token that continues rows through a cache has products of its own (`continued`).
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from obvlib.core import gpus
from obvlib.models.kernels import KERNELS, attend, loop

CHOICES = ("auto", *KERNELS, "sdpa")


def use(model: Any, choice: str = "auto") -> str:
    """Switch a built model, text and vision alike, to an attention for packed rows; return the
    choice made.

    "auto" takes what `best` says. Call it after the model is built and moved: transformers refuses
    unknown flash names while building. ValueError for a choice that this machine cannot run.
    """
    device = next(model.parameters()).device
    choice = checked(choice, device)
    if choice != "sdpa":
        _register(choice)
    name = choice if choice == "sdpa" else f"obv_flash_{choice}"
    for config in _configs(model):
        config._attn_implementation_internal = name
    return choice


@contextmanager
def used(model: Any, choice: str = "auto") -> Iterator[str]:
    """Do `use` for the length of a block; the model's own attention is put back after it."""
    before = [(config, config._attn_implementation_internal) for config in _configs(model)]
    try:
        yield use(model, choice)
    finally:
        for config, name in before:
            config._attn_implementation_internal = name


def _configs(model: Any) -> list[Any]:
    """Return every config of a model that names an attention, once."""
    configs = (getattr(module, "config", None) for module in model.modules())
    named = [config for config in configs if hasattr(config, "_attn_implementation_internal")]
    return list({id(config): config for config in named}.values())


def checked(choice: str, device: torch.device) -> str:
    """Return the choice, "auto" resolved; ValueError for one that this machine cannot run."""
    if choice not in CHOICES:
        raise ValueError(f"attention {choice!r}: use one of {', '.join(CHOICES)}")
    if choice == "auto":
        return best(device)
    if choice != "sdpa":
        _check_available(choice, device)
    return choice


def best(device: torch.device) -> str:
    """Return the fastest kernel that is installed for a device."""
    return gpus.fastest_attention(
        torch.cuda.get_device_capability(device)[0] if device.type == "cuda" else None
    )


def _check_available(choice: str, device: torch.device) -> None:
    package = {"flash2": "flash_attn.flash_attn_interface", "flash4": "flash_attn.cute"}.get(choice)
    if package and not gpus.is_installed(package):
        raise ValueError(
            f"attention {choice!r} needs the package with {package}: install it, or use 'varlen' or"
            " 'auto'"
        )
    if choice != "loop" and device.type != "cuda":
        raise ValueError(
            f"attention {choice!r} runs on CUDA, the model is on {device.type}: use 'loop' or"
            " 'auto'"
        )


@functools.cache
def _register(choice: str) -> None:
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register(f"obv_flash_{choice}", functools.partial(_attend, choice))
    AttentionMaskInterface.register(f"obv_flash_{choice}", _mask)


def _mask(**arguments: Any) -> torch.Tensor | None:
    """Return no mask for whole rows; the library's for padded batches and for decoding with a
    cache.
    """
    from transformers.masking_utils import sdpa_mask

    whole_rows = (
        arguments["q_length"] == arguments["kv_length"] and arguments.get("q_offset", 0) == 0
    )
    if arguments.get("attention_mask") is None and whole_rows:
        return None
    return sdpa_mask(**arguments)


def _attend(
    kernel: str,
    module: torch.nn.Module,
    query: torch.Tensor,  # (B, H, T, D)
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    is_causal: bool | None = None,
    position_ids: torch.Tensor | None = None,  # (B, T), from 0 in every sample
    **arguments: Any,
) -> tuple[torch.Tensor, None]:
    """Attend as transformers calls it in each layer; return (B, T, H, D)."""
    if query.shape[2] == 1 < key.shape[2]:
        return continued(query, key, value, attention_mask, scaling), None
    if attention_mask is not None or query.shape[2] != key.shape[2]:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        return sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, is_causal=is_causal
        )
    causal = getattr(module, "is_causal", True) if is_causal is None else is_causal
    batch, _, length, dim = query.shape
    bounds, host_bounds, longest = _given_boundaries(
        arguments, position_ids, batch, length, query.device
    )
    # under autocast the rotary embedding hands on fp32; the products made bf16 values
    q, k, v = (t.transpose(1, 2).flatten(0, 1).to(value.dtype) for t in (query, key, value))
    scale = dim**-0.5 if scaling is None else scaling
    if kernel == "loop":
        host = bounds if host_bounds is None else host_bounds
        out = loop(q, k, v, host.diff().tolist(), causal=causal, scale=scale)
    else:
        out, _ = attend(q, k, v, bounds, host_bounds, longest, causal, scale, kernel)
    return out.unflatten(0, (batch, length)), None


def continued(
    query: torch.Tensor,  # (B, H, 1, D)
    key: torch.Tensor,  # (B, heads of keys, L, D)
    value: torch.Tensor,
    mask: torch.Tensor | None,  # (B, 1, 1, L), True where a key is seen
    scale: float | None = None,
) -> torch.Tensor:
    """Return the attention of one new token of each row to all before it, (B, 1, H, D).

    Heads that share keys are the rows of one product, so that each key is read once; the library's
    sdpa copies keys for every head and goes through a long cache with one thread block a head.
    """
    batch, heads, _, dim = query.shape
    shared = key.shape[1]
    grouped = query.reshape(batch * shared, heads // shared, dim).to(key.dtype)
    keys, values = key.flatten(0, 1), value.flatten(0, 1)  # (B * shared, L, D)
    wide: Any = {"out_dtype": torch.float32} if key.is_cuda and key.dtype != torch.float32 else {}
    scores = torch.bmm(grouped, keys.transpose(1, 2), **wide).float()
    scores = (scores * (dim**-0.5 if scale is None else scale)).unflatten(0, (batch, shared))
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf"))
    shares = scores.softmax(-1).to(values.dtype).flatten(0, 1)
    return torch.bmm(shares, values).reshape(batch, 1, heads, dim)


def _given_boundaries(
    arguments: dict[str, Any],
    position_ids: torch.Tensor | None,
    batch: int,
    length: int,
    device: torch.device,
) -> tuple[torch.Tensor, torch.Tensor | None, int]:
    """Return the boundaries on the device and, if known, on the CPU, and the longest sample: those
    of the vision tower, those of `row_arguments`, or found in position_ids.
    """
    if "cu_seq_lens_q" in arguments:
        return arguments["cu_seq_lens_q"], None, int(arguments["max_length_q"])
    if "row_boundaries" in arguments:
        host = arguments.get("row_host_boundaries")
        return arguments["row_boundaries"], host, arguments["row_longest"]
    bounds, longest = boundaries(position_ids, batch, length, device)
    return bounds, None, longest


def boundaries(
    position_ids: torch.Tensor | None, batch: int, length: int, device: torch.device
) -> tuple[torch.Tensor, int]:
    """Return where samples begin in B rows of T tokens laid end to end, (N + 1,) int32 ending in
    B * T, and the longest sample.

    A sample begins where its text position is 0; without position_ids each row is one sample. On a
    GPU this waits for the device: compute it once a row (`row_arguments`), not in every layer.
    """
    if position_ids is None:
        return torch.arange(batch + 1, dtype=torch.int32, device=device) * length, length
    begins = position_ids.expand(batch, length) == 0
    begins[:, 0] = True
    starts = begins.flatten().nonzero().flatten()
    bounds = torch.cat([starts, starts.new_tensor([batch * length])]).to(torch.int32)
    return bounds, int(bounds.diff().max())


def row_arguments(position_ids: torch.Tensor) -> dict[str, Any]:
    """Return the boundaries of a collated row as model arguments: with them no layer looks into
    position_ids (4, B, T).
    """
    _, batch, length = position_ids.shape
    bounds, longest = boundaries(position_ids[0], batch, length, position_ids.device)
    return {"row_boundaries": bounds, "row_host_boundaries": bounds.cpu(), "row_longest": longest}
