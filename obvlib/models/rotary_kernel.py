"""The Triton kernel of `obvlib.models.rotary`: neighbouring threads read and write neighbouring
values of the halves of a head, several at once.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

ROWS = 32  # heads of a program


@triton.jit
def _kernel(  # type: ignore[no-untyped-def]  # Triton reads the arguments
    x, cos, sin, out, count, token_stride, head_stride, out_stride, angle_stride, sign,
    HEADS: tl.constexpr, HALF: tl.constexpr, WIDTH: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    row = (tl.program_id(0) * ROWS + tl.arange(0, ROWS))[:, None]
    at = tl.arange(0, WIDTH)[None, :]  # the power of two that holds a half
    inside = (row < count) & (at < HALF)
    token, head = (row // HEADS).to(tl.int64), row % HEADS
    angle = token * angle_stride + at
    c = tl.load(cos + angle, mask=inside, other=0.0).to(tl.float32)
    s = tl.load(sin + angle, mask=inside, other=0.0).to(tl.float32) * sign
    source = x + token * token_stride + head * head_stride + at
    first = tl.load(source, mask=inside, other=0.0).to(tl.float32)
    second = tl.load(source + HALF, mask=inside, other=0.0).to(tl.float32)
    target = out + token * out_stride + head * (2 * HALF) + at
    tl.store(target, (first * c - second * s).to(out.dtype.element_ty), mask=inside)
    tl.store(target + HALF, (second * c + first * s).to(out.dtype.element_ty), mask=inside)


def turn(
    x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, back: bool, out: torch.Tensor
) -> torch.Tensor:
    """Turn x (T, heads, dim) into `out`, whose heads lie side by side; return `out`."""
    tokens, heads, dim = x.shape
    if not x.numel():
        return out
    if x.stride(-1) != 1:
        x = x.contiguous()
    cos, sin = cos.contiguous(), sin.contiguous()
    _kernel[(triton.cdiv(tokens * heads, ROWS),)](
        x, cos, sin, out, tokens * heads, x.stride(0), x.stride(1), out.stride(0), cos.stride(0),
        -1.0 if back else 1.0, HEADS=heads, HALF=dim // 2,
        WIDTH=triton.next_power_of_2(dim // 2), ROWS=ROWS, num_warps=4,
    )  # fmt: skip
    return out
