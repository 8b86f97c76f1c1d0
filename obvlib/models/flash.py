"""The CUDA kernels behind `obvlib.models.kernels`: forward and backward of torch's varlen flash
attention, flash-attn 2, flash-attn 4 and cuDNN, all called alike:
forward(query, key, value, seen) and backward(gradient, saved, seen).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:
    from obvlib.models.kernels import Spans

MAX_RUNS = 16  # above this many runs of equal lengths, cuDNN's calls would cost more than they save


class Seen(NamedTuple):
    """Which tokens see which (those of their own sample, or with `causal` the earlier ones), and
    what the scores are multiplied by.
    """

    spans: Spans
    causal: bool
    scale: float


class Saved(NamedTuple):
    """What the backward pass needs: query, key, value and output (T, heads, dim), and the softmax's
    logarithms (heads, T).
    """

    query: Tensor
    key: Tensor
    value: Tensor
    out: Tensor
    softmax: Tensor


def varlen_forward(query: Tensor, key: Tensor, value: Tensor, seen: Seen) -> tuple[Tensor, Tensor]:
    spans, causal, scale = seen
    lengths = (spans.bounds, spans.bounds, spans.longest, spans.longest)
    out, softmax, *_ = torch.ops.aten._flash_attention_forward(
        query, key, value, *lengths, 0.0, causal, False, scale=scale
    )
    return out, softmax


def varlen_backward(gradient: Tensor, saved: Saved, seen: Seen) -> Sequence[Tensor]:
    (query, key, value, out, softmax), (spans, causal, scale) = saved, seen
    lengths = (spans.bounds, spans.bounds, spans.longest, spans.longest)
    no_dropout = torch.zeros(2, dtype=torch.uint64, device=query.device)
    unused = torch.empty(0, device=query.device)
    return torch.ops.aten._flash_attention_backward(
        gradient, query, key, value, out, softmax, *lengths, 0.0, causal, no_dropout, unused,
        scale=scale,
    )  # fmt: skip


def flash2_forward(query: Tensor, key: Tensor, value: Tensor, seen: Seen) -> tuple[Tensor, Tensor]:
    from flash_attn.flash_attn_interface import _flash_attn_varlen_forward

    spans, causal, scale = seen
    lengths = (spans.bounds, spans.bounds, spans.longest, spans.longest)
    out, softmax, *_ = _flash_attn_varlen_forward(
        query, key, value, *lengths, dropout_p=0.0, softmax_scale=scale, causal=causal
    )
    return out, softmax


def flash2_backward(gradient: Tensor, saved: Saved, seen: Seen) -> Sequence[Tensor]:
    from flash_attn.flash_attn_interface import _flash_attn_varlen_backward

    (query, key, value, out, softmax), (spans, causal, scale) = saved, seen
    parts = [torch.empty_like(tensor) for tensor in (query, key, value)]
    lengths = (spans.bounds, spans.bounds, spans.longest, spans.longest)
    _flash_attn_varlen_backward(
        gradient, query, key, value, out, softmax, *parts, *lengths, dropout_p=0.0,
        softmax_scale=scale, causal=causal, window_size_left=-1, window_size_right=-1,
        softcap=0.0, alibi_slopes=None, deterministic=False,
    )  # fmt: skip
    return parts


def flash4_forward(query: Tensor, key: Tensor, value: Tensor, seen: Seen) -> tuple[Tensor, Tensor]:
    """Attend to equally long samples as a batch, which the kernel computes sooner than mixed
    lengths.
    """
    from flash_attn.cute.interface import _flash_attn_fwd

    spans, causal, scale = seen
    options = dict(softmax_scale=scale, causal=causal, return_lse=True)
    if shape := _batch_shape(spans):
        batch = [tensor.unflatten(0, shape) for tensor in (query, key, value)]
        out, softmax = _flash_attn_fwd(*batch, **options)[:2]  # softmax (batch, heads, length)
        return out.flatten(0, 1), softmax.transpose(0, 1).reshape(query.shape[1], -1)
    out, softmax, *_ = _flash_attn_fwd(query, key, value, **_flash4_lengths(spans), **options)
    return out, softmax


def flash4_backward(gradient: Tensor, saved: Saved, seen: Seen) -> Sequence[Tensor]:
    """Its gradient of the query is wrong on Hopper for head sizes that are not a multiple of 32,
    such as the vision tower's 80 (flash-attn 4 beta 36; its pull request 2896): cuDNN takes those.
    """
    from flash_attn.cute.interface import _flash_attn_bwd

    (query, key, value, out, softmax), (spans, causal, scale) = saved, seen
    if query.shape[-1] % 32:
        return cudnn_backward(gradient, saved, seen)
    if shape := _batch_shape(spans):
        batch = [tensor.unflatten(0, shape) for tensor in (query, key, value, out, gradient)]
        softmax = softmax.unflatten(1, shape).transpose(0, 1).contiguous()
        parts = _flash_attn_bwd(*batch, softmax, scale, causal)[:3]
        return [part.flatten(0, 1) for part in parts]
    lengths = _flash4_lengths(spans)
    return _flash_attn_bwd(query, key, value, out, gradient, softmax, scale, causal, **lengths)[:3]


def _batch_shape(spans: Spans) -> tuple[int, int] | None:
    """Return (number, length) where the CPU knows that all samples are equally long."""
    if spans.host_bounds is None or len(runs := spans.runs()) != 1:
        return None
    return runs[0][1], runs[0][2]


def _flash4_lengths(spans: Spans) -> dict[str, Any]:
    """Return the boundaries and the longest sample as plain integers that flash-attn 4 wants."""
    return dict(
        cu_seqlens_q=spans.bounds, cu_seqlens_k=spans.bounds,
        max_seqlen_q=spans.longest, max_seqlen_k=spans.longest,
    )  # fmt: skip


def cudnn_forward(query: Tensor, key: Tensor, value: Tensor, seen: Seen) -> tuple[Tensor, Tensor]:
    """Call once for each run of equal lengths. Each new length costs cuDNN a plan, so the
    texts' many lengths, and rows of many runs, go to torch's varlen kernel.
    """
    spans, causal, scale = seen
    runs = spans.runs()
    if causal or len(runs) > MAX_RUNS:
        return varlen_forward(query, key, value, seen)
    outs, softmaxes = [], []
    for start, count, length in runs:
        part = slice(start, start + count * length)
        batch = [_heads_first(t[part], count, length) for t in (query, key, value)]
        made, logs, *_ = torch.ops.aten._scaled_dot_product_cudnn_attention(
            *batch, None, True, 0.0, causal, False, scale=scale
        )
        outs.append(made.transpose(1, 2).flatten(0, 1))
        softmaxes.append(logs.view(count, -1, length).transpose(0, 1).flatten(1))
    return _joined(outs, 0), _joined(softmaxes, 1)


def cudnn_backward(gradient: Tensor, saved: Saved, seen: Seen) -> Sequence[Tensor]:
    (query, key, value, out, softmax), (spans, causal, scale) = saved, seen
    runs = spans.runs()
    if causal or len(runs) > MAX_RUNS:
        return varlen_backward(gradient, saved, seen)
    seed = torch.zeros((), dtype=torch.int64, device=query.device)
    parts = []
    for start, count, length in runs:
        part = slice(start, start + count * length)
        batch = [_heads_first(t[part], count, length) for t in (gradient, query, key, value, out)]
        logs = softmax[:, part].unflatten(1, (count, length)).transpose(0, 1)[..., None]
        made = torch.ops.aten._scaled_dot_product_cudnn_attention_backward(
            *batch, logs.contiguous(), seed, seed, None, None, None, length, length, 0.0, causal,
            scale=scale,
        )  # fmt: skip
        parts.append([new.transpose(1, 2).flatten(0, 1) for new in made])
    return [_joined(part, 0) for part in zip(*parts, strict=True)]


def _joined(parts: Sequence[Tensor], dim: int) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(tuple(parts), dim)


def _heads_first(tensor: Tensor, count: int, length: int) -> Tensor:
    """Turn (count * length, heads, dim) into (count, heads, length, dim), without a copy."""
    return tensor.unflatten(0, (count, length)).transpose(1, 2)


FORWARD = {
    "varlen": varlen_forward,
    "flash2": flash2_forward,
    "flash4": flash4_forward,
    "cudnn": cudnn_forward,
}
BACKWARD = {
    "varlen": varlen_backward,
    "flash2": flash2_backward,
    "flash4": flash4_backward,
    "cudnn": cudnn_backward,
}
