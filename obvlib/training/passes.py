"""Which forward and backward pass a run takes, and how it is said.

The packed pass (`obvlib.models.packed_forward`) is taken wherever it can run: it gives the loss and
gradients of the model's own pass within rounding, sooner. A model with adapters, of another family,
or sharded by another engine than FSDP2 takes its own pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from obvlib.inputs import collate
from obvlib.models import ModelShape
from obvlib.models.packed_forward import Fast, check_model, install, remove
from obvlib.training import forecast, planner
from obvlib.training.loading import FastRow
from obvlib.training.optimizers import gathers_layers, weights_are_sharded

if TYPE_CHECKING:
    from obvlib.inputs import ModelInput
    from obvlib.models import Bundle
    from obvlib.training.config import TrainConfig
    from obvlib.training.sample_costs import Sample


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
        sharded=weights_are_sharded(),
    )


def fitted(
    chosen: Fast | None, bundle: Bundle, config: TrainConfig, rows: Sequence[Sequence[Sample]]
) -> tuple[Fast | None, str]:
    """Return the packed pass with what its layers keep for the backward pass chosen from the GPU's
    memory, and a sentence; unchanged, with nothing to say, where there is no GPU or no packed pass.
    """
    import torch

    device = bundle.model.device
    if chosen is None or not rows or (device.type != "cuda" and config.max_memory_gb is None):
        return chosen, ""
    budget_gb = config.max_memory_gb or (
        planner.SHARE_OF_GPU * torch.cuda.get_device_properties(device).total_memory / 1e9
    )
    shape = ModelShape.from_config(bundle.name, bundle.model.config)
    keeps = forecast.packed_memory(rows, config, shape).fitted(budget_gb)
    return replace(chosen, text=keeps.text, vision=keeps.vision), keeps.told()


def _problem(bundle: Bundle, config: TrainConfig) -> str:
    """Say why the packed pass cannot run; empty where it can."""
    import torch

    if config.lora_rank:
        return "adapters take the model's own pass"
    if weights_are_sharded() and not gathers_layers():
        return "weights sharded by another engine than FSDP2 take the model's own pass"
    if weights_are_sharded() and not config.bf16 and bundle.model.device.type == "cuda":
        return "its kernels compute in bfloat16 and bf16 is false"
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
    if "forward" in bundle.model.__dict__:
        remove(bundle.model)


def told(chosen: Fast | None, kept: str = "") -> str:
    """Say which pass is taken, and what its layers keep."""
    if chosen is None:
        return "the model's own pass"
    return f"packed pass{', compiled' if chosen.compiles else ''}{kept and f' ({kept})'}"
