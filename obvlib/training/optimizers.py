"""Muon for the hidden matrices of a small model that starts from nothing; book/negative_results.md
says what came before it.

A pretrained model is fine-tuned with AdamW, as in the paper, on fp32 masters of its bf16 weights
(`obvlib.training.masters`). Muon takes matrices only, so embeddings, norms and
biases stay with AdamW, and Trainer wants to see a single optimizer.
"""

from __future__ import annotations

import os
from typing import Any

import torch

from obvlib.training.muon import Muon

EMBEDDINGS = ("embed_tokens", "lm_head")  # matrices whose rows are looked up, not multiplied

NOTHING_TRAINED = (
    "no weight of the model is trained: unfreeze a part of it, or leave the training out"
)


class MuonAdamW(torch.optim.Optimizer):
    """Muon (Jordan et al. 2024) for the matrices of a model's layers and AdamW for all else, under
    one learning rate and schedule.

    An update of Muon's is scaled to the size that AdamW's has (Liu et al. 2025), so the learning
    rate means the same for both.
    """

    def __init__(self, model: torch.nn.Module, *, lr: float, weight_decay: float = 0.0) -> None:
        named = [
            (name, weight) for name, weight in model.named_parameters() if weight.requires_grad
        ]
        hidden = [
            weight
            for name, weight in named
            if weight.ndim == 2 and not any(e in name for e in EMBEDDINGS)
        ]
        chosen = {id(weight) for weight in hidden}
        others = [weight for _, weight in named if id(weight) not in chosen]
        if not named:
            raise ValueError(NOTHING_TRAINED)
        options: dict[str, Any] = {"lr": lr, "weight_decay": weight_decay}
        parts: list[torch.optim.Optimizer] = []
        if hidden:
            parts.append(Muon(hidden, **options))
        if others:
            parts.append(torch.optim.AdamW(others, fused=True, **options))
        self.parts = tuple(parts)
        super().__init__([weight for _, weight in named], options)
        self._share_groups()

    def _share_groups(self) -> None:
        """Share our groups with the parts, so that the schedule, which changes `lr` in ours,
        reaches theirs.
        """
        self.param_groups = [group for part in self.parts for group in part.param_groups]

    def step(self, closure: Any = None) -> Any:
        if closure is not None:
            raise ValueError("closure is given: compute the loss and its gradients before step()")
        for part in self.parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for part, saved in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(saved)
        self._share_groups()


def make(model: torch.nn.Module, config: Any) -> torch.optim.Optimizer | None:
    """Return the optimizer that a configuration names; None leaves it to Trainer.

    AdamW keeps fp32 masters of bf16 weights. Where FSDP or DeepSpeed shards the weights Trainer's
    own is used, on fp32 weights. Raises ValueError where no weight is to be trained.
    """
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    if not trained:
        raise ValueError(NOTHING_TRAINED)
    options = {"lr": config.learning_rate, "weight_decay": config.weight_decay}
    if config.optimizer == "muon":
        return MuonAdamW(model, **options)
    if weights_are_sharded() or all(weight.dtype == torch.float32 for weight in trained):
        return None
    from obvlib.training.masters import MasterAdamW

    return MasterAdamW(trained, **options)


def weights_are_sharded() -> bool:
    """Return whether `accelerate launch` was told to shard weights."""
    names = ("ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED")
    return any(os.environ.get(name, "false").lower() in ("true", "1") for name in names)


def gathers_layers() -> bool:
    """Return whether FSDP2 shards the weights: it gathers those of a module when that is called."""
    return weights_are_sharded() and os.environ.get("FSDP_VERSION", "1") == "2"
