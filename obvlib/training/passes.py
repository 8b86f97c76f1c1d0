"""Which forward and backward pass a run takes, and how it is said.

The packed pass (`obvlib.models.packed_forward`) is taken wherever it can run: it gives the loss and
gradients of the model's own pass within rounding, sooner. A model with adapters, with sharded
weights or of another family takes its own pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from obvlib.inputs import collate
from obvlib.models.packed_forward import Fast, check_model, install
from obvlib.training.loading import FastRow
from obvlib.training.optimizers import weights_are_sharded

if TYPE_CHECKING:
    from obvlib.inputs import ModelInput
    from obvlib.models import Bundle
    from obvlib.training.config import TrainConfig


def packed_pass(bundle: Bundle, config: TrainConfig) -> Fast | None:
    """Return the settings of the packed pass for this machine, or None where the model's own pass
    is taken.

    Raises ValueError, with the reason, where `config.packed_pass` asks for it and it cannot run.
    """
    if config.packed_pass is False:
        return None
    problem = _problem(bundle, config)
    if problem and config.packed_pass:
        raise ValueError(f"packed_pass is true, but {problem}; leave packed_pass out")
    if problem:
        return None
    text, vision = bundle.model.config.get_text_config(), bundle.model.config.vision_config
    keep = "most" if config.gradient_checkpointing else "all"
    return Fast(
        attention=config.attention,
        compiles=bundle.model.device.type == "cuda",
        text=(keep,) * text.num_hidden_layers,
        vision=(keep,) * vision.depth,
    )


def _problem(bundle: Bundle, config: TrainConfig) -> str:
    """Say why the packed pass cannot run; empty where it can."""
    import torch

    if config.lora_rank or weights_are_sharded():
        return "adapters and sharded weights take the model's own pass"
    if config.attention == "sdpa":
        return "attention sdpa is the model's own"
    try:
        check_model(bundle.model)
    except ValueError as error:
        return str(error)
    if bundle.model.device.type == "cuda" and bundle.model.dtype != torch.bfloat16:
        return f"its kernels compute in bfloat16 and the weights are {bundle.model.dtype}"
    return ""


def prepare(bundle: Bundle, chosen: Fast | None) -> Callable[[Sequence[ModelInput]], Any]:
    """Make the model take the chosen pass, and return what makes its rows of samples."""
    if chosen is None:
        return collate
    install(bundle.model, bundle.spec, chosen)
    spec = bundle.spec
    return FastRow(spec.image_token_id, spec.video_token_id, spec.merge_size)


def restore(bundle: Bundle) -> None:
    """Give the model its own forward pass back."""
    bundle.model.__dict__.pop("forward", None)


def told(chosen: Fast | None) -> str:
    """Say which pass is taken."""
    if chosen is None:
        return "the model's own pass"
    return f"packed pass{', compiled' if chosen.compiles else ''}"
