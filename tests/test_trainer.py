"""The Trainer around packed rows: the time that it waits for clips, and what it tells an engine
that shards weights.
"""

import time
from types import SimpleNamespace

import pytest
import torch

from obvlib import mini
from obvlib.models import tiny_bundle
from obvlib.training import progress, runs
from obvlib.training.config import TrainConfig
from obvlib.training.run import TrainingData, Watchers, train_in
from obvlib.training.samples import Views
from obvlib.training.trainer import arguments, keep_sums_exact


def test_the_wait_for_clips_is_measured_and_said(tmp_path):
    bundle, entries = tiny_bundle(), []
    views = Views(mini.generated_clips(4, num_workers=1), bundle, num_views=1)

    def load(index):
        time.sleep(0.05)
        return views.load(index)

    config = TrainConfig.mini(
        tmp_path / "run", capacity_tokens=max(views.lengths()), log_steps=1, num_workers=0,
        tracker="none", save_steps=100,
    )  # fmt: skip
    run = runs.open_run(config.output_dir, {"test": "waits"})
    data = TrainingData(load=load, lengths=views.lengths())
    train_in(run, config, bundle, data, Watchers(on_progress=entries.append))
    waited = [entry["waited_s"] for entry in entries]
    assert all(w < entry["seconds"] for w, entry in zip(waited, entries, strict=True))
    # the first row may come before the clock
    assert sum(waited) > 0.05 * (len(views.lengths()) - 1)


def test_a_wait_worth_mentioning_stands_in_the_line():
    speed = progress.Speed(tokens=[100] * 4, rows_per_step=1, num_steps=4)
    speed.start(0)
    speed.waited_s += 5.0
    entry = {"step": 1, "num_steps": 4, "loss": 1.0} | speed.measure(1)
    assert entry["waited_s"] == 5.0 and speed.waited_s == 0.0
    assert "50% waiting for clips" in progress.line(entry | {"seconds": 10.0})
    assert "waiting" not in progress.line(entry | {"seconds": 1000.0})


def test_fsdp2_computes_in_bf16_and_adds_in_fp32():
    from torch.distributed.fsdp import MixedPrecisionPolicy

    made = MixedPrecisionPolicy(
        param_dtype=torch.bfloat16, reduce_dtype=torch.bfloat16, output_dtype=torch.bfloat16
    )
    plugin = SimpleNamespace(fsdp_version=2, mixed_precision_policy=made)
    keep_sums_exact(plugin)
    policy = plugin.mixed_precision_policy
    assert (policy.param_dtype, policy.reduce_dtype) == (torch.bfloat16, torch.float32)
    assert policy.output_dtype is None  # the loss keeps its digits
    older = SimpleNamespace(fsdp_version=1, mixed_precision_policy="its own")
    keep_sums_exact(older)
    assert older.mixed_precision_policy == "its own"


@pytest.mark.parametrize("sharded", [False, True])
def test_sharded_gradients_are_divided_at_every_row(tmp_path, monkeypatch, sharded):
    monkeypatch.setattr("obvlib.training.trainer.weights_are_sharded", lambda: sharded)
    run = SimpleNamespace(checkpoints_dir=tmp_path)
    made = arguments(TrainConfig.mini(tmp_path, rows_per_step=4), run, 10, tiny_bundle().model)
    told = made.accelerator_config.gradient_accumulation_kwargs or {}
    assert bool(told.get("sync_each_batch")) == sharded
    assert made.gradient_accumulation_steps == 4
