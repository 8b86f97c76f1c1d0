"""Rotary embedding of queries and keys as one operator: a Triton kernel on CUDA, plain torch
elsewhere.

Compilers make slow code of the halves that it puts together, most of all in the backward pass,
which for the vision tower took a tenth of a training step. The backward pass is the same rotation
by the negative angle.
"""

from __future__ import annotations

import torch


@torch.library.custom_op("obv::rotate", mutates_args=())
def rotate(
    query: torch.Tensor, key: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, back: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Turn query and key (T, heads, dim) by the angles whose cosines and sines (T, dim) are given,
    their two halves alike; with `back` by the negative angles. Computed in float32.
    """
    if query.is_cuda:
        from obvlib.models.rotary_kernel import turn

        return turn(query, cos, sin, back), turn(key, cos, sin, back)
    return _turn_in_torch(query, cos, sin, back), _turn_in_torch(key, cos, sin, back)


@rotate.register_fake
def _rotate_fake(query, key, cos, sin, back):
    like = {"memory_format": torch.contiguous_format}
    return torch.empty_like(query, **like), torch.empty_like(key, **like)


def _save(ctx, inputs, output):
    _, _, cos, sin, ctx.back = inputs
    ctx.save_for_backward(cos, sin)


def _differentiate(ctx, query, key):
    cos, sin = ctx.saved_tensors
    return (*rotate(query, key, cos, sin, not ctx.back), None, None, None)


rotate.register_autograd(_differentiate, setup_context=_save)


def _turn_in_torch(
    x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, back: bool
) -> torch.Tensor:
    half = x.shape[-1] // 2
    cos, sin = cos[:, None, :half].float(), sin[:, None, :half].float() * (-1 if back else 1)
    first, second = x[..., :half].float(), x[..., half:].float()
    turned = torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)
    return turned.to(x.dtype).contiguous()
