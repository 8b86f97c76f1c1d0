"""transformers' Trainer with what our runs need: whole checkpoints, a stop at the first loss that
is not finite, a note of skipped samples, and speed in its log.
"""

from __future__ import annotations

import dataclasses
import errno
import json
import math
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_pt_utils import nested_gather

from obvlib.core import ranks
from obvlib.models import load_weights
from obvlib.models.packed_forward import Fast
from obvlib.training import checkpoints
from obvlib.training.config import TrainConfig
from obvlib.training.optimizers import weights_are_sharded
from obvlib.training.progress import Speed
from obvlib.training.runs import Run

MIN_SAMPLES_SEEN = 50  # before a share of skipped samples means anything


class TrainingStopped(RuntimeError):
    """A run that cannot go on; the message says why, what is kept and what to change."""


class PackedTrainer(Trainer):
    """Trainer over packed rows of one run."""

    def __init__(
        self, *args: Any, run: Run, speed: Speed, max_skipped_share: float, **options: Any
    ):
        super().__init__(*args, **options)
        if self.is_fsdp_enabled:
            keep_sums_exact(self.accelerator.state.fsdp_plugin)
        plugin = self.accelerator.state.deepspeed_plugin if self.is_deepspeed_enabled else None
        if plugin and plugin.zero_stage == 3:
            raise ValueError(
                "DeepSpeed's zero_stage is 3, whose sharded weights cannot be saved here; use"
                " --zero_stage 2, or --use_fsdp --fsdp_version 2, which shards weights too"
            )
        self.run, self.speed, self.max_skipped_share = run, speed, max_skipped_share
        self.num_skipped = self.num_rows_seen = 0

    def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any, **options: Any) -> Any:
        """Compute the loss of a row, after noting which of its samples were skipped."""
        self.num_rows_seen += 1
        if skipped := inputs.pop("skipped", None):
            self._note_skipped(skipped)
        if options.get("num_items_in_batch") is not None:  # no label in a whole step: loss 0
            options["num_items_in_batch"] = torch.clamp(
                torch.as_tensor(options["num_items_in_batch"]), min=1
            )
        return super().compute_loss(model, inputs, *args, **options)

    def get_batch_samples(self, *args: Any, **options: Any) -> Any:
        """Fetch the rows of a step, and count the time that they let the loop wait."""
        began = time.monotonic()
        fetched = super().get_batch_samples(*args, **options)
        self.speed.waited_s += time.monotonic() - began
        return fetched

    def _note_skipped(self, skipped: list[tuple[int, str]]) -> None:
        with open(self.run.folder / "skipped.jsonl", "a", encoding="utf-8") as out:
            for sample, reason in skipped:
                row = {"step": self.state.global_step, "sample": int(sample), "reason": reason}
                out.write(json.dumps(row, ensure_ascii=False) + "\n")
        self.num_skipped += len(skipped)
        seen = self.num_rows_seen * self.speed.samples_per_row
        if seen >= MIN_SAMPLES_SEEN and self.num_skipped > self.max_skipped_share * seen:
            raise TrainingStopped(
                f"{self.num_skipped} of about {seen:.0f} samples could not be read, the last one"
                f" because of {skipped[-1][1]}; see {self.run.folder / 'skipped.jsonl'}; mend the"
                f" clips, or raise max_skipped_share ({self.max_skipped_share})"
                f"{self._kept()}"
            )

    def _maybe_log_save_evaluate(
        self, tr_loss: torch.Tensor, grad_norm: Any, *args: Any, **options: Any
    ) -> None:
        """Stop at a loss or gradient that is not finite, before it is logged or saved."""
        if self.control.should_log or self.control.should_save:
            loss = nested_gather(tr_loss, self.args.parallel_mode).mean().item()
            norm = float(grad_norm) if grad_norm is not None else 0.0
            for name, value in (("loss", loss), ("gradient norm", norm)):
                if not math.isfinite(value):
                    raise TrainingStopped(
                        f"the {name} is {value} at step {self.state.global_step}; lower"
                        f" learning_rate ({self.args.learning_rate}) or look at the samples of that"
                        f" step{self._kept()}"
                    )
        super()._maybe_log_save_evaluate(tr_loss, grad_norm, *args, **options)

    def _kept(self) -> str:
        steps = checkpoints.steps(self.run.checkpoints_dir)
        last = f"checkpoint-{steps[-1]}" if steps else "no checkpoint yet"
        return f"; the last good state is kept ({last} in {self.run.checkpoints_dir})"

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log what Trainer logs, with the speed since the last entry."""
        if "loss" in logs:
            logs = logs | self.speed.measure(self.state.global_step)
        super().log(logs, start_time)

    def _get_output_dir(self, trial: Any) -> str:
        return str(checkpoints.partial_dir(self.run.checkpoints_dir, self.state.global_step))

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Write a checkpoint aside on all ranks, then rename it."""
        partial = Path(self._get_output_dir(trial))
        problem = ""
        try:
            super()._save_checkpoint(model, trial)
        except Exception as error:
            problem = _full_disk(error, partial)
            if not problem:
                raise
        if problems := [p for p in ranks.all_of(problem) if p]:
            shutil.rmtree(partial, ignore_errors=True)
            raise OSError(errno.ENOSPC, problems[0] + self._kept())
        if ranks.is_first():
            checkpoints.complete(self.run.checkpoints_dir, self.state.global_step)
        ranks.barrier()

    def full_weights(self) -> dict[str, torch.Tensor] | None:
        """Return the gathered weights where the engine shards them, else None; every process must
        call this.
        """
        self.accelerator.unwrap_model(self.model_wrapped, keep_fp32_wrapper=False)
        if self.is_fsdp_enabled:
            return self.accelerator.get_state_dict(self.model_wrapped)
        return None

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """Read a checkpoint the way it was written.

        transformers saves Qwen2-VL under the hub's old parameter names, and Trainer then loads a
        checkpoint by the new ones: nothing fits, a warning is logged, and the "resumed" run goes on
        from the weights it was built with.
        """
        if self.is_fsdp_enabled or self.is_deepspeed_enabled or hasattr(self.model, "peft_config"):
            return super()._load_from_checkpoint(resume_from_checkpoint, model)
        whole: Any = self.model
        return load_weights(whole, Path(resume_from_checkpoint))


def keep_sums_exact(plugin: Any) -> None:
    """Have FSDP2 compute in its type (bf16) but add gradients of several processes in fp32, and
    leave the loss as it is: accelerate would round both to bf16.
    """
    policy = plugin.mixed_precision_policy
    if plugin.fsdp_version == 2 and policy is not None and policy.param_dtype is not None:
        exact = {"reduce_dtype": torch.float32, "output_dtype": None}
        plugin.mixed_precision_policy = dataclasses.replace(policy, **exact)


def _full_disk(error: Exception, partial: Path) -> str:
    """Say that the disk is full where that is behind an error of a writer; else nothing."""
    text = str(error).lower()
    full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    if not (full or any(words in text for words in ("no space", "file write failed", "too large"))):
        return ""
    free = shutil.disk_usage(partial.parent).free / 1e9
    return (
        f"no space left for a checkpoint in {partial.parent}: {free:.1f} GB are free; make room, or"
        " name another output_dir, and start the same command again"
    )


class Watch(TrainerCallback):
    """Calls `on_log(step, loss)` and `on_progress(entry)` at each entry of the log."""

    def __init__(
        self,
        on_log: Callable[[int, float], None] | None,
        on_progress: Callable[[dict[str, float]], None] | None,
    ) -> None:
        self.call, self.progress = on_log, on_progress

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Hand on what is logged."""
        if not logs or "loss" not in logs or not state.is_world_process_zero:
            return
        if self.progress:
            self.progress({"step": state.global_step, "num_steps": state.max_steps, **logs})
        if self.call:
            self.call(state.global_step, logs["loss"])


def arguments(
    config: TrainConfig, run: Run, num_steps: int, model: Any, taken: Fast | None = None
) -> TrainingArguments:
    """Return Trainer's arguments for a run of `num_steps` optimizer steps of `model` by the pass
    `taken`, which keeps its own choice of activations.

    Autocast serves fp32 weights only: bf16 weights, whose masters the optimizer holds, make bf16
    products by themselves.
    """
    has_fp32 = any(w.dtype == torch.float32 for w in model.parameters() if w.requires_grad)
    # in later releases of transformers
    renamed = hasattr(TrainingArguments, "activation_checkpointing")
    keeps_less = config.gradient_checkpointing and taken is None
    checkpointing: dict[str, Any] = (
        {"activation_checkpointing": keeps_less}
        if renamed
        else {
            "gradient_checkpointing": keeps_less,
            "gradient_checkpointing_kwargs": {"use_reentrant": False},
        }
    )
    on_gpu = torch.cuda.is_available()
    return TrainingArguments(
        output_dir=str(run.checkpoints_dir),
        per_device_train_batch_size=1,  # one packed row
        gradient_accumulation_steps=config.rows_per_step,
        num_train_epochs=1,  # the plan already holds every epoch
        learning_rate=config.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=config.warmup_fraction,
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm,
        bf16=config.bf16 and has_fp32,
        **checkpointing,
        use_liger_kernel=config.liger and taken is None,
        use_cpu=not on_gpu,
        dataloader_num_workers=workers_of(config),
        dataloader_pin_memory=on_gpu,
        train_sampling_strategy="sequential",  # the plan is the order
        remove_unused_columns=False,
        # gradients of sharded weights are reduced and divided at every row, not held whole
        accelerator_config={"gradient_accumulation_kwargs": {"sync_each_batch": True}}
        if weights_are_sharded()
        else None,
        logging_steps=config.log_steps,
        logging_nan_inf_filter=False,  # a loss of NaN or infinity ends the run
        save_steps=config.steps_between_saves(num_steps),
        save_total_limit=None,  # obvlib.training.checkpoints counts by step
        report_to="none",  # the tracker is a callback of ours
        disable_tqdm=True,
        ddp_find_unused_parameters=False,  # every row reaches every weight, see rows.PackedRows
        seed=config.seed,
        data_seed=config.seed,
    )


def workers_of(config: TrainConfig) -> int:
    """Return how many processes read clips ahead."""
    return ranks.num_readers() if config.num_workers is None else config.num_workers


def tracker_callback(name: str, run: Run) -> tuple[Any, str]:
    """Return (the callback that records the log, a sentence), or (None, why there is none)."""
    from transformers import integrations

    if name == "none":
        return None, "no tracker"
    try:
        if name == "tensorboard":
            from torch.utils.tensorboard import SummaryWriter

            logs = run.folder / "logs"
            made = integrations.TensorBoardCallback(SummaryWriter(log_dir=str(logs)))
            return made, f"tensorboard --logdir {logs}"
        kind = {"trackio": "TrackioCallback", "wandb": "WandbCallback"}[name]
        __import__(name)
        return getattr(integrations, kind)(), f"{name}, run {run.key}"
    except ImportError as error:
        return None, f"no {name} ({error}): pip install {name}, or set tracker=none"
