"""The layers of Qwen2-VL as plain functions of activations and weights, and what each of them keeps
for the backward pass.

A function without a module is compiled once and serves all layers of a tower. What it keeps of its
activations decides time and memory:

    "none"      its input; the backward pass computes the layer again
    "most"      its input, the products of its narrow matrices (query, key, value, output) and the
                attention; the wide ones of the perceptron are computed again
    "products"  its input, all products and the attention
    "all"       what the backward pass needs
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import (
    CheckpointPolicy,
    checkpoint,
    create_selective_checkpoint_contexts,
)

from obvlib.models import kernels
from obvlib.models.rotary import attend_packed, rotate

KEEPS = ("none", "most", "products", "all")
ATTENTION = (torch.ops.obv.attend.default, torch.ops.obv.attend_packed.default)
PRODUCTS = (torch.ops.aten.mm.default, torch.ops.aten.addmm.default)


@dataclass(frozen=True, eq=False)
class Around:
    """What a layer needs besides its input: cosines and sines of its tokens' angles, the samples'
    boundaries on the device and on the CPU, heads (vision) or their size (text), and the kernel.

    One object rather than arguments: FSDP2 would round the angles among them to bf16.
    """

    cos: Tensor
    sin: Tensor
    bounds: Tensor
    host: Tensor
    heads_or_dim: int
    kernel: str

    def __iter__(self) -> Iterator[Any]:
        yield from (self.cos, self.sin, self.bounds, self.host, self.heads_or_dim, self.kernel)


def layer_forward(layer: Any, run: Callable, weights: Callable) -> Callable:
    """Return a forward pass for a module: `run` on rows of the fast pass (their second argument is
    an `Around`), its own on anything else.
    """
    return functools.partial(_forward, layer, layer.forward, run, weights)


def _forward(
    layer: Any, own: Callable, run: Callable, weights: Callable, *args: Any, **options: Any
) -> Any:
    if len(args) == 2 and isinstance(args[1], Around):
        return run(args[0], *args[1], *weights(layer))
    return own(*args, **options)


def vision_weights(block: Any) -> tuple[Tensor, ...]:
    parts = (
        block.norm1,
        block.attn.qkv,
        block.attn.proj,
        block.norm2,
        block.mlp.fc1,
        block.mlp.fc2,
    )
    return tuple(tensor for part in parts for tensor in (part.weight, part.bias))


def text_weights(layer: Any) -> tuple[Tensor, ...]:
    a, mlp = layer.self_attn, layer.mlp
    return (
        layer.input_layernorm.weight,
        a.q_proj.weight, a.q_proj.bias, a.k_proj.weight, a.k_proj.bias, a.v_proj.weight,
        a.v_proj.bias, a.o_proj.weight,
        layer.post_attention_layernorm.weight,
        mlp.gate_proj.weight, mlp.up_proj.weight, mlp.down_proj.weight,
    )  # fmt: skip


def vision_block(
    x: Tensor, cos: Tensor, sin: Tensor, bounds: Tensor, host: Tensor, heads: int, kernel: str,
    norm1: Tensor, norm1_bias: Tensor, qkv: Tensor, qkv_bias: Tensor, proj: Tensor,
    proj_bias: Tensor, norm2: Tensor, norm2_bias: Tensor, fc1: Tensor, fc1_bias: Tensor,
    fc2: Tensor, fc2_bias: Tensor,
) -> Tensor:  # fmt: skip
    """Compute one block of the vision tower on patches (P, width)."""
    width = x.shape[1]
    made = F.linear(F.layer_norm(x, (width,), norm1, norm1_bias, 1e-6), qkv, qkv_bias)
    made = made.view(x.shape[0], 3, heads, width // heads)
    scale = (width // heads) ** -0.5
    if is_eager_loop(kernel):
        query, key = rotate(made[:, 0], made[:, 1], cos, sin, False)
        lengths = host.diff().tolist()
        seen = kernels.loop(query, key, made[:, 2], lengths, causal=False, scale=scale)
    else:
        seen, _ = attend_packed(made, cos, sin, bounds, host, scale, kernel)
    x = x + F.linear(seen.reshape(x.shape[0], width), proj, proj_bias)
    wide = F.linear(F.layer_norm(x, (width,), norm2, norm2_bias, 1e-6), fc1, fc1_bias)
    return x + F.linear(wide * torch.sigmoid(1.702 * wide), fc2, fc2_bias)


def text_layer(
    x: Tensor, cos: Tensor, sin: Tensor, bounds: Tensor, host: Tensor, dim: int, kernel: str,
    norm1: Tensor, q: Tensor, q_bias: Tensor, k: Tensor, k_bias: Tensor, v: Tensor, v_bias: Tensor,
    o: Tensor, norm2: Tensor, gate: Tensor, up: Tensor, down: Tensor,
) -> Tensor:  # fmt: skip
    """Compute one layer of the language model on tokens (T, hidden)."""
    tokens = x.shape[0]
    normed = _rms_norm(x, norm1)
    query = F.linear(normed, q, q_bias).view(tokens, -1, dim)
    key = F.linear(normed, k, k_bias).view(tokens, -1, dim)
    value = F.linear(normed, v, v_bias).view(tokens, -1, dim)
    query, key = rotate(query, key, cos, sin, False)
    if is_eager_loop(kernel):
        lengths = host.diff().tolist()
        seen = kernels.loop(query, key, value, lengths, causal=True, scale=dim**-0.5)
    else:
        seen, _ = kernels.attend(query, key, value, bounds, host, 0, True, dim**-0.5, kernel)
    x = x + F.linear(seen.reshape(tokens, -1), o)
    return _perceived(x, norm2, gate, up, down)


def last_text_layer(
    x: Tensor, cos: Tensor, sin: Tensor, places: Tensor, host: Tensor, dim: int,
    norm1: Tensor, q: Tensor, q_bias: Tensor, k: Tensor, k_bias: Tensor, v: Tensor, v_bias: Tensor,
    o: Tensor, norm2: Tensor, gate: Tensor, up: Tensor, down: Tensor,
) -> Tensor:  # fmt: skip
    """Compute the last layer, only at the tokens `places` (K,), whose outputs are all that
    the loss sees; keys and values come from every token. Returns (K, hidden).
    """
    normed = _rms_norm(x, norm1)
    here = normed[places]
    query = F.linear(here, q, q_bias).view(len(places), -1, dim)
    key = F.linear(normed, k, k_bias).view(len(x), -1, dim)
    value = F.linear(normed, v, v_bias).view(len(x), -1, dim)
    query, _ = rotate(query, query[:, :0], cos[places], sin[places], False)
    _, key = rotate(key[:, :0], key, cos, sin, False)
    seen = kernels.attend_at(query, key, value, places, host, dim**-0.5)
    return _perceived(x[places] + F.linear(seen.flatten(1), o), norm2, gate, up, down)


def is_eager_loop(kernel: str) -> bool:
    """Return whether attention runs as plain torch, which differentiates itself: on a CPU that is
    several times faster than the operator's own backward pass, which compiled layers need.
    """
    return kernel == "loop" and not torch.compiler.is_compiling()


def _perceived(x: Tensor, norm2: Tensor, gate: Tensor, up: Tensor, down: Tensor) -> Tensor:
    normed = _rms_norm(x, norm2)
    return x + F.linear(F.silu(F.linear(normed, gate)) * F.linear(normed, up), down)


def _rms_norm(x: Tensor, weight: Tensor) -> Tensor:
    wide = x.float()
    return weight * (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-6)).to(x.dtype)


def prepared(layer: Callable, keep: str, compiles: bool) -> Callable:
    """Return the layer with its way of keeping activations, compiled once for all layers and
    shapes.
    """
    run = layer if keep == "all" else functools.partial(_checkpointed, layer, keep)
    return torch.compile(run, dynamic=True, fullgraph=True) if compiles else run


def _checkpointed(layer: Callable, keep: str, *arguments: Any) -> Tensor:
    options: dict[str, Any] = {"use_reentrant": False, "preserve_rng_state": False}
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
