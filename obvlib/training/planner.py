"""Before a GPU is rented: how many rows a data set packs into, whether they fit in memory, and how
long an epoch takes.

Work is counted from shapes: products with weights, attention inside each sample and each temporal
patch, and bytes moved between kernels. How fast a GPU does this work is five numbers (bytes moved
differ between plain and compiled layers), which `obvlib.training.calibration` fits to steps
measured on one H100 (`data_manifests/results`). For another GPU they are scaled by its peak and
bandwidth, which is an estimate. So is the time on several GPUs, which leaves out all waiting but
that for the slowest row. Reading and decoding clips is not included: workers do both meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from obvlib.inputs import pack
from obvlib.models import GPUS, MODELS, Gpu, ModelShape
from obvlib.training.sample_costs import Sample

# Bytes of a weight that is trained: (weight, optimizer state, gradient).
WEIGHTS = {
    "fp32": (4, 8, 4),  # fp32 weights under autocast, AdamW
    "masters": (2, 10, 2),  # bf16 weights, residual and moments that make fp32 masters
    "bf16": (2, 4, 2),  # bf16 throughout: small steps vanish
}
FROZEN_BYTES = 2
SHARE_OF_GPU = 0.95  # of its memory; the rest is for the driver, fragments and other programs


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How it is trained; the defaults are those of the paper, where it names them."""

    row_tokens: int = 16_384  # capacity of a packed row, the paper's
    num_gpus: int = 8
    # ZeRO-2 or FSDP2: optimizer state and gradients are spread over the GPUs
    shards_optimizer: bool = True
    fused_loss: bool = True  # Liger's: logits never exist as a whole
    compiled: bool = False
    trains_vision: bool = True
    epochs: int = 1
    weights: str = "fp32"  # see WEIGHTS
    lora_rank: int = 0  # 0: every weight is trained; else adapters in the text layers
    checkpointing: bool = True  # blocks are computed again in the backward pass

    def __post_init__(self) -> None:
        for name in ("row_tokens", "num_gpus", "epochs"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be at least 1")
        if self.weights not in WEIGHTS:
            raise ValueError(f"weights is {self.weights!r}: use one of {', '.join(WEIGHTS)}")


@dataclass(frozen=True, kw_only=True)
class Work:
    """One training step on one row: FLOPs with recomputation, useful FLOPs, and bytes moved between
    kernels.
    """

    products: float
    attention: float
    useful: float
    traffic_bytes: float
    optimizer_bytes: float
    num_layers: int


@dataclass(frozen=True, kw_only=True)
class Efficiency:
    """What a GPU reaches: shares of the peak, how often a layer's activations cross the memory, and
    the fixed time of a layer's launches.
    """

    products: float
    attention: float
    crossings: float
    layer_s: float


# Fitted to steps of Qwen2-VL-2B on one H100 with torch's varlen attention. For compiled layers only
# two rows were measured, so only their crossings were fitted.
EFFICIENCY = {
    False: Efficiency(products=0.7954, attention=0.2464, crossings=99.56, layer_s=0.00286),
    True: Efficiency(products=0.7954, attention=0.2464, crossings=36.0, layer_s=0.00286),
}

# The packed pass of `obv train`, whose attention is not computed again and whose layers leave no
# gaps: fitted to its two rows of data_manifests/results/gpu_training_2026-11-25.json.
PACKED = Efficiency(products=0.7954, attention=0.6195, crossings=30.57, layer_s=0.0)


def row_work(samples: Sequence[Sample], model: ModelShape, settings: Settings) -> Work:
    """Return what one row costs with gradient checkpointing: forward, forward again inside the
    blocks, and twice that backward.
    """
    tokens = sum(s.num_tokens for s in samples)
    patches = sum(s.num_patches for s in samples)
    text = 2 * model.text_weights * tokens
    head = 2 * model.head_weights * tokens
    # half of it is masked
    text_attention = sum(2 * s.num_tokens**2 * model.hidden for s in samples) * model.num_layers
    vision = 2 * model.vision_weights * patches + 2 * model.merger_weights * patches / 4
    vision_attention = (
        sum(4 * t * (h * w) ** 2 for s in samples for t, h, w in s.grids)
        * model.vision_width
        * model.vision_depth
    )
    # frozen, its weights have no gradients, but checkpointing still asks for its inputs'
    passes = 4 if settings.trains_vision else 3
    useful_passes = 3 if settings.trains_vision else 1
    # with adapters the text weights pass gradients on and get none
    trained_text = 0 if settings.lora_rank else 1
    widths = (
        tokens * model.num_layers * model.hidden + patches * model.vision_depth * model.vision_width
    )
    return Work(
        products=(3 + trained_text) * text + (2 + trained_text) * head + passes * vision,
        attention=4 * (text_attention + vision_attention),
        useful=(2 + trained_text) * (text + head)
        + 3 * text_attention
        + useful_passes * (vision + vision_attention),
        traffic_bytes=4 * 2 * widths,
        optimizer_bytes=20
        # read weight, gradient, two moments; write back three, clear one
        * trained_parameters(model, settings),
        num_layers=model.num_layers + (model.vision_depth if patches else 0),
    )


def trained_parameters(model: ModelShape, settings: Settings) -> int:
    """Return the number of parameters that the optimizer changes."""
    if rank := settings.lora_rank:
        attention = 2 * 2 * model.hidden + 2 * (model.hidden + model.kv_width)
        return model.num_layers * rank * (attention + 3 * (model.hidden + model.intermediate))
    frozen = 0 if settings.trains_vision else model.vision_weights + model.merger_weights
    return model.num_parameters - frozen


def step_seconds(work: Work, gpu: Gpu, efficiency: Efficiency) -> float:
    """Time of one step on one GPU, reading the data not included."""
    busy = work.products / efficiency.products + work.attention / efficiency.attention
    moved = work.traffic_bytes * efficiency.crossings + work.optimizer_bytes
    return (
        busy / (gpu.tflops * 1e12)
        + moved / (gpu.bandwidth_tb_s * 1e12)
        + work.num_layers * efficiency.layer_s
    )


# Bytes per element at the widest moment inside a block, fitted to the same runs.
TEXT_BLOCK_BYTES, VISION_BLOCK_BYTES, LOGIT_BYTES = 10.0, 15.0, 12.9
# What a block keeps without checkpointing, over what it keeps with it: an estimate from the
# widths of Qwen2-VL's blocks, not fitted to a run.
BLOCK_RATIO = 20.0


def peak_gb(samples: Sequence[Sample], model: ModelShape, settings: Settings) -> float:
    """Return the largest memory of a step in 10^9 bytes: the largest of four candidate peaks
    within the step.
    """
    shares = settings.num_gpus if settings.shards_optimizer else 1
    tokens, patches = sum(s.num_tokens for s in samples), sum(s.num_patches for s in samples)
    trained = trained_parameters(model, settings)
    weight_bytes, state_bytes, gradient_bytes = WEIGHTS[settings.weights]
    frozen = model.num_parameters - (0 if settings.lora_rank else trained)
    held = FROZEN_BYTES * frozen + weight_bytes * trained + state_bytes * trained / shares
    held += 2 * 1176 * patches
    depth = 1.0 if settings.checkpointing else BLOCK_RATIO
    text_saved = depth * 2 * tokens * model.hidden * model.num_layers
    # frozen or not: see row_work
    vision_saved = depth * 2 * patches * model.vision_width * model.vision_depth
    text_weights = 0 if settings.lora_rank else model.text_weights + model.head_weights
    text_gradients = gradient_bytes * text_weights / shares
    head_gradient = 0 if settings.lora_rank else gradient_bytes * model.head_weights
    in_text_block = TEXT_BLOCK_BYTES * tokens * model.intermediate
    in_vision_block = VISION_BLOCK_BYTES * patches * model.vision_mlp if patches else 0
    logits = 0 if settings.fused_loss else LOGIT_BYTES * tokens * model.vocabulary
    moments = (
        held + vision_saved + text_saved + logits,
        held + vision_saved + text_saved + head_gradient + in_text_block,
        held + vision_saved + in_vision_block + (text_gradients if patches else 0),
        held + gradient_bytes * trained / shares,
    )
    return max(moments) / 1e9


def disk_gb(model: ModelShape, settings: Settings, num_checkpoints: int) -> float:
    """Return what a run writes in 10^9 bytes: checkpoints (weights and optimizer state; with
    adapters theirs alone) and the finished model in bf16.
    """
    weight_bytes, state_bytes, _ = WEIGHTS[settings.weights]
    trained = trained_parameters(model, settings)
    frozen = 0 if settings.lora_rank else model.num_parameters - trained
    one = FROZEN_BYTES * frozen + (weight_bytes + state_bytes) * trained
    return (num_checkpoints * one + 2 * model.num_parameters) / 1e9


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to expect of a run. `fits` leaves a tenth of the memory free for fragments and the
    driver.
    """

    num_samples: int
    num_tokens: int
    num_rows: int
    fill: float  # share of the rows' capacity that holds tokens
    num_steps: int  # of all GPUs together, one row each
    step_s: float  # mean
    hours: float
    gpu_hours: float
    peak_gb: float
    fits: bool
    mfu: float  # useful FLOPs over the peak
    dropped: int
    reasons: tuple[str, ...] = field(default=())


def plan(samples: Sequence[Sample], model: str, gpu: str, settings: Settings | None = None) -> Plan:
    """Plan one run; samples above the row's capacity are counted as dropped, as `obv build` does.
    ValueError names an unknown model or GPU.
    """
    settings = settings or Settings()
    shape, card = _named(MODELS, model, "model"), _named(GPUS, gpu, "gpu")
    kept = [s for s in samples if s.num_tokens <= settings.row_tokens]
    if not kept:
        raise ValueError(
            f"row_tokens is {settings.row_tokens}: none of the {len(samples)} samples fits;"
            " raise it"
        )
    rows = [
        [kept[i] for i in items]
        for items in pack([s.num_tokens for s in kept], settings.row_tokens)
    ]
    works = [row_work(row, shape, settings) for row in rows]
    seconds = [step_seconds(work, card, EFFICIENCY[settings.compiled]) for work in works]
    num_steps = -(-len(rows) // settings.num_gpus) * settings.epochs
    step_s = (
        float(np.mean(seconds))
        if settings.num_gpus == 1
        else _slowest_mean(seconds, settings.num_gpus)
    )
    memory = max(peak_gb(row, shape, settings) for row in rows)
    total = sum(s.num_tokens for s in kept)
    fits = memory <= SHARE_OF_GPU * card.memory_gb
    return Plan(
        num_samples=len(kept),
        num_tokens=total,
        num_rows=len(rows),
        fill=total / (len(rows) * settings.row_tokens),
        num_steps=num_steps,
        step_s=step_s,
        hours=num_steps * step_s / 3600,
        gpu_hours=num_steps * step_s * settings.num_gpus / 3600,
        peak_gb=memory,
        fits=fits,
        mfu=sum(w.useful for w in works) / len(works) / (step_s * card.tflops * 1e12),
        dropped=len(samples) - len(kept),
        reasons=(
            ()
            if fits
            else (
                (
                    f"needs {memory:.0f} GB of {card.memory_gb:.0f} GB: shorter rows, more GPUs, or"
                    " a fused loss"
                ),
            )
        ),
    )


def _slowest_mean(seconds: Sequence[float], num_gpus: int) -> float:
    """Return the mean over steps of the slowest of `num_gpus` rows: all GPUs wait for it."""
    order = np.random.default_rng(0).permutation(seconds)
    steps = [order[i : i + num_gpus].max() for i in range(0, len(order), num_gpus)]
    return float(np.mean(steps))


def _named(table: Mapping[str, Any], name: str, what: str) -> Any:
    if name not in table:
        raise ValueError(f"{what} {name!r} is not known: use one of {', '.join(table)}")
    return table[name]
