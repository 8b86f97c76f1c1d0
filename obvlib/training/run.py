"""Fine-tuning: packed rows through transformers' Trainer, on whatever devices accelerate finds.

The data side is ours (`inputs`, `packing`); the loop is not. Several devices, FSDP2 or DeepSpeed
are a matter of `accelerate`'s configuration, never of code here. A stopped run is resumed by
calling `train` again with the same settings.
"""

from __future__ import annotations

import dataclasses
import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from obvlib.inputs import IGNORE, collate, pack

if TYPE_CHECKING:
    import torch

    from obvlib.inputs import ModelInput
    from obvlib.models import Bundle


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How to fine-tune. The defaults are the paper's (section 4 and its training script); `mini`
    changes what it must.
    """

    output_dir: Path
    capacity_tokens: int = 16_384  # of one packed row; a longer sample is refused by name
    rows_per_step: int = 8  # packed rows per optimiser step and device (gradient accumulation)
    num_epochs: int = 1
    optimizer: str = (
        "adamw"  # or "muon", for a small model from scratch, see obvlib.training.optimizers
    )
    learning_rate: float = 1e-5  # peak, after warm-up; cosine to zero
    warmup_fraction: float = 0.1  # of all steps
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    pack_window: int = (
        # samples shuffled together before they are packed: long samples don't all meet in the first
        # steps
        2_048
    )
    seed: int = 0
    attention: str = "auto"  # for packed rows, see obvlib.models.attention
    bf16: bool = True
    gradient_checkpointing: bool = True
    # fused linear cross-entropy: no (tokens, vocabulary) logits in memory; needs liger-kernel >=
    # 0.8 and CUDA
    liger: bool = False
    save_steps: int = 200  # optimiser steps between checkpoints
    log_steps: int = 10
    num_workers: int = 0  # processes that read clips ahead

    def __post_init__(self) -> None:
        for name in (
            "capacity_tokens",
            "rows_per_step",
            "num_epochs",
            "pack_window",
            "save_steps",
            "log_steps",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.optimizer not in ("adamw", "muon"):
            raise ValueError(f"optimizer is {self.optimizer!r}; use 'adamw' or 'muon'")
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate is {self.learning_rate}; it must be above 0")
        if not 0 <= self.warmup_fraction < 1:
            raise ValueError(
                f"warmup_fraction is {self.warmup_fraction}; it is a share of all steps, from 0 up"
                " to 1"
            )

    @classmethod
    def mini(cls, output_dir: Path, **changes: Any) -> TrainConfig:
        """A two-million-parameter model from scratch on a CPU: small rows, a large learning rate,
        float32.
        """
        settings = {
            "capacity_tokens": 4_096,
            "rows_per_step": 1,
            "pack_window": 1,
            "optimizer": "muon",
            "learning_rate": 2e-3,
            "warmup_fraction": 0.05,
            "weight_decay": 0.01,
            "bf16": False,
            "gradient_checkpointing": False,
            "save_steps": 100_000,
            "log_steps": 25,
        }
        return cls(output_dir=output_dir, **(settings | changes))

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self) | {"output_dir": str(self.output_dir)}


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """What a run did: loss by step, and how long it took."""

    # (optimiser step, mean loss per label token since the last entry)
    losses: tuple[tuple[int, float], ...]
    num_steps: int
    num_rows: int
    seconds: float

    @classmethod
    def from_json(cls, path: Path) -> TrainResult:
        """Read back the `train.json` that `train` wrote."""
        row = json.loads(path.read_text())
        row["losses"] = tuple(map(tuple, row["losses"]))
        return cls(**{f.name: row[f.name] for f in dataclasses.fields(cls)})


class PackedRows:
    """Packed rows as a dataset: `rows[i]` lists samples, read and collated only when asked for.
    Works as a torch map-style dataset.
    """

    def __init__(self, rows: list[list[int]], load: Callable[[int], ModelInput]):
        self.rows, self.load = rows, load

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return collate([self.load(i) for i in self.rows[index]])


def plan_rows(lengths: Sequence[int], config: TrainConfig) -> list[list[int]]:
    """Rows of sample indices for all epochs, in training order: shuffle, pack window by window,
    shuffle the rows of each epoch.

    Best fit puts samples of one length, and so often of one kind, into one row. Rows of a few long
    clips need it, and a step of several rows evens it out. Rows of dozens of short clips do better
    in shuffled order (`pack_window` 1): each is a fair draw, and the room left over is small. The
    order depends on `seed` and the epoch alone.
    """
    plan = []
    for epoch in range(config.num_epochs):
        rng = random.Random(f"{config.seed}/{epoch}")
        order = rng.sample(range(len(lengths)), len(lengths))
        if config.pack_window == 1:
            plan += fill_in_order(order, lengths, config.capacity_tokens)
            continue
        rows = []
        for start in range(0, len(order), config.pack_window):
            window = order[start : start + config.pack_window]
            rows += [
                [window[i] for i in row]
                for row in pack([lengths[i] for i in window], config.capacity_tokens)
            ]
        rng.shuffle(rows)
        plan += rows
    return plan


def fill_in_order(order: Sequence[int], lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Rows of the samples as they come: a row is closed when the next sample does not fit.
    ValueError for one longer than a row.
    """
    rows: list[list[int]] = []
    room = 0
    for sample in order:
        if lengths[sample] > capacity:
            raise ValueError(
                f"sample {sample} has {lengths[sample]} tokens, a row holds {capacity}: drop it"
                " with a reason"
            )
        if lengths[sample] > room:
            rows.append([])
            room = capacity
        rows[-1].append(sample)
        room -= lengths[sample]
    return rows


def train(
    config: TrainConfig,
    bundle: Bundle,
    load: Callable[[int], ModelInput],
    lengths: Sequence[int],
    *,
    on_log: Callable[[int, float], None] | None = None,
) -> TrainResult:
    """Fine-tune `bundle.model` in place on the samples `load(i)` of `lengths[i]` tokens, and save
    it to `config.output_dir/"model"`.

    The loss is the sum over label tokens divided by their number in the whole step, so that neither
    accumulation nor packing changes what a token counts. Trainer shifts nothing here: `labels[i]`
    is the token at i, and the model predicts it from i − 1.
    """
    from transformers import PrinterCallback

    from obvlib.models import attention, no_progress_bars

    _refuse_data_parallel()
    attention.use(bundle.model, config.attention)
    rows = plan_rows(lengths, config)
    started = time.monotonic()
    trainer = _trainer_class()(
        model=bundle.model,
        args=_arguments(config),
        train_dataset=PackedRows(rows, load),
        data_collator=_only_row if config.liger else _label_positions_only,
        callbacks=[_log_callback(on_log)] if on_log else None,
        optimizers=(_optimizer(bundle.model, config), None),
    )
    trainer.remove_callback(PrinterCallback)  # `on_log` says what there is to say
    with no_progress_bars():
        trainer.train(resume_from_checkpoint=_last_checkpoint(config))
    losses = tuple(
        (entry["step"], entry["loss"]) for entry in trainer.state.log_history if "loss" in entry
    )
    result = TrainResult(
        losses=losses,
        num_steps=trainer.state.global_step,
        num_rows=len(rows),
        seconds=time.monotonic() - started,
    )
    if trainer.is_world_process_zero():
        bundle.save(config.output_dir / "model")
        summary = {"config": config.to_dict(), **dataclasses.asdict(result)}
        (config.output_dir / "train.json").write_text(json.dumps(summary, indent=1) + "\n")
    return result


def _arguments(config: TrainConfig) -> Any:
    import torch
    from transformers import TrainingArguments

    # in later releases of transformers
    renamed = hasattr(TrainingArguments, "activation_checkpointing")
    return TrainingArguments(
        output_dir=str(config.output_dir / "checkpoints"),
        per_device_train_batch_size=1,  # one packed row
        gradient_accumulation_steps=config.rows_per_step,
        num_train_epochs=1,  # the plan already holds every epoch
        learning_rate=config.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=config.warmup_fraction,
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm,
        bf16=config.bf16,
        **{
            (
                "activation_checkpointing" if renamed else "gradient_checkpointing"
            ): config.gradient_checkpointing
        },
        use_liger_kernel=config.liger,
        use_cpu=not torch.cuda.is_available(),
        dataloader_num_workers=config.num_workers,
        dataloader_pin_memory=torch.cuda.is_available(),
        train_sampling_strategy="sequential",  # the plan is the order
        remove_unused_columns=False,
        logging_steps=config.log_steps,
        save_steps=config.save_steps,
        save_total_limit=2,
        report_to="none",
        disable_tqdm=True,
        seed=config.seed,
        data_seed=config.seed,
    )


def _optimizer(model: Any, config: TrainConfig) -> Any:
    """None leaves the choice to Trainer, which knows how devices share an AdamW."""
    if config.optimizer == "adamw":
        return None
    from obvlib.training.optimizers import MuonAdamW

    return MuonAdamW(model, lr=config.learning_rate, weight_decay=config.weight_decay)


def _trainer_class() -> type:
    """Trainer, with checkpoints read the way they are written.

    transformers saves Qwen2-VL under the hub's old parameter names, and Trainer then loads a
    checkpoint by the new ones: nothing fits, a warning is logged, and the "resumed" run goes on
    from the weights it was built with.
    """
    from transformers import Trainer

    from obvlib.models import load_weights

    class Resuming(Trainer):
        def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
            if self.is_fsdp_enabled or self.is_deepspeed_enabled:
                return super()._load_from_checkpoint(resume_from_checkpoint, model)
            return load_weights(self.model, Path(resume_from_checkpoint))

    return Resuming


def _refuse_data_parallel() -> None:
    """One process that sees several GPUs would split packed rows along the wrong axis: ask for one
    process a GPU.
    """
    import torch
    from accelerate import PartialState

    if torch.cuda.device_count() > 1 and PartialState().num_processes == 1:
        raise RuntimeError(
            f"{torch.cuda.device_count()} GPUs but one process: start it with `accelerate launch -m"
            " obvlib.cli train …` or show it one GPU with CUDA_VISIBLE_DEVICES=0"
        )


def _only_row(rows: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """The collator: a packed row is a batch already. No cache: with one, transformers forgets where
    samples begin.
    """
    (row,) = rows
    return row | {"use_cache": False}


def _label_positions_only(rows: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Logits only where something is learned, which spares most of a CPU's work: position i − 1
    predicts the label at i.
    """
    row = _only_row(rows)
    keep = (row["labels"][0, 1:] != IGNORE).nonzero().flatten()  # (K,)
    return row | {"logits_to_keep": keep, "shift_labels": row["labels"][:, keep + 1]}


def _last_checkpoint(config: TrainConfig) -> str | None:
    from transformers.trainer_utils import get_last_checkpoint

    folder = config.output_dir / "checkpoints"
    return get_last_checkpoint(str(folder)) if folder.is_dir() else None


def _log_callback(on_log: Callable[[int, float], None]) -> Any:
    from transformers import TrainerCallback

    class Log(TrainerCallback):
        def on_log(self, args, state, control, logs=None, **kwargs):
            if logs and "loss" in logs:
                on_log(state.global_step, logs["loss"])

    return Log()
