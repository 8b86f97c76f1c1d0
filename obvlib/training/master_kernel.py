"""The Triton kernel of `MasterAdamW`: one pass over weight, gradient, moments and residual, 26
bytes a weight.

A kernel's arguments carry no annotations but Triton's own: it resolves names in them, and refuses
others (Triton 3.6).
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

BLOCK = 2048


@triton.jit
def _kernel(  # type: ignore[no-untyped-def]  # Triton reads the arguments
    weights, gradients, averages, squares, residuals, count,
    decay, new1, beta2, new2, step_size, correction, eps, BLOCK: tl.constexpr,
):  # fmt: skip
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = at < count
    upper = tl.load(weights + at, mask=inside, other=0).to(tl.int32)
    residual = tl.load(residuals + at, mask=inside, other=0).to(tl.int32)
    master = ((upper << 16) + residual).to(tl.float32, bitcast=True)
    gradient = tl.load(gradients + at, mask=inside, other=0.0).to(tl.float32)
    average = tl.load(averages + at, mask=inside, other=0.0)
    square = tl.load(squares + at, mask=inside, other=0.0)
    average += (gradient - average) * new1
    square = square * beta2 + gradient * gradient * new2
    master = master * decay - step_size * average / (tl.sqrt(square) / correction + eps)
    bits = master.to(tl.int32, bitcast=True)
    upper = (bits + 0x8000) >> 16
    tl.store(weights + at, upper.to(tl.int16), mask=inside)
    tl.store(residuals + at, (bits - (upper << 16)).to(tl.int16), mask=inside)
    tl.store(averages + at, average, mask=inside)
    tl.store(squares + at, square, mask=inside)


def update(
    weight: torch.Tensor,
    gradient: torch.Tensor,
    average: torch.Tensor,
    square: torch.Tensor,
    residual: torch.Tensor,
    *numbers: float,
) -> None:
    """Update one contiguous bf16 weight in place; `numbers` are those of `masters._numbers`."""
    grid = (triton.cdiv(weight.numel(), BLOCK),)
    _kernel[grid](
        weight.view(torch.int16), gradient, average, square, residual, weight.numel(), *numbers,
        BLOCK=BLOCK, num_warps=8,
    )  # fmt: skip
