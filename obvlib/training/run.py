"""Fine-tuning: packed rows through transformers' Trainer, on whatever devices accelerate finds.

The data side is ours (`inputs`, `rows`); the loop is not. Several devices, FSDP2 or DeepSpeed are a
matter of `accelerate`'s configuration, never of code here. A stopped run is resumed by calling
`train` again with the same settings.
"""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from obvlib import inputs, models
from obvlib.core import Provenance, ranks
from obvlib.core.files import PARTIAL_PREFIX
from obvlib.core.jsonl import read_rows
from obvlib.core.provenance import hash_code
from obvlib.training import (
    adapters,
    checkpoints,
    forecast,
    loading,
    masters,
    model_card,
    optimizers,
    passes,
    rows,
    runs,
)
from obvlib.training.config import TrainConfig
from obvlib.training.rows import PackedRows, fingerprint, plan_rows
from obvlib.training.run_records import TrainingData, TrainResult, Watchers
from obvlib.training.runs import Run

if TYPE_CHECKING:
    import torch

    from obvlib.inputs import ModelInput
    from obvlib.models import Bundle
    from obvlib.training.trainer import PackedTrainer


def train(
    config: TrainConfig,
    bundle: Bundle,
    load: Callable[[int], ModelInput],
    lengths: Sequence[int],
    *,
    on_log: Callable[[int, float], None] | None = None,
) -> TrainResult:
    """Fine-tune `bundle.model` in place on the samples `load(i)` of `lengths[i]` tokens, and save
    it to `result.folder / "model"`.

    The folder is `config.output_dir`, or one beside it where that belongs to another run
    (`obvlib.training.runs`). A run that is finished already gives its weights and its result.

    The loss is the sum over label tokens divided by their number in the whole step, so that neither
    accumulation nor packing changes what a token counts. Trainer shifts nothing here: `labels[i]`
    is the token at i, and the model predicts it from i − 1.
    """
    asked = None
    if ranks.is_first():
        asked = asked_of(config, bundle, fingerprint(load, lengths))
    run = open_run(config, asked)
    watchers = Watchers(on_log=on_log)
    with held(run, watchers):
        return train_in(run, config, bundle, TrainingData(load=load, lengths=lengths), watchers)


def asked_of(config: TrainConfig, bundle: Bundle, data_hash: str) -> dict[str, Any]:
    """Return all that decides a run's weights: settings, data, the model it starts from, and the
    code that matters.
    """
    return {
        "settings": config.decisive(),
        "data": data_hash,
        "model": f"{bundle.name}, {bundle.revision}, weights {bundle.weights_digest()}",
        "code": hash_code(inputs, models, rows, passes, loading, optimizers, masters, adapters),
        "processes": ranks.world_size(),
    }


def open_run(config: TrainConfig, asked: dict[str, Any] | None) -> Run:
    """Return the run for what is asked, the same in every process; the first one claims its
    folder, and the others need not know what is asked.
    """
    run = runs.open_run(config.output_dir, asked) if asked is not None else None
    return ranks.from_first(run)


@contextmanager
def held(run: Run, watchers: Watchers) -> Iterator[None]:
    """Hold the run's lock in the first process, and let the others wait until it has it."""
    with ExitStack() as stack:
        if ranks.is_first():
            stack.enter_context(runs.locked(run, say=watchers.say))
            if run.beside:
                watchers.say(
                    f"the folder asked for holds another run ({run.beside}): this one goes to"
                    f" {run.folder}"
                )
        ranks.barrier()
        yield


def finished(run: Run, bundle: Bundle) -> TrainResult | None:
    """Return the result of a run that has ended, after giving `bundle.model` its weights; else
    None.
    """
    note = ranks.from_first(runs.finished(run) if ranks.is_first() else None)
    if note is None:
        return None
    models.load_weights(bundle.model, run.model_dir)
    return TrainResult.from_note(run.folder, note)


def train_in(
    run: Run, config: TrainConfig, bundle: Bundle, data: TrainingData, watchers: Watchers
) -> TrainResult:
    """Train in a run's folder, whose lock the first process holds; see `train`."""
    if result := finished(run, bundle):
        return result
    started = time.monotonic()
    planned = _planned(config, data, watchers)
    checkpoint = ranks.from_first(_newest_checkpoint(run, watchers) if ranks.is_first() else None)
    dtype = bundle.model.dtype
    trainer = _trainer(run, config, bundle, data, planned, watchers)
    first_step = checkpoints.step_of(checkpoint)
    try:
        trainer.speed.start(first_step)
        with models.no_progress_bars():
            trainer.train(resume_from_checkpoint=checkpoint and str(checkpoint))
    except Exception as error:
        if advice := forecast.memory_advice(error, config, bundle, data, planned):
            raise MemoryError(advice) from None
        raise
    finally:
        passes.restore(bundle)
    logged = [entry for entry in trainer.state.log_history if "loss" in entry]
    before_s = sum(entry.get("seconds", 0.0) for entry in logged if entry["step"] <= first_step)
    result = TrainResult(
        losses=tuple((int(entry["step"]), entry["loss"]) for entry in logged),
        num_steps=trainer.state.global_step,
        num_rows=len(planned),
        seconds=before_s + time.monotonic() - started,
        skipped=_skipped(run),
        folder=run.folder,
    )
    _save(run, config, bundle, data, result, trainer, dtype)
    return result


def _planned(config: TrainConfig, data: TrainingData, watchers: Watchers) -> list[list[int]]:
    """Return the rows in training order, dealt to the processes."""
    num = ranks.world_size()
    visual = [cost.num_patches for cost in data.costs] or list(data.lengths)
    planned = rows.dealt(plan_rows(data.lengths, config), visual, config.rows_per_step, num)
    if num > 1 and ranks.is_first():
        share = rows.imbalance(planned, visual, num)
        watchers.say(f"{num} processes; visual tokens of the largest over their mean: {share:.3f}")
    return planned


def _newest_checkpoint(run: Run, watchers: Watchers) -> Path | None:
    checkpoints.remove_partial(run.checkpoints_dir)
    checkpoint, notes = checkpoints.newest(run.checkpoints_dir)
    for note in notes:
        watchers.say(note)
    if checkpoint:
        watchers.say(f"going on from {checkpoint}")
    return checkpoint


def _trainer(
    run: Run,
    config: TrainConfig,
    bundle: Bundle,
    data: TrainingData,
    planned: list[list[int]],
    watchers: Watchers,
) -> PackedTrainer:
    from transformers import PrinterCallback

    from obvlib.models import attention
    from obvlib.training import trainer as made

    _refuse_data_parallel()
    chosen = attention.use(bundle.model, config.attention)
    costs = [[data.costs[i] for i in row] for row in planned] if data.costs else []
    taken, kept = passes.fitted(passes.packed_pass(bundle, config), bundle, config, costs)
    make_row = passes.prepare(bundle, taken)
    model = adapters.prepare(bundle.model, config)
    speed = forecast.speed(config, bundle, data, planned)
    optimizer = optimizers.make(model, config)
    if optimizer is None:  # Trainer's, which has no masters of its own
        adapters.keep_masters(model)
    forecast.check_disk(run, bundle, config)
    callbacks = [made.Watch(watchers.on_log, watchers.on_progress)]
    if ranks.is_first():
        tracker, note = made.tracker_callback(config.tracker, run)
        callbacks += [tracker] if tracker else []
        watchers.say(
            f"run {run.key} in {run.folder}: attention {chosen},"
            f" {passes.told(taken, kept)}, {'bf16' if config.bf16 else 'fp32'} products,"
            f" fp32 masters, Liger {'on' if config.liger and taken is None else 'off'},"
            f" {made.workers_of(config)} readers; {note}"
        )
    blank = rows.blank_sample(bundle.tokenizer, bundle.spec, normalise=taken is None)
    dataset = PackedRows(planned, data.load, blank, make=make_row)
    collators = {
        True: loading.row_of,
        False: rows.only_row if config.liger else rows.label_positions_only,
    }
    trainer = made.PackedTrainer(
        model=model,
        args=made.arguments(config, run, speed.num_steps, model, taken),
        train_dataset=dataset,
        data_collator=collators[taken is not None],
        callbacks=callbacks,
        optimizers=(optimizer, None),
        run=run,
        speed=speed,
        max_skipped_share=config.max_skipped_share,
    )
    trainer.remove_callback(PrinterCallback)  # `on_log` says what there is to say
    return trainer


def _save(
    run: Run,
    config: TrainConfig,
    bundle: Bundle,
    data: TrainingData,
    result: TrainResult,
    trainer: PackedTrainer,
    dtype: torch.dtype,
) -> None:
    """Write model, processor and card aside, rename them into place, and note the run as finished.

    Every process takes part in gathering sharded weights; the first one writes. Weights are saved
    in the type in which the model was loaded; the fp32 masters are in the last checkpoint.
    """
    weights = trainer.full_weights()  # None where the model holds them all
    partial = run.folder / f"{PARTIAL_PREFIX}model"
    if ranks.is_first():
        shutil.rmtree(partial, ignore_errors=True)
    if config.lora_rank:
        adapters.merge(trainer.model, partial / "adapter")
    if weights is None:
        model: Any = bundle.model
        model.to(dtype)
    if ranks.is_first():
        if weights is not None:
            weights = {name: value.to(dtype) for name, value in weights.items()}
        with models.no_progress_bars():
            bundle.model.save_pretrained(partial, state_dict=weights)
        bundle.save_processor(partial, data.policy)
        facts = {
            "provenance": Provenance.collect(seed=config.seed, data_hash=run.key).to_dict(),
            "config": config.to_dict(),
            "model": f"{bundle.name}, {bundle.revision}",
            "data": data.facts,
            **dataclasses.asdict(result),
        }
        del facts["folder"]
        (partial / "README.md").write_text(model_card.render(facts), encoding="utf-8")
        runs.put_in_place(partial, run.model_dir)
        runs.finish(run, facts)
    ranks.barrier()


def _skipped(run: Run) -> tuple[tuple[int, str], ...]:
    """Return (sample, reason) of every sample that was skipped, once, whichever process met it."""
    path = run.folder / "skipped.jsonl"
    if not path.is_file():
        return ()
    found = {row["sample"]: row["reason"] for _, row in read_rows(path)}
    return tuple(sorted(found.items()))


def _refuse_data_parallel() -> None:
    """Refuse one process that sees several GPUs, which would split packed rows along the wrong
    axis: ask for one process a GPU.
    """
    import torch

    if torch.cuda.device_count() > 1 and ranks.world_size() == 1:
        raise RuntimeError(
            f"{torch.cuda.device_count()} GPUs but one process: start it with `accelerate launch -m"
            " obvlib.cli train …` or show it one GPU with CUDA_VISIBLE_DEVICES=0"
        )
