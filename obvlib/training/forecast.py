"""The plan of a run that is about to start: how fast it should be, what it needs of memory and
disk, and what to lower when memory runs out.
"""

from __future__ import annotations

import dataclasses
import math
import shutil
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from obvlib.core import ranks
from obvlib.models import Gpu, ModelShape
from obvlib.training import planner, progress
from obvlib.training.checkpoints import MAX_KEPT
from obvlib.training.config import TrainConfig
from obvlib.training.keeping import Memory
from obvlib.training.optimizers import weights_are_sharded
from obvlib.training.progress import Speed
from obvlib.training.rows import plan_rows

if TYPE_CHECKING:
    from obvlib.models import Bundle
    from obvlib.training.run import TrainingData
    from obvlib.training.runs import Run


def shape_of(bundle: Bundle) -> ModelShape:
    """Return the sizes of a loaded model."""
    return ModelShape.from_config(bundle.name, bundle.model.config)


def settings_of(config: TrainConfig, num_gpus: int = 0) -> planner.Settings:
    """Return the planner's settings for a training configuration."""
    sharded = weights_are_sharded()  # fp32 masters, spread over the processes
    with_masters = config.optimizer == "adamw" and config.bf16 and not config.lora_rank
    return planner.Settings(
        weights="masters" if with_masters and not sharded else "fp32",
        row_tokens=config.capacity_tokens,
        num_gpus=num_gpus or ranks.world_size(),
        shards_optimizer=sharded,
        fused_loss=config.liger,
        trains_vision=config.trains_vision and not config.lora_rank,
        lora_rank=config.lora_rank,
        epochs=config.num_epochs,
        checkpointing=config.gradient_checkpointing,
    )


def present_gpu() -> Gpu | None:
    """Return the GPU of this process where its peak is known."""
    import torch

    if not torch.cuda.is_available():
        return None
    return progress.gpu_by_device_name(torch.cuda.get_device_name())


def num_steps(num_rows: int, config: TrainConfig) -> int:
    """Return the optimizer steps that all processes take together for so many rows."""
    per_process = -(-num_rows // ranks.world_size())
    return max(1, -(-per_process // config.rows_per_step))


def speed(
    config: TrainConfig, bundle: Bundle, data: TrainingData, planned: list[list[int]]
) -> Speed:
    """Return the speedometer of a run."""
    flops: list[float] = []
    if data.costs:
        shape, settings = shape_of(bundle), settings_of(config)
        flops = [
            planner.row_work([data.costs[i] for i in row], shape, settings).useful
            for row in planned
        ]
    return Speed(
        tokens=[sum(data.lengths[i] for i in row) for row in planned],
        rows_per_step=config.rows_per_step * ranks.world_size(),
        samples_per_row=sum(map(len, planned)) / max(1, len(planned)),
        flops=flops,
        gpu=present_gpu(),
        num_devices=ranks.world_size(),
        num_steps=num_steps(len(planned), config),
    )


def check_disk(run: Run, bundle: Bundle, config: TrainConfig) -> None:
    """Raise OSError before the first step where the disk cannot hold one checkpoint and the
    finished model.
    """
    one = planner.disk_gb(shape_of(bundle), settings_of(config), num_checkpoints=1)
    free = shutil.disk_usage(run.folder).free / 1e9
    if free < one:
        whole = planner.disk_gb(shape_of(bundle), settings_of(config), MAX_KEPT + 1)
        raise OSError(
            f"{run.folder} has {free:.1f} GB free, the run needs {one:.1f} GB for a checkpoint and"
            f" its model and {whole:.1f} GB with all that it keeps: make room, or name another"
            " output_dir"
        )


def memory_advice(
    error: BaseException,
    config: TrainConfig,
    bundle: Bundle,
    data: TrainingData,
    planned: list[list[int]],
) -> str:
    """Return what to lower after an out-of-memory error, with the memory that each choice is
    computed to need; empty for any other error.
    """
    import torch

    if not isinstance(error, torch.OutOfMemoryError):
        return ""
    costs = data.costs or [planner.Sample(num_tokens=n) for n in data.lengths]
    samples = max(([costs[i] for i in row] for row in planned), key=num_patches_of)
    gpu = present_gpu()
    return advice(samples, config, shape_of(bundle), gpu.memory_gb if gpu else math.inf)


def num_patches_of(samples: Sequence[planner.Sample]) -> int:
    """Return the patches of a row: they decide which row is the heaviest."""
    return sum(sample.num_patches for sample in samples)


def advice(
    samples: list[planner.Sample], config: TrainConfig, shape: ModelShape, card_gb: float = math.inf
) -> str:
    """Return the sentence about memory: what the heaviest row needs, and what less would need."""
    now = computed_gb(samples, config, shape, card_gb)
    half = samples[: max(1, len(samples) // 2)]
    choices: dict[str, tuple[list[planner.Sample], dict[str, Any]]] = {}
    if takes_packed_pass(config) and config.gradient_checkpointing:
        least = packed_memory([samples], config, shape).fitted(0.0).peak_gb
        tried = max(least, 0.8 * now)
        if tried < now:
            choices[f"max_memory_gb={math.ceil(tried)}"] = (samples, {"max_memory_gb": tried})
    if not config.gradient_checkpointing:
        choices["gradient_checkpointing=true"] = (samples, {"gradient_checkpointing": True})
    if not config.liger and not takes_packed_pass(config):
        choices["liger=true"] = (samples, {"liger": True})
    if len(samples) > 1:
        tokens = -(-sum(s.num_tokens for s in half) // 256) * 256
        choices[f"capacity_tokens={tokens}"] = (half, {})
    if config.trains_vision and not config.lora_rank:
        choices["trains_vision=false"] = (samples, {"trains_vision": False})
    if not config.lora_rank:
        choices["lora_rank=16 liger=true"] = (samples, {"lora_rank": 16, "liger": True})
    told = []
    for name, (row, change) in choices.items():
        lower = dataclasses.replace(config, **change)
        if (needed := computed_gb(row, lower, shape, card_gb)) < now:
            told.append(f"{name}: {needed:.0f} GB")
    return (
        f"out of GPU memory: the heaviest row ({sum(s.num_tokens for s in samples)} tokens,"
        f" {sum(s.num_patches for s in samples)} patches) is computed to need {now:.0f} GB; "
        + ("lower it with one of " + ", ".join(told) if told else "use a GPU with more memory")
    )


def takes_packed_pass(config: TrainConfig) -> bool:
    """Return whether a Qwen2-VL on a GPU takes the packed pass with these settings."""
    return config.packed_pass is not False and not config.lora_rank and config.attention != "sdpa"


def packed_memory(
    rows: Sequence[Sequence[planner.Sample]], config: TrainConfig, shape: ModelShape
) -> Memory:
    """Return what the memory of the packed pass over these rows follows from."""
    loads = [(sum(s.num_tokens for s in row), sum(s.num_patches for s in row)) for row in rows]
    return Memory(shape=shape, config=config, settings=settings_of(config), rows=loads)


def computed_gb(
    samples: Sequence[planner.Sample],
    config: TrainConfig,
    shape: ModelShape,
    card_gb: float = math.inf,
) -> float:
    """Return the largest memory of a step on one row, in 10^9 bytes, on a card of `card_gb`."""
    if not takes_packed_pass(config):
        return planner.peak_gb(samples, shape, settings_of(config))
    budget_gb = config.max_memory_gb or planner.SHARE_OF_GPU * card_gb
    return packed_memory([samples], config, shape).fitted(budget_gb).peak_gb


def plan_lines(
    costs: list[planner.Sample], config: TrainConfig, shape: ModelShape, *, gpu: str = ""
) -> list[tuple[str, str]]:
    """Return the plan of a run as (name, value): tokens, rows, steps, memory, time, disk.

    `gpu` names a card of `obvlib.models.GPUS`; empty stands for the present one, and where there is
    none, memory and time of a GPU are left out.
    """
    from obvlib.models import GPUS

    planned = plan_rows([s.num_tokens for s in costs], config)
    tokens = sum(s.num_tokens for s in costs) * config.num_epochs
    fill = tokens / (len(planned) * config.capacity_tokens)
    settings = settings_of(config)
    lines = [
        ("samples", f"{len(costs):,}, {config.num_epochs} times"),
        ("tokens", f"{tokens:,}"),
        ("rows", f"{len(planned):,} of {config.capacity_tokens:,} tokens, {fill:.0%} full"),
        ("steps", f"{num_steps(len(planned), config):,}"),
        ("disk", f"{planner.disk_gb(shape, settings, MAX_KEPT + 1):.2f} GB"),
    ]
    if gpu and gpu not in GPUS:
        raise ValueError(f"gpu {gpu!r} is not known: use one of {', '.join(GPUS)}")
    card = GPUS[gpu] if gpu else present_gpu()
    reached = planner.PACKED if takes_packed_pass(config) else planner.EFFICIENCY[False]
    if card is None:
        return [*lines, ("memory and time", "no GPU here; plan for one with --gpu H100")]
    rows = [[costs[i] for i in row] for row in planned]
    heaviest = max(computed_gb(row, config, shape, card.memory_gb) for row in rows)
    seconds = (
        sum(
            planner.step_seconds(planner.row_work(row, shape, settings), card, reached)
            for row in rows
        )
        / ranks.world_size()
    )
    fits = "" if heaviest <= planner.SHARE_OF_GPU * card.memory_gb else ": does not fit; "
    told = fits and advice(max(rows, key=num_patches_of), config, shape, card.memory_gb)
    return [
        *lines,
        ("memory", f"{heaviest:.0f} of {card.memory_gb:.0f} GB on one {card.name}{fits}{told}"),
        ("time", f"{progress.duration(seconds)}, reading clips not counted"),
    ]
