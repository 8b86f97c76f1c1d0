"""Which part of a model is trained: all of it, all but the vision tower, or low-rank adapters.

Adapters (LoRA, Hu et al. 2021) are fp32 beside weights that stay as they are; they are merged into
them when the run ends, so that the saved model is an ordinary one.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from obvlib.training.config import TrainConfig

# The linear layers of a text block, which get adapters.
TEXT_LINEARS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def prepare(model: Any, config: TrainConfig) -> Any:
    """Freeze what is not trained and return the model to train: `model` itself, or one with
    adapters around it.

    Raises ValueError where adapters are asked for and peft is missing.
    """
    vision = getattr(model.model, "visual", None)
    if vision is not None:
        vision.requires_grad_(config.trains_vision and not config.lora_rank)
    if not config.lora_rank:
        return model
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError:
        raise ValueError(
            f"lora_rank is {config.lora_rank}, and peft is not installed: pip install peft, or set"
            " lora_rank=0"
        ) from None
    names = "|".join(TEXT_LINEARS)
    adapter = LoraConfig(
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        target_modules=rf".*language_model.*\.({names})",
        task_type="CAUSAL_LM",
    )
    wrapped = get_peft_model(model, adapter)
    if config.gradient_checkpointing:
        wrapped.enable_input_require_grads()
    return wrapped


def keep_masters(model: Any) -> None:
    """Turn the weights that are trained into fp32, in place; autocast makes bf16 products of them.

    At a learning rate of 1e-5 most steps are below half the distance between neighbouring bf16
    values: added to bf16 weights, they vanish.
    """
    for weight in model.parameters():
        if weight.requires_grad:
            weight.data = weight.data.float()


def merge(model: Any, adapter_dir: Path) -> None:
    """Write the adapters by themselves, then add them to the weights beside them, in place."""
    model.save_pretrained(adapter_dir)
    model.merge_and_unload()
