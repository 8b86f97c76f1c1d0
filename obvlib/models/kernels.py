"""Attention over samples laid end to end, as one operator that compiled layers can hold and
checkpointing can name.

In: query (T, heads, dim), key and value (T, key heads, dim) and the samples' boundaries. Out: the
same for the output, and what the backward pass needs of the softmax. Five kernels compute it:

    varlen   torch's own flash attention 2, any lengths                          CUDA
    flash2   the package flash-attn, any lengths                                 CUDA
    flash4   the package flash-attn-4, any lengths, Hopper and newer             CUDA
    cudnn    cuDNN's, one call for each run of equally long samples              CUDA
    loop     torch's scaled_dot_product_attention, one call for each sample      anywhere

Flash kernels know half precision only. In another type they raise ValueError: a silent fallback to
the loop would cost a GPU most of its speed.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F

from obvlib.models.flash import BACKWARD, FORWARD, Saved, Seen

KERNELS = ("varlen", "flash2", "flash4", "cudnn", "loop")
HALF = (torch.bfloat16, torch.float16)


@torch.library.custom_op("obv::attend", mutates_args=())
def attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    bounds: torch.Tensor,
    host_bounds: torch.Tensor | None,
    longest: int,
    causal: bool,
    scale: float,
    kernel: str,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the output (T, heads, dim) and the softmax's logarithms for the backward pass.

    `bounds` (N + 1,) int32 lies on the device of the query, `host_bounds` is the same on the CPU
    and spares the wait for a copy; where it is None, `longest` is the longest sample.
    """
    spans = Spans(bounds, host_bounds, longest)
    if kernel == "loop":
        out = loop(query, key, value, spans.lengths, causal=causal, scale=scale)
        return out.contiguous(), query.new_empty(0)
    if query.dtype not in HALF or key.dtype != query.dtype or value.dtype != query.dtype:
        raise ValueError(
            f"attention {kernel!r} got {query.dtype}, {key.dtype} and {value.dtype}: it computes in"
            " bfloat16; cast the rotated queries and keys, or use 'loop' for float32"
        )
    out, softmax = FORWARD[kernel](query, key, value, Seen(spans, causal, scale))
    return out.contiguous(), softmax.contiguous()


@attend.register_fake
def _attend_fake(query: torch.Tensor, *rest: Any) -> tuple[torch.Tensor, torch.Tensor]:
    kernel = rest[-1]
    tokens, heads, _ = query.shape
    softmax: tuple[int, ...] = (0,) if kernel == "loop" else (heads, tokens)
    dtype = query.dtype if kernel == "loop" else torch.float32
    return contiguous_like(query), query.new_empty(softmax, dtype=dtype)


@torch.library.custom_op("obv::attend_backward", mutates_args=())
def attend_backward(
    gradient: torch.Tensor,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    out: torch.Tensor,
    softmax: torch.Tensor,
    bounds: torch.Tensor,
    host_bounds: torch.Tensor | None,
    longest: int,
    causal: bool,
    scale: float,
    kernel: str,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the gradients of query, key and value."""
    seen = Seen(Spans(bounds, host_bounds, longest), causal, scale)
    saved = Saved(query, key, value, out, softmax)
    backward = _loop_backward if kernel == "loop" else BACKWARD[kernel]
    d_query, d_key, d_value = backward(gradient.contiguous(), saved, seen)
    return d_query.contiguous(), d_key.contiguous(), d_value.contiguous()


@attend_backward.register_fake
def _attend_backward_fake(
    gradient: torch.Tensor, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *rest: Any
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return contiguous_like(query), contiguous_like(key), contiguous_like(value)


def contiguous_like(tensor: torch.Tensor) -> torch.Tensor:
    """Return an uninitialised contiguous tensor of the same shape, type and device."""
    return torch.empty_like(tensor, memory_format=torch.contiguous_format)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    query, key, value, bounds, host_bounds, *rest = inputs
    ctx.save_for_backward(query, key, value, *output, bounds, host_bounds)
    ctx.rest = rest


def _differentiate(ctx: Any, gradient: torch.Tensor, _: Any) -> tuple[Any, ...]:
    return (*attend_backward(gradient, *ctx.saved_tensors, *ctx.rest), *[None] * 6)


attend.register_autograd(_differentiate, setup_context=_save)


MAX_ERROR = 0.02  # of bf16 against fp32; right kernels measured 0.001 to 0.003


@functools.cache
def check_gradients(
    kernel: str, heads: int, key_heads: int, dim: int, causal: bool, device: str = "cuda"
) -> dict[str, float]:
    """Compare a kernel with the textbook's attention in float32 on two samples of random values,
    and return the relative errors of output, d_query, d_key and d_value.

    Raises ValueError where one is above `MAX_ERROR`: flash-attn 4 beta 36 silently gave a wrong
    d_query for some head sizes. Equal lengths stand for the vision tower, others for texts.
    """
    lengths = [256, 384] if causal else [256, 256]
    host = torch.tensor([0, *lengths], dtype=torch.int32).cumsum(0, dtype=torch.int32)
    seen = (host.to(device), host, 0, causal, dim**-0.5)
    with torch.random.fork_rng(devices=[] if device == "cpu" else None):
        torch.manual_seed(0)
        shapes = [(sum(lengths), num, dim) for num in (heads, key_heads, key_heads, heads)]
        values = [torch.randn(shape, device=device) for shape in shapes]
    rounded = [value.bfloat16() for value in values]
    errors = [
        float((mine.float() - right).norm() / right.norm())
        for mine, right in zip(
            _passed(rounded, seen, kernel),
            _passed([value.float() for value in rounded], seen, "loop"),
            strict=True,
        )
    ]
    found = dict(zip(("output", "d_query", "d_key", "d_value"), errors, strict=True))
    if wrong := {name: e for name, e in found.items() if not e <= MAX_ERROR}:
        told = ", ".join(f"{name} by {error:.1%}" for name, error in wrong.items())
        raise ValueError(
            f"attention {kernel!r} computes wrong values here for heads of {dim}: {told} off;"
            " set attention to 'varlen', and report it to the kernel's project"
        )
    return found


def _passed(values: Sequence[torch.Tensor], seen: tuple[Any, ...], kernel: str) -> list[Any]:
    """Return the output and the gradients of query, key and value."""
    *parts, gradient = values
    out, softmax = attend(*parts, *seen, kernel)
    return [out, *attend_backward(gradient, *parts, out, softmax, *seen, kernel)]


class Spans:
    """Boundaries of samples on the device, and, asked for only where they are needed, their lengths
    on the CPU.
    """

    def __init__(self, bounds: torch.Tensor, host_bounds: torch.Tensor | None, longest: int):
        self.bounds, self.host_bounds, self._longest = bounds, host_bounds, longest

    @property
    def lengths(self) -> list[int]:
        host = self.bounds if self.host_bounds is None else self.host_bounds
        return host.diff().tolist()

    @property
    def longest(self) -> int:
        return self._longest or max(self.lengths)

    def runs(self) -> list[tuple[int, int, int]]:
        """Return (first token, number, length) of each run of equally long samples."""
        runs, start = [], 0
        for length, group in itertools.groupby(self.lengths):
            count = len(list(group))
            runs.append((start, count, length))
            start += count * length
        return runs


def loop(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    lengths: Sequence[int],
    *,
    causal: bool,
    scale: float | None,
) -> torch.Tensor:
    """Call sdpa once per sample, or once in all where all are equally long, as a video's
    temporal patches are. (T, H, D) → (T, H, D).
    """
    grouped = query.shape[1] != key.shape[1]
    attention = functools.partial(
        F.scaled_dot_product_attention, is_causal=causal, scale=scale, enable_gqa=grouped
    )
    if len(set(lengths)) == 1:
        heads_first = [
            tensor.unflatten(0, (len(lengths), lengths[0])).transpose(1, 2)
            for tensor in (query, key, value)
        ]
        return attention(*heads_first).transpose(1, 2).flatten(0, 1)
    samples = zip(*(tensor.split(list(lengths)) for tensor in (query, key, value)), strict=True)
    outputs = [attention(*(part.transpose(0, 1)[None] for part in sample))[0] for sample in samples]
    return torch.cat(outputs, dim=1).transpose(0, 1)


def attend_at(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    places: torch.Tensor,
    host_bounds: torch.Tensor,
    scale: float,
) -> torch.Tensor:
    """Return the causal attention of some tokens only: queries (K, heads, dim) of the tokens
    `places` (K,), ascending, over the keys and values (T, key heads, dim) of their own samples. (K,
    heads, dim).
    """
    bounds = host_bounds.to(places).long()
    sample = torch.searchsorted(bounds, places, right=True) - 1  # (K,)
    seen, within = sample.unique_consecutive(return_counts=True)
    first = torch.repeat_interleave(within.cumsum(0) - within, within)
    row = torch.repeat_interleave(torch.arange(len(seen)), within)
    column = torch.arange(len(places)) - first
    starts, lengths = bounds[seen], (bounds[seen + 1] - bounds[seen])
    steps = torch.arange(int(lengths.max()))
    tokens = (starts[:, None] + steps).clamp(max=len(key) - 1)  # (N, longest)
    shape = (len(seen), int(within.max()))
    at = torch.zeros(shape, dtype=torch.long).index_put((row, column), places - bounds[sample])
    mask = (steps <= at[..., None])[:, None]  # (N, 1, queries, longest)
    queries = query.new_zeros(*shape, *query.shape[1:]).index_put((row, column), query)
    keys, values = (tensor[tokens].transpose(1, 2) for tensor in (key, value))
    out = F.scaled_dot_product_attention(
        queries.transpose(1, 2), keys, values, mask, scale=scale, enable_gqa=True
    )
    return out.transpose(1, 2)[row, column]


def _loop_backward(gradient: torch.Tensor, saved: Saved, seen: Seen) -> Sequence[torch.Tensor]:
    """Return the textbook's gradients, sample by sample, in the type of the query."""
    (query, key, value, *_), (spans, causal, scale) = saved, seen
    groups = query.shape[1] // key.shape[1]
    parts = []
    for sample in zip(
        *(t.split(spans.lengths) for t in (gradient, query, key, value)), strict=True
    ):
        d_out, q, k, v = (tensor.transpose(0, 1) for tensor in sample)  # (heads, length, dim)
        k, v = k.repeat_interleave(groups, 0), v.repeat_interleave(groups, 0)
        scores = q @ k.transpose(1, 2) * scale
        if causal:
            ahead = torch.ones(scores.shape[1:], dtype=torch.bool, device=q.device).triu(1)
            scores = scores.masked_fill(ahead, float("-inf"))
        share = scores.softmax(-1)
        d_share = d_out @ v.transpose(1, 2)
        d_scores = share * (d_share - (share * d_share).sum(-1, keepdim=True)) * scale
        made = d_scores @ k, d_scores.transpose(1, 2) @ q, share.transpose(1, 2) @ d_out
        d_key, d_value = (t.unflatten(0, (-1, groups)).sum(1) for t in made[1:])
        parts.append([t.transpose(0, 1) for t in (made[0], d_key, d_value)])
    return [torch.cat(part) for part in zip(*parts, strict=True)]
