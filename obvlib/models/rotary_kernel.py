"""The Triton kernel of `obvlib.models.rotary`: values in the order in which they lie in memory."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

BLOCK = 1024


@triton.jit
def _kernel(  # type: ignore[no-untyped-def]  # Triton reads the arguments
    x, cos, sin, out, count, token_stride, head_stride, out_stride, angle_stride, sign,
    WIDTH: tl.constexpr, DIM: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    flat = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = flat < count
    token, within = flat // WIDTH, flat % WIDTH
    head, at = within // DIM, within % DIM
    half: tl.constexpr = DIM // 2
    is_first = at < half
    angle = token * angle_stride + tl.where(is_first, at, at - half)
    c = tl.load(cos + angle, mask=inside, other=0.0).to(tl.float32)
    s = tl.load(sin + angle, mask=inside, other=0.0).to(tl.float32) * sign
    source = x + token * token_stride + head * head_stride
    own = tl.load(source + at, mask=inside, other=0.0).to(tl.float32)
    partner = tl.where(is_first, at + half, at - half)
    other = tl.load(source + partner, mask=inside, other=0.0).to(tl.float32)
    turned = own * c + tl.where(is_first, -other, other) * s
    tl.store(out + token * out_stride + within, turned.to(out.dtype.element_ty), mask=inside)


def turn(
    x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, back: bool, out: torch.Tensor
) -> torch.Tensor:
    """Turn x (T, heads, dim) into `out`, whose heads lie side by side; return `out`."""
    tokens, heads, dim = x.shape
    if x.stride(-1) != 1:
        x = x.contiguous()
    cos, sin = cos.contiguous(), sin.contiguous()
    count = tokens * heads * dim
    _kernel[(triton.cdiv(count, BLOCK),)](
        x, cos, sin, out, count, x.stride(0), x.stride(1), out.stride(0), cos.stride(0),
        -1.0 if back else 1.0, WIDTH=heads * dim, DIM=dim, BLOCK=BLOCK, num_warps=4,
    )  # fmt: skip
    return out
