"""Qwen2-VL's training pass over a packed row, fast: layers compiled once, attention by one
operator, the loss only where something is learned, and a choice of what is kept for the backward
pass.

In: a row from `obvlib.training.loading`, whose boundaries and positions were computed beside the
GPU. Out: its loss. The weights are the model's own; equal to the model's own forward pass within
rounding.

What a layer keeps of its activations decides time and memory:

    "none"      its input; the backward pass computes the layer again
    "most"      its input, the products of its narrow matrices (query, key, value, output) and the
                attention; the wide ones of the perceptron are computed again
    "products"  its input, all products and the attention
    "all"       what the backward pass needs
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch.utils.checkpoint import (
    CheckpointPolicy,
    checkpoint,
    create_selective_checkpoint_contexts,
)

from obvlib.models import kernels
from obvlib.models.attention import checked
from obvlib.models.rotary import attend_packed, rotate

KEEPS = ("none", "most", "products", "all")
ATTENTION = (torch.ops.obv.attend.default, torch.ops.obv.attend_packed.default)
PRODUCTS = (torch.ops.aten.mm.default, torch.ops.aten.addmm.default)
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

    def __post_init__(self) -> None:
        for field in ("text", "vision"):
            if odd := [word for word in getattr(self, field) if word not in KEEPS]:
                raise ValueError(f"{field} has {odd[0]!r}: use one of {', '.join(KEEPS)}")


@dataclass(frozen=True)
class Span:
    """Boundaries of the samples of one row, on the device and on the CPU."""

    bounds: torch.Tensor
    host: torch.Tensor
    kernel: str


class PackedForward:
    """A callable that stands in for `model.forward`: rows made for it take the fast way, all other
    calls the model's own.
    """

    def __init__(self, model: Any, spec: Any, fast: Fast) -> None:
        check_model(model)
        self.model, self.spec, self.own_forward = model, spec, model.forward
        self.kernel = checked(fast.attention, next(model.parameters()).device)
        text, vision = model.model.language_model, model.model.visual
        self.text_keeps = fast.text or ("most",) * len(text.layers)
        self.vision_keeps = fast.vision or ("most",) * len(vision.blocks)
        self.text_layer = {keep: _prepared(_text_layer, keep, fast.compiles) for keep in KEEPS}
        self.vision_block = {keep: _prepared(_vision_block, keep, fast.compiles) for keep in KEEPS}

    def __call__(self, *arguments: Any, num_items_in_batch: Any = None, **row: Any) -> Any:
        """Return an output with `loss`: the sum over learned tokens, divided by
        `num_items_in_batch` or by their number.
        """
        if "learned_index" not in row:
            if num_items_in_batch is not None:
                row["num_items_in_batch"] = num_items_in_batch
            return self.own_forward(*arguments, **row)
        from transformers.modeling_outputs import CausalLMOutputWithPast

        hidden = self._read(row, self._see(row))
        loss = self._loss(hidden, row, num_items_in_batch)
        return CausalLMOutputWithPast(loss=loss)

    def _see(self, row: dict[str, Any]) -> torch.Tensor | None:
        """Patches → one feature for each visual token of the row, (V, hidden)."""
        if "patches" not in row:
            return None
        tower = self.model.model.visual
        weight = tower.patch_embed.proj.weight
        patches = _bf16_patches(row["patches"], self.spec, weight.dtype)
        x = F.linear(patches, weight.view(weight.shape[0], -1))
        cos, sin = vision_angles(row["patch_positions"], tower.config)
        span = Span(row["vision_bounds"], _host(row["vision_lengths"]), self.kernel)
        for block, keep in zip(tower.blocks, self.vision_keeps, strict=True):
            x = self.vision_block[keep](
                x, cos, sin, span.bounds, span.host, tower.config.num_heads, span.kernel,
                *vision_weights(block),
            )  # fmt: skip
        return tower.merger(x)

    def _read(self, row: dict[str, Any], features: torch.Tensor | None) -> torch.Tensor:
        """Tokens and features → hidden states (T, hidden) before the last norm."""
        text = self.model.model.language_model
        embedded = text.embed_tokens(row["input_ids"][0, row["text_index"]])
        x = embedded
        if features is not None:
            x = embedded.new_empty(row["input_ids"].shape[1], embedded.shape[1])
            x = x.index_copy(0, row["text_index"], embedded)
            x = x.index_copy(0, row["visual_index"], features.to(x.dtype))
        cos, sin = text.rotary_emb(x, row["position_ids"][1:])
        span = Span(row["text_bounds"], _host(row["text_lengths"]), self.kernel)
        for layer, keep in zip(text.layers, self.text_keeps, strict=True):
            x = self.text_layer[keep](
                x, cos[0], sin[0], span.bounds, span.host, layer.self_attn.head_dim, span.kernel,
                *text_weights(layer),
            )  # fmt: skip
        return x

    def _loss(self, hidden: torch.Tensor, row: dict[str, Any], count: Any) -> torch.Tensor:
        """Cross-entropy of the learned tokens: position i - 1 predicts the token at i."""
        hidden = self.model.model.language_model.norm(hidden[row["learned_index"] - 1])
        targets = row["learned_targets"]
        total = _summed_loss(self.model.lm_head.weight, hidden, targets)
        return total / (len(targets) if count is None else count)


def install(model: Any, spec: Any, fast: Fast) -> PackedForward:
    """Make `model.forward` take the fast way for rows of `obvlib.training.loading`; `spec` is the
    bundle's. ValueError for a model that it cannot run.
    """
    forward = PackedForward(model, spec, fast)
    model.forward = forward
    return forward


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
        if wide and type(module) not in (torch.nn.Linear, torch.nn.Conv3d):
            raise ValueError(
                f"{name} is a {type(module).__name__}: the fast pass reads plain weights; merge"
                " adapters first, or train without it"
            )


def vision_weights(block: Any) -> tuple[torch.Tensor, ...]:
    parts = (
        block.norm1,
        block.attn.qkv,
        block.attn.proj,
        block.norm2,
        block.mlp.fc1,
        block.mlp.fc2,
    )
    return tuple(tensor for part in parts for tensor in (part.weight, part.bias))


def text_weights(layer: Any) -> tuple[torch.Tensor, ...]:
    a, mlp = layer.self_attn, layer.mlp
    return (
        layer.input_layernorm.weight,
        a.q_proj.weight, a.q_proj.bias, a.k_proj.weight, a.k_proj.bias, a.v_proj.weight,
        a.v_proj.bias, a.o_proj.weight,
        layer.post_attention_layernorm.weight,
        mlp.gate_proj.weight, mlp.up_proj.weight, mlp.down_proj.weight,
    )  # fmt: skip


def vision_angles(positions: torch.Tensor, config: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines (P, head dim) float32 of patches at (row, column) positions (P, 2)."""
    half = config.embed_dim // config.num_heads // 2
    steps = torch.arange(0, half, 2, dtype=torch.float32, device=positions.device)
    angles = (positions[..., None].float() / 10_000.0 ** (steps / half)).flatten(1)  # (P, half)
    angles = torch.cat([angles, angles], dim=-1)
    return angles.cos(), angles.sin()


def _bf16_patches(values: torch.Tensor, spec: Any, dtype: torch.dtype) -> torch.Tensor:
    from obvlib.inputs import normalised_on_device

    return normalised_on_device(values, spec).to(dtype)


def _host(lengths: Sequence[int]) -> torch.Tensor:
    """Boundaries on the CPU, (N + 1,) int32."""
    return torch.tensor([0, *lengths], dtype=torch.int32).cumsum(0, dtype=torch.int32)


def _vision_block(
    x, cos, sin, bounds, host, heads, kernel,
    norm1, norm1_bias, qkv, qkv_bias, proj, proj_bias,
    norm2, norm2_bias, fc1, fc1_bias, fc2, fc2_bias,
):  # fmt: skip
    """One block of the vision tower on patches (P, width)."""
    width = x.shape[1]
    made = F.linear(F.layer_norm(x, (width,), norm1, norm1_bias, 1e-6), qkv, qkv_bias)
    made = made.view(x.shape[0], 3, heads, width // heads)
    scale = (width // heads) ** -0.5
    seen, _ = attend_packed(made, cos, sin, bounds, host, scale, kernel)
    x = x + F.linear(seen.view(x.shape[0], width), proj, proj_bias)
    wide = F.linear(F.layer_norm(x, (width,), norm2, norm2_bias, 1e-6), fc1, fc1_bias)
    return x + F.linear(wide * torch.sigmoid(1.702 * wide), fc2, fc2_bias)


def _text_layer(
    x, cos, sin, bounds, host, dim, kernel,
    norm1, q, q_bias, k, k_bias, v, v_bias, o, norm2, gate, up, down,
):  # fmt: skip
    """One layer of the language model on tokens (T, hidden)."""
    tokens = x.shape[0]
    normed = _rms_norm(x, norm1)
    query = F.linear(normed, q, q_bias).view(tokens, -1, dim)
    key = F.linear(normed, k, k_bias).view(tokens, -1, dim)
    value = F.linear(normed, v, v_bias).view(tokens, -1, dim)
    query, key = rotate(query, key, cos, sin, False)
    seen, _ = kernels.attend(query, key, value, bounds, host, 0, True, dim**-0.5, kernel)
    x = x + F.linear(seen.view(tokens, -1), o)
    normed = _rms_norm(x, norm2)
    return x + F.linear(F.silu(F.linear(normed, gate)) * F.linear(normed, up), down)


def _rms_norm(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    wide = x.float()
    return weight * (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-6)).to(x.dtype)


def _prepared(layer: Callable, keep: str, compiles: bool) -> Callable:
    """The layer with its way of keeping activations, compiled once for all layers and shapes."""
    run = layer if keep == "all" else functools.partial(_checkpointed, layer, keep)
    return torch.compile(run, dynamic=True, fullgraph=True) if compiles else run


def _checkpointed(layer: Callable, keep: str, *arguments: Any) -> torch.Tensor:
    options = {"use_reentrant": False, "preserve_rng_state": False}
    if keep != "none":
        options["context_fn"] = _narrow_contexts if keep == "most" else _product_contexts
    return checkpoint(layer, *arguments, **options)


def _narrow_contexts() -> Any:
    return create_selective_checkpoint_contexts(_keeps_narrow)


def _product_contexts() -> Any:
    return create_selective_checkpoint_contexts(_keeps_products)


def _keeps_products(context: Any, operator: Any, *arguments: Any, **options: Any) -> Any:
    """Keep attention and all products."""
    kept = operator in ATTENTION or operator in PRODUCTS
    return CheckpointPolicy.MUST_SAVE if kept else CheckpointPolicy.MUST_RECOMPUTE


def _keeps_narrow(context: Any, operator: Any, *arguments: Any, **options: Any) -> CheckpointPolicy:
    """Keep attention, and products at most three times as wide as what goes into them."""
    if operator in ATTENTION:
        return CheckpointPolicy.MUST_SAVE
    if operator in PRODUCTS:
        height, width = arguments[-1].shape
        if width <= 3 * height:
            return CheckpointPolicy.MUST_SAVE
    return CheckpointPolicy.MUST_RECOMPUTE


def _summed_loss(weight: torch.Tensor, hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Cross-entropy summed over the tokens; the logits of `LOSS_CHUNK` of them at a time."""
    parts = zip(hidden.split(LOSS_CHUNK), targets.split(LOSS_CHUNK), strict=True)
    losses = [
        checkpoint(_chunk_loss, weight, *part, use_reentrant=False, preserve_rng_state=False)
        for part in parts
    ]
    return torch.stack(losses).sum() if losses else hidden.float().sum() * 0


def _chunk_loss(weight: torch.Tensor, hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(F.linear(hidden, weight).float(), targets, reduction="sum")
