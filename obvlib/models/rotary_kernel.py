"""The Triton kernel of `obvlib.models.rotary`: one program a token, all its heads."""

from __future__ import annotations

import torch
import triton
import triton.language as tl


@triton.jit
def _kernel(
    x, cos, sin, out, token_stride, head_stride, angle_stride, heads, half, sign,
    HEADS: tl.constexpr, HALF: tl.constexpr,
):  # fmt: skip
    token = tl.program_id(0).to(tl.int64)
    head = tl.arange(0, HEADS)[:, None]
    at = tl.arange(0, HALF)[None, :]
    inside = (head < heads) & (at < half)
    angle = token * angle_stride + at
    c = tl.load(cos + angle, mask=at < half, other=0.0).to(tl.float32)
    s = tl.load(sin + angle, mask=at < half, other=0.0).to(tl.float32) * sign
    source = x + token * token_stride + head * head_stride + at
    first = tl.load(source, mask=inside, other=0.0).to(tl.float32)
    second = tl.load(source + half, mask=inside, other=0.0).to(tl.float32)
    target = out + token * heads * half * 2 + head * half * 2 + at
    tl.store(target, (first * c - second * s).to(out.dtype.element_ty), mask=inside)
    tl.store(target + half, (second * c + first * s).to(out.dtype.element_ty), mask=inside)


def turn(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, back: bool) -> torch.Tensor:
    """Return x (T, heads, dim) turned, contiguous; its last dimension must be contiguous."""
    tokens, heads, dim = x.shape
    if x.stride(-1) != 1:
        x = x.contiguous()
    cos, sin = cos.contiguous(), sin.contiguous()
    out = torch.empty((tokens, heads, dim), dtype=x.dtype, device=x.device)
    half = dim // 2
    _kernel[(tokens,)](
        x, cos, sin, out, x.stride(0), x.stride(1), cos.stride(0), heads, half,
        -1.0 if back else 1.0,
        HEADS=triton.next_power_of_2(heads), HALF=triton.next_power_of_2(half), num_warps=4,
    )  # fmt: skip
    return out
