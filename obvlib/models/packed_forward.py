"""Qwen2-VL's training pass over a packed row, fast: layers compiled once, attention by one
operator, the loss only where something is learned, and a choice of what is kept for the backward
pass.

In: a row from `obvlib.training.loading`, whose boundaries and positions were computed beside the
GPU. Out: its loss. The weights are the model's own; equal to the model's own forward pass within
rounding.
What a layer can keep is described in `obvlib.models.packed_layers`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

from obvlib.models.attention import checked
from obvlib.models.kernels import check_gradients
from obvlib.models.packed_layers import (
    KEEPS,
    Around,
    last_text_layer,
    layer_forward,
    prepared,
    text_layer,
    text_weights,
    vision_block,
    vision_weights,
)
from obvlib.models.patch_product import PatchProduct

LOSS_CHUNK = 512  # learned tokens whose logits exist at a time: 0.3 GB in float32


@dataclass(frozen=True, kw_only=True)
class Fast:
    """How to run: the kernel, whether layers are compiled, and what is kept for the backward pass
    by each text layer and each vision block.
    """

    attention: str = "auto"
    compiles: bool = True
    text: tuple[str, ...] = ()  # a word of KEEPS for each layer; empty: "most" for all
    vision: tuple[str, ...] = ()
    sharded: bool = False  # by FSDP2, which gathers a layer's weights when it is called

    def __post_init__(self) -> None:
        for field in ("text", "vision"):
            if odd := [word for word in getattr(self, field) if word not in KEEPS]:
                raise ValueError(f"{field} has {odd[0]!r}: use one of {', '.join(KEEPS)}")


class PackedForward:
    """A callable that stands in for `model.forward`: rows made for it take the fast way, all other
    calls the model's own.

    Layers run as calls of their modules, whose own forward pass gives way to the fast one for these
    rows: an engine that shards weights (FSDP2) gathers them when a module is called.
    """

    def __init__(self, model: Any, spec: Any, fast: Fast) -> None:
        check_model(model)
        self.model, self.spec, self.own_forward = model, spec, model.forward
        device = next(model.parameters()).device
        self.kernel = checked(fast.attention, device)
        text, vision = model.model.language_model, model.model.visual
        config, tower = model.config.get_text_config(), vision.config
        self.text_dim = config.hidden_size // config.num_attention_heads
        if device.type == "cuda":
            heads = (config.num_attention_heads, config.num_key_value_heads, self.text_dim, True)
            check_gradients(self.kernel, *heads)
            sides = (tower.num_heads, tower.num_heads, tower.embed_dim // tower.num_heads, False)
            check_gradients(self.kernel, *sides)
        # on a CPU without a compiler: the last layer where the loss looks, and nowhere else
        self.trims_last = self.kernel == "loop" and not fast.compiles and not fast.sharded
        for layers, run, weights, keeps in (
            (text.layers, text_layer, text_weights, fast.text),
            (vision.blocks, vision_block, vision_weights, fast.vision),
        ):
            made = {keep: prepared(run, keep, fast.compiles) for keep in KEEPS}
            for layer, keep in zip(layers, keeps or ("most",) * len(layers), strict=True):
                layer.forward = layer_forward(layer, made[keep], weights)

    def __call__(self, *arguments: Any, num_items_in_batch: Any = None, **row: Any) -> Any:
        """Return an output with `loss`: the sum over learned tokens, divided by
        `num_items_in_batch` or by their number.
        """
        if "learned_index" not in row:
            if num_items_in_batch is not None:
                row["num_items_in_batch"] = num_items_in_batch
            return self.own_forward(*arguments, **row)
        from transformers.modeling_outputs import CausalLMOutputWithPast

        device = row["input_ids"].device.type
        with torch.autocast(device, enabled=False):  # weights and values have one type already
            hidden = self._read(row, self._see(row))
            loss = self._loss(hidden, row, num_items_in_batch)
        return CausalLMOutputWithPast(loss=loss)

    def _see(self, row: dict[str, Any]) -> torch.Tensor | None:
        """Turn patches into one feature for each visual token of the row, (V, hidden)."""
        if "patches" not in row:
            return None
        tower = self.model.model.visual
        weight = tower.patch_embed.proj.weight
        patches = _bf16_patches(row["patches"], self.spec, weight.dtype)
        x = F.linear(patches, weight.view(weight.shape[0], -1))
        cos, sin = vision_angles(row["patch_positions"], tower.config)
        bounds, host = row["vision_bounds"], _host(row["vision_lengths"])
        around = Around(cos, sin, bounds, host, tower.config.num_heads, self.kernel)
        for block in tower.blocks:
            x = block(x, around)
        return tower.merger(x)

    def _read(self, row: dict[str, Any], features: torch.Tensor | None) -> torch.Tensor:
        """Turn tokens and features into hidden states (K, hidden), before the last norm, of the
        tokens that predict a learned one.
        """
        text = self.model.model.language_model
        embedded = text.embed_tokens(row["input_ids"][0, row["text_index"]])
        x = embedded
        if features is not None:
            x = embedded.new_empty(row["input_ids"].shape[1], embedded.shape[1])
            x = x.index_copy(0, row["text_index"], embedded)
            x = x.index_copy(0, row["visual_index"], features.to(x.dtype))
        cos, sin = text.rotary_emb(x, row["position_ids"][1:])
        bounds, host = row["text_bounds"], _host(row["text_lengths"])
        around = Around(cos[0], sin[0], bounds, host, self.text_dim, self.kernel)
        places, last = row["learned_index"] - 1, text.layers[-1]
        trims = self.trims_last and len(places) > 0
        for layer in text.layers[:-1] if trims else text.layers:
            x = layer(x, around)
        if not trims:
            return x[places]
        return last_text_layer(
            x, around.cos, around.sin, places, host, self.text_dim, *text_weights(last)
        )

    def _loss(self, hidden: torch.Tensor, row: dict[str, Any], count: Any) -> torch.Tensor:
        """Return the cross-entropy of the learned tokens: position i - 1 predicts token i."""
        hidden = self.model.model.language_model.norm(hidden)
        targets = row["learned_targets"]
        total = _summed_loss(self.model.lm_head, hidden, targets)
        return total / (len(targets) if count is None else count)


def install(model: Any, spec: Any, fast: Fast) -> PackedForward:
    """Make `model.forward` take the fast way for rows of `obvlib.training.loading`; `spec` is the
    bundle's. ValueError for a model that it cannot run.
    """
    forward = PackedForward(model, spec, fast)
    model.forward = forward
    return forward


def remove(model: Any) -> None:
    """Give a model and its layers their own forward passes back."""
    layers = [*model.model.language_model.layers, *model.model.visual.blocks]
    for module in (model, *layers):
        module.__dict__.pop("forward", None)


def check_model(model: Any) -> None:
    """Raise ValueError, with the reason, for a model that has no fast way: another family, or
    layers wrapped by adapters or shards.
    """
    if (family := model.config.model_type) != "qwen2_vl":
        raise ValueError(f"the fast pass is written for qwen2_vl, this model is {family}")
    if (act := model.config.vision_config.hidden_act) != "quick_gelu":
        raise ValueError(f"the fast pass knows quick_gelu in the vision tower, this one has {act}")
    for name, module in model.named_modules():
        wide = name.endswith(("_proj", "qkv", "proj", "fc1", "fc2"))
        if wide and type(module) not in (torch.nn.Linear, torch.nn.Conv3d, PatchProduct):
            raise ValueError(
                f"{name} is a {type(module).__name__}: the fast pass reads plain weights; merge"
                " adapters first, or train without it"
            )


def vision_angles(positions: torch.Tensor, config: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the cosines and sines (P, head dim) float32 of patches at (row, column) positions (P,
    2).
    """
    half = config.embed_dim // config.num_heads // 2
    steps = torch.arange(0, half, 2, dtype=torch.float32, device=positions.device)
    angles = (positions[..., None].float() / 10_000.0 ** (steps / half)).flatten(1)  # (P, half)
    angles = torch.cat([angles, angles], dim=-1)
    return angles.cos(), angles.sin()


def _bf16_patches(values: torch.Tensor, spec: Any, dtype: torch.dtype) -> torch.Tensor:
    from obvlib.inputs import normalised_on_device

    return (normalised_on_device(values, spec) if values.dtype == torch.uint8 else values).to(dtype)


def _host(lengths: Sequence[int]) -> torch.Tensor:
    """Return the boundaries on the CPU, (N + 1,) int32."""
    return torch.tensor([0, *lengths], dtype=torch.int32).cumsum(0, dtype=torch.int32)


def _summed_loss(
    head: torch.nn.Module, hidden: torch.Tensor, targets: torch.Tensor
) -> torch.Tensor:
    """Return the cross-entropy summed over the tokens; the logits of `LOSS_CHUNK` of them at a
    time.
    """
    if 0 < len(targets) <= LOSS_CHUNK:
        return _chunk_loss(head, hidden, targets)
    parts = zip(hidden.split(LOSS_CHUNK), targets.split(LOSS_CHUNK), strict=True)
    losses = [
        checkpoint(_chunk_loss, head, *part, use_reentrant=False, preserve_rng_state=False)
        for part in parts
    ]
    if not losses:  # every weight takes part, as data-parallel training requires
        return head(hidden).float().sum()
    return torch.stack(losses).sum()


def _chunk_loss(head: torch.nn.Module, hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(head(hidden).float(), targets, reduction="sum")
