"""Rotary embedding of queries and keys as one operator: a Triton kernel on CUDA, plain torch
elsewhere.

Compilers make slow code of the halves that it puts together, most of all in the backward pass,
which for the vision tower took a tenth of a training step. The backward pass is the same rotation
by the negative angle.
"""

from __future__ import annotations

from typing import Any

import torch

from obvlib.models.kernels import attend, attend_backward, contiguous_like


@torch.library.custom_op("obv::rotate", mutates_args=())
def rotate(
    query: torch.Tensor, key: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, back: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Turn query and key (T, heads, dim) by the angles whose cosines and sines (T, dim) are given,
    their two halves alike; with `back` by the negative angles. Computed in float32.
    """
    return _turned(query, cos, sin, back), _turned(key, cos, sin, back)


@rotate.register_fake
def _rotate_fake(
    query: torch.Tensor, key: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, back: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    return contiguous_like(query), contiguous_like(key)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    _, _, cos, sin, ctx.back = inputs
    ctx.save_for_backward(cos, sin)


def _differentiate(ctx: Any, query: torch.Tensor, key: torch.Tensor) -> tuple[Any, ...]:
    cos, sin = ctx.saved_tensors
    return (*rotate(query, key, cos, sin, not ctx.back), None, None, None)


rotate.register_autograd(_differentiate, setup_context=_save)


@torch.library.custom_op("obv::attend_packed", mutates_args=())
def attend_packed(
    made: torch.Tensor,
    cos: torch.Tensor,
    sin: torch.Tensor,
    bounds: torch.Tensor,
    host_bounds: torch.Tensor,
    scale: float,
    kernel: str,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute `attend` without a causal mask on the query, key and value (T, 3, heads, dim) that
    one product made, query and key turned on the way: nothing else is kept for the backward pass.
    """
    query, key = (_turned(made[:, part], cos, sin, False) for part in (0, 1))
    return attend(query, key, made[:, 2], bounds, host_bounds, 0, False, scale, kernel)


@attend_packed.register_fake
def _attend_packed_fake(made: torch.Tensor, *rest: Any) -> tuple[torch.Tensor, torch.Tensor]:
    kernel = rest[-1]
    tokens, _, heads, dim = made.shape
    softmax: tuple[int, ...] = (0,) if kernel == "loop" else (heads, tokens)
    dtype = made.dtype if kernel == "loop" else torch.float32
    return made.new_empty(tokens, heads, dim), made.new_empty(softmax, dtype=dtype)


@torch.library.custom_op("obv::attend_packed_backward", mutates_args=())
def attend_packed_backward(
    gradient: torch.Tensor,
    made: torch.Tensor,
    cos: torch.Tensor,
    sin: torch.Tensor,
    out: torch.Tensor,
    softmax: torch.Tensor,
    bounds: torch.Tensor,
    host_bounds: torch.Tensor,
    scale: float,
    kernel: str,
) -> torch.Tensor:
    """Return the gradient of `made`."""
    query, key = (_turned(made[:, part], cos, sin, False) for part in (0, 1))
    saved = (gradient, query, key, made[:, 2], out, softmax)
    parts = attend_backward(*saved, bounds, host_bounds, 0, False, scale, kernel)
    whole = contiguous_like(made)
    for place, (part, angle) in enumerate(zip(parts, (sin, sin, None), strict=True)):
        _turned(part, cos, angle, True, whole[:, place])
    return whole


@attend_packed_backward.register_fake
def _attend_packed_backward_fake(
    gradient: torch.Tensor, made: torch.Tensor, *rest: Any
) -> torch.Tensor:
    return contiguous_like(made)


def _save_packed(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    made, cos, sin, bounds, host_bounds, *ctx.rest = inputs
    ctx.save_for_backward(made, cos, sin, *output, bounds, host_bounds)


def _differentiate_packed(ctx: Any, gradient: torch.Tensor, _: Any) -> tuple[Any, ...]:
    made = attend_packed_backward(gradient, *ctx.saved_tensors, *ctx.rest)
    return (made, *[None] * 6)


attend_packed.register_autograd(_differentiate_packed, setup_context=_save_packed)


def _turned(
    x: torch.Tensor,
    cos: torch.Tensor,
    sin: torch.Tensor | None,
    back: bool,
    out: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return x turned, into `out` where that is given; copied where there is no sine."""
    if out is None:
        out = contiguous_like(x)
    if sin is None:
        return out.copy_(x)
    if x.is_cuda:
        from obvlib.models.rotary_kernel import turn

        return turn(x, cos, sin, back, out)
    return _turn_in_torch(x, cos, sin, back, out)


def _turn_in_torch(
    x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, back: bool, out: torch.Tensor
) -> torch.Tensor:
    half, sign = x.shape[-1] // 2, -1.0 if back else 1.0
    cos, sin = cos[:, None, :half].float(), sin[:, None, :half].float()
    first, second = x[..., :half].float(), x[..., half:].float()
    out[..., :half] = torch.addcmul(first * cos, second, sin, value=-sign)
    out[..., half:] = torch.addcmul(second * cos, first, sin, value=sign)
    return out
