"""AdamW for bf16 weights that keeps exact fp32 masters in four bytes a weight: the bf16 weight
itself and 16 residual bits.

At a learning rate of 1e-5 most steps are smaller than half the distance between neighbouring bf16
values: a weight that is only stored in bf16 rounds them away and never moves. A master in fp32
keeps them. Its upper half, rounded, is the bf16 weight that the model already has, so only the
difference is stored:

    master bits    0 01111111 0100110 | 1010000000000011
    weight (bf16)  0 01111111 0100111   rounded up here, because the lower half is 0x8000 or more
    residual       0xa003 - 0x10000 = -24573

The state of a weight is this residual (int16) and the two moments (fp32): with weight and gradient
14 bytes, where an fp32 copy beside the bf16 weight takes 16.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from obvlib.training.optimizers import NOTHING_TRAINED

CHUNK = 1 << 24  # weights updated at a time without Triton, so that temporaries stay small


class MasterAdamW(torch.optim.Optimizer):
    """AdamW (Loshchilov and Hutter 2019) on fp32 masters of bf16 weights; fp32 weights are their
    own masters.

    The update is that of `torch.optim.AdamW` on fp32 weights. After each step a bf16 weight is its
    master rounded to nearest, halves away from zero. On CUDA one Triton kernel reads and writes
    every value once; elsewhere the same arithmetic runs in torch. Weights and gradients of other
    types are refused with ValueError.
    """

    def __init__(
        self,
        params: Iterable[Any],
        *,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        params = [weight for weight in params if isinstance(weight, dict) or weight.requires_grad]
        if not params:
            raise ValueError(NOTHING_TRAINED)
        super().__init__(params, defaults)
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.dtype not in (torch.bfloat16, torch.float32):
                    raise ValueError(
                        f"a weight of shape {tuple(weight.shape)} is {weight.dtype}: load the model"
                        " in bfloat16 or float32"
                    )

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Update every weight that has a gradient."""
        if closure is not None:
            raise ValueError("closure is given: compute the loss and its gradients before step()")
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._update(weight, group)

    def _update(self, weight: torch.Tensor, group: dict[str, Any]) -> None:
        state = self.state[weight]
        if not state:
            state["step"] = 0
            like: dict[str, Any] = {"memory_format": torch.preserve_format}
            state["exp_avg"] = torch.zeros_like(weight, dtype=torch.float32, **like)
            state["exp_avg_sq"] = torch.zeros_like(weight, dtype=torch.float32, **like)
            if weight.dtype == torch.bfloat16:
                state["residual"] = torch.zeros_like(weight, dtype=torch.int16, **like)
        state["step"] += 1
        tensors: tuple[Any, ...] = (
            weight, weight.grad, state["exp_avg"], state["exp_avg_sq"], state.get("residual"),
        )  # fmt: skip
        numbers = _numbers(group, int(state["step"]))
        if weight.is_cuda and weight.dtype == torch.bfloat16 and _is_dense(tensors):
            from obvlib.training.master_kernel import update

            update(*tensors, *numbers)
        else:
            _update_in_torch(tensors, numbers)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state; torch would convert residuals and moments to the weights' type, which
        would destroy them.
        """
        super().load_state_dict(state_dict)
        saved = state_dict["state"]
        order = [weight for group in self.param_groups for weight in group["params"]]
        for index, weight in enumerate(order):
            for name, value in saved.get(index, {}).items():
                if torch.is_tensor(value):
                    self.state[weight][name] = value.detach().to(weight.device, copy=True)

    def masters(self) -> list[torch.Tensor]:
        """Return the fp32 masters of all weights, in the order of the parameter groups."""
        weights = [weight for group in self.param_groups for weight in group["params"]]
        return [
            join(weight.detach(), self.state[weight]["residual"])
            if "residual" in self.state[weight]
            else weight.detach().float()
            for weight in weights
        ]


def split(master: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Split fp32 into its nearest bf16 (halves away from zero) and the int16 residual that
    `join` adds back.
    """
    bits = master.view(torch.int32)
    upper = (bits + 0x8000) >> 16
    residual = (bits - (upper << 16)).to(torch.int16)
    return upper.to(torch.int16).view(torch.bfloat16), residual


def join(weight: torch.Tensor, residual: torch.Tensor) -> torch.Tensor:
    """Return the fp32 master of a bf16 weight and its residual, bit for bit."""
    bits = (weight.view(torch.int16).to(torch.int32) << 16) + residual.to(torch.int32)
    return bits.view(torch.float32)


def _numbers(group: dict[str, Any], step: int) -> tuple[float, ...]:
    """Return (decay, 1 - beta1, beta2, 1 - beta2, step size, root of the second bias correction,
    eps), computed in double precision.
    """
    beta1, beta2 = group["betas"]
    lr = float(group["lr"])
    return (
        1 - lr * group["weight_decay"],
        1 - beta1,
        beta2,
        1 - beta2,
        lr / (1 - beta1**step),
        (1 - beta2**step) ** 0.5,
        group["eps"],
    )


def _is_dense(tensors: tuple[torch.Tensor | None, ...]) -> bool:
    return all(tensor is None or tensor.is_contiguous() for tensor in tensors)


def _update_in_torch(tensors: tuple[torch.Tensor | None, ...], numbers: tuple[float, ...]) -> None:
    """Update one weight in slices of `CHUNK` values."""
    decay, new1, beta2, new2, step_size, correction, eps = numbers
    *_, residuals = tensors
    flat = [tensor.reshape(-1) for tensor in tensors if tensor is not None]
    for start in range(0, flat[0].numel(), CHUNK):
        part = slice(start, start + CHUNK)
        weight, gradient, average, square = (tensor[part] for tensor in flat[:4])
        residual = None if residuals is None else flat[4][part]
        gradient = gradient.float()
        average.lerp_(gradient, new1)
        square.mul_(beta2).addcmul_(gradient, gradient, value=new2)
        master = weight if residual is None else join(weight, residual)
        master.mul_(decay)
        master.addcdiv_(average, (square.sqrt() / correction).add_(eps), value=-step_size)
        if residual is not None:
            upper, rest = split(master)
            weight.copy_(upper)
            residual.copy_(rest)
