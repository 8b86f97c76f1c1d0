"""Attention for packed rows: every sample sees itself and nothing else, and no T x T mask is ever
built.

Four kernels share one calling convention, (T, heads, dim) and the samples' boundaries: torch's own
varlen attention on CUDA, flash-attn 2 or 4 where installed, and a loop over samples that runs
anywhere. They are registered with transformers under names that contain "flash": only then does the
vision tower hand over its boundaries, one per temporal patch, instead of calling attention once for
each.

On a CPU the loop takes about a tenth of the time of a block mask for a row of 2,048 tokens
(tests/benchmarks/attention.py). Padded batches and decoding, which have a mask or a cache, go to
the library's sdpa.
"""

from __future__ import annotations

import functools
import importlib.util
import inspect
import weakref
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

CHOICES = ("auto", "varlen", "flash2", "flash4", "loop", "sdpa")


def use(model: Any, choice: str = "auto") -> str:
    """Switch a built model, text and vision alike, to an attention for packed rows; return the
    choice made.

    "auto" takes flash-attn 4 where it is installed and the GPU is a Hopper or newer, else torch's
    varlen kernel on CUDA, else the loop. Call it after the model is built and moved: transformers
    refuses unknown flash names while building. ValueError for a choice that this machine cannot
    run.
    """
    if choice not in CHOICES:
        raise ValueError(f"attention {choice!r}: use one of {', '.join(CHOICES)}")
    device = next(model.parameters()).device
    if choice == "auto":
        choice = _best(device)
    if choice != "sdpa":
        _check_available(choice, device)
        _register(choice)
    name = choice if choice == "sdpa" else f"obv_flash_{choice}"
    for module in model.modules():
        config = getattr(module, "config", None)
        if hasattr(config, "_attn_implementation_internal"):
            config._attn_implementation_internal = name
    return choice


def _best(device: torch.device) -> str:
    if device.type != "cuda":
        return "loop"
    hopper = torch.cuda.get_device_capability(device)[0] >= 9
    return "flash4" if hopper and _installed("flash_attn.cute") else "varlen"


def _check_available(choice: str, device: torch.device) -> None:
    package = {"flash2": "flash_attn.flash_attn_interface", "flash4": "flash_attn.cute"}.get(choice)
    if package and not _installed(package):
        raise ValueError(
            f"attention {choice!r} needs the package with {package}: install it, or use 'varlen' or"
            " 'auto'"
        )
    if choice != "loop" and device.type != "cuda":
        raise ValueError(
            f"attention {choice!r} runs on CUDA, the model is on {device.type}: use 'loop' or"
            " 'auto'"
        )


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


@functools.cache
def _register(choice: str) -> None:
    from transformers import AttentionInterface, AttentionMaskInterface

    make = {
        "varlen": _varlen_kernel,
        "flash2": _flash2_kernel,
        "flash4": _flash4_kernel,
        "loop": lambda: loop_kernel,
    }
    kernel = make[choice]()
    AttentionInterface.register(f"obv_flash_{choice}", functools.partial(_attend, kernel))
    AttentionMaskInterface.register(f"obv_flash_{choice}", _mask)


def _mask(**arguments: Any) -> torch.Tensor | None:
    """No mask for whole rows; for padded batches and for decoding with a cache the library's own."""
    from transformers.masking_utils import sdpa_mask

    whole_rows = (
        arguments["q_length"] == arguments["kv_length"] and arguments.get("q_offset", 0) == 0
    )
    if arguments.get("attention_mask") is None and whole_rows:
        return None
    return sdpa_mask(**arguments)


def _attend(
    kernel: Callable,
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
    """The function that transformers calls in each layer; returns (B, T, H, D)."""
    if attention_mask is not None or query.shape[2] != key.shape[2]:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        return sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, is_causal=is_causal
        )
    causal = getattr(module, "is_causal", True) if is_causal is None else is_causal
    batch, _, length, _ = query.shape
    if "cu_seq_lens_q" in arguments:
        bounds, longest = arguments["cu_seq_lens_q"], int(arguments["max_length_q"])
    elif "row_boundaries" in arguments:
        bounds, longest = arguments["row_boundaries"], arguments["row_longest"]
    else:
        bounds, longest = boundaries(position_ids, batch, length, query.device)
    if kernel is not loop_kernel and query.dtype not in (torch.bfloat16, torch.float16):
        kernel = loop_kernel  # flash kernels know half precision only
    flat = [tensor.transpose(1, 2).flatten(0, 1) for tensor in (query, key, value)]  # (B * T, H, D)
    out = kernel(*flat, bounds, longest, causal=causal, scale=scaling)
    return out.unflatten(0, (batch, length)), None


_last_boundaries: tuple[Any, torch.Tensor, int] | None = None


def boundaries(
    position_ids: torch.Tensor | None, batch: int, length: int, device: torch.device
) -> tuple[torch.Tensor, int]:
    """Where samples begin in B rows of T tokens laid end to end: (N + 1,) int32 ending in B * T,
    and the longest sample.

    A sample begins where its text position is 0; without position_ids each row is one sample. All
    layers of a forward pass ask with the same tensor, so the answer for the last one is kept:
    asking a GPU costs a wait.
    """
    global _last_boundaries
    if position_ids is None:
        return torch.arange(batch + 1, dtype=torch.int32, device=device) * length, length
    if _last_boundaries is not None and _last_boundaries[0]() is position_ids:
        return _last_boundaries[1:]
    begins = position_ids.expand(batch, length) == 0
    begins[:, 0] = True
    starts = begins.flatten().nonzero().flatten()
    bounds = torch.cat([starts, starts.new_tensor([batch * length])]).to(torch.int32)
    longest = int(bounds.diff().max())
    _last_boundaries = (weakref.ref(position_ids), bounds, longest)
    return bounds, longest


def row_arguments(position_ids: torch.Tensor) -> dict[str, Any]:
    """The boundaries of a collated row as model arguments: with them compiled layers need not look
    into position_ids (4, B, T).
    """
    _, batch, length = position_ids.shape
    bounds, longest = boundaries(position_ids[0], batch, length, position_ids.device)
    return {"row_boundaries": bounds, "row_longest": longest}


def loop_kernel(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    bounds: torch.Tensor,
    longest: int,
    *,
    causal: bool,
    scale: float | None,
) -> torch.Tensor:
    """One sdpa call per sample, or a single one where all are equally long, as a video's temporal
    patches are. (T, H, D) → (T, H, D).
    """
    lengths = bounds.diff().tolist()
    options = dict(is_causal=causal, scale=scale, enable_gqa=query.shape[1] != key.shape[1])
    if len(set(lengths)) == 1:
        heads_first = [
            tensor.unflatten(0, (len(lengths), longest)).transpose(1, 2)
            for tensor in (query, key, value)
        ]
        return F.scaled_dot_product_attention(*heads_first, **options).transpose(1, 2).flatten(0, 1)
    samples = zip(*(tensor.split(lengths) for tensor in (query, key, value)), strict=True)
    outputs = [
        F.scaled_dot_product_attention(*(part.transpose(0, 1)[None] for part in sample), **options)[
            0
        ]
        for sample in samples
    ]
    return torch.cat(outputs, dim=1).transpose(0, 1)


def _varlen_kernel() -> Callable:
    """torch.nn.attention.varlen: flash attention without an extra package, CUDA and half precision
    only.
    """
    from torch.nn.attention.varlen import varlen_attn

    known = inspect.signature(
        varlen_attn
    ).parameters  # torch 2.10 says is_causal, later releases window_size and enable_gqa
    by_window, shares_keys = "window_size" in known, "enable_gqa" in known

    def kernel(query, key, value, bounds, longest, *, causal, scale) -> torch.Tensor:
        options = (
            {"window_size": (-1, 0) if causal else (-1, -1)} if by_window else {"is_causal": causal}
        )
        if query.shape[1] != key.shape[1]:
            if shares_keys:
                options["enable_gqa"] = True
            else:
                groups = query.shape[1] // key.shape[1]
                key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
        return varlen_attn(
            query, key, value, bounds, bounds, longest, longest, scale=scale, **options
        )

    return kernel


def _flash2_kernel() -> Callable:
    """flash-attn 2, where it has been compiled."""
    from flash_attn.flash_attn_interface import flash_attn_varlen_func

    def kernel(query, key, value, bounds, longest, *, causal, scale) -> torch.Tensor:
        lengths = (bounds, bounds, longest, longest)
        return flash_attn_varlen_func(
            query, key, value, *lengths, softmax_scale=scale, causal=causal
        )

    return kernel


def _flash4_kernel() -> Callable:
    """flash-attn 4, called directly: it wants plain integers for the lengths, which the library's
    own call did not give.
    """
    from flash_attn.cute import flash_attn_varlen_func

    def kernel(query, key, value, bounds, longest, *, causal, scale) -> torch.Tensor:
        lengths = dict(
            cu_seqlens_q=bounds, cu_seqlens_k=bounds, max_seqlen_q=longest, max_seqlen_k=longest
        )
        out = flash_attn_varlen_func(
            query, key, value, **lengths, softmax_scale=scale, causal=causal
        )
        return out[0] if isinstance(out, tuple) else out

    return kernel
