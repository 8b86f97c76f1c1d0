"""Muon with its iteration in fp32 on a CPU, and matrices of one shape taken together.

torch's own iterates in bf16, which a processor without instructions for it computes eight times
slower than fp32. The step is otherwise torch's, to which tests hold it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic iteration (Jordan et al. 2024)
NUM_ITERATIONS = 5
EPS = 1e-7


class Muon(torch.optim.Optimizer):
    """Momentum whose update is made orthogonal, with Nesterov's look ahead and decoupled decay.

    An update is scaled to the size that AdamW's has (Liu et al. 2025). Takes matrices only.
    """

    def __init__(
        self,
        params: Sequence[torch.Tensor],
        *,
        lr: float,
        weight_decay: float = 0.0,
        momentum: float = 0.95,
    ) -> None:
        if any(weight.ndim != 2 for weight in params):
            raise ValueError("params: Muon takes matrices only; leave other weights to AdamW")
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Move every matrix that has a gradient."""
        for group in self.param_groups:
            by_shape: dict[tuple[int, ...], list[torch.Tensor]] = {}
            for weight in group["params"]:
                if weight.grad is not None:
                    by_shape.setdefault(tuple(weight.shape), []).append(weight)
            for weights in by_shape.values():
                self._move(weights, group)

    def _move(self, weights: list[torch.Tensor], group: dict[str, Any]) -> None:
        momentum, updates = group["momentum"], []
        for weight in weights:
            state = self.state[weight]
            if not state:
                state["momentum_buffer"] = torch.zeros_like(weight)
            gradient = weight.grad
            assert gradient is not None  # `step` passes only weights that have one
            state["momentum_buffer"].lerp_(gradient, 1 - momentum)
            updates.append(gradient.lerp(state["momentum_buffer"], momentum))
        size = 0.2 * math.sqrt(max(weights[0].shape))
        for weight, update in zip(weights, orthogonal(torch.stack(updates)), strict=True):
            weight.mul_(1 - group["lr"] * group["weight_decay"])
            weight.add_(update, alpha=-group["lr"] * size)


def orthogonal(matrices: torch.Tensor) -> torch.Tensor:
    """Return matrices (N, H, W) with singular values near 1 and the singular vectors of the input.

    Iterates in fp32 on a CPU and in bf16 on a GPU.
    """
    a, b, c = COEFFICIENTS
    x = matrices.bfloat16() if matrices.is_cuda else matrices.float()
    is_tall = x.shape[1] > x.shape[2]
    x = x.mT if is_tall else x
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=EPS)
    for _ in range(NUM_ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.mT if is_tall else x).to(matrices.dtype)
