"""What ends a run, or keeps one from starting: no room for a checkpoint, clips of another frame
policy, too little memory; and the plan that says it before. The sentence names the remedy.
"""

import dataclasses
import re
import resource
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from obvlib import mini, recipes
from obvlib.cli.train_run import print_plan
from obvlib.core import FramePolicy
from obvlib.core.records import Clip
from obvlib.media import prepare_clip, write_video
from obvlib.models import GPUS, MODELS, tiny_bundle
from obvlib.training import checkpoints, forecast, planner
from obvlib.training.config import TrainConfig
from obvlib.training.keeping import Memory, kept_of_text
from obvlib.training.run import train
from obvlib.training.samples import Built, Views

GB = 1e9


@pytest.fixture(scope="module")
def clips():
    return mini.generated_clips(6, num_workers=1)


def small(tmp_path, **changes):
    settings = {"capacity_tokens": 400, "log_steps": 1, "save_steps": 2, "tracker": "none"}
    return TrainConfig.mini(tmp_path / "run", **(settings | changes))


def test_a_disk_that_fills_up_ends_the_run_and_keeps_the_last_checkpoint(tmp_path, clips):
    views = Views(clips[:6], tiny_bundle(), num_views=3)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def on_log(step, loss):
        if step == 4:  # no file may grow beyond a megabyte: as on a disk without room
            resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))

    config = small(tmp_path)
    said = r"no space left for a checkpoint.*name another output_dir.*kept \(checkpoint-2 in"
    try:
        with pytest.raises(OSError, match=said):
            train(config, tiny_bundle(), views.load, views.lengths(), on_log=on_log)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    kept = config.output_dir / "checkpoints"
    assert [path.name for path in kept.iterdir()] == ["checkpoint-2"]
    assert checkpoints.newest(kept) == (kept / "checkpoint-2", [])


def test_a_disk_without_room_for_one_checkpoint_is_said_before_the_first_step(
    tmp_path, clips, monkeypatch
):
    views = Views(clips[:2], tiny_bundle(), num_views=2)
    full = SimpleNamespace(total=GB, used=GB, free=0.001 * GB)
    monkeypatch.setattr(forecast.shutil, "disk_usage", lambda path: full)
    with pytest.raises(OSError, match=r"has 0\.0 GB free, the run needs 0\.0 GB .* output_dir"):
        train(small(tmp_path), tiny_bundle(), views.load, views.lengths())


def test_clips_that_were_prepared_with_another_frame_policy_are_refused_by_name(tmp_path):
    bundle = dataclasses.replace(tiny_bundle(), name=str(tmp_path / "model"))
    bundle.save(tmp_path / "model")
    clip = Clip(video_id="v", start_s=0.0, end_s=4.0, caption="A beating heart.", split="train")
    frames = np.random.default_rng(0).integers(0, 256, (20, 64, 96, 3), dtype=np.uint8)
    write_video(tmp_path / "raw.mp4", frames, fps=5)
    (tmp_path / "clips").mkdir()
    made_with = FramePolicy.mini()
    prepare_clip(tmp_path / "raw.mp4", tmp_path / "clips" / clip.file_name, 0.0, 4.0, made_with)
    other = dataclasses.replace(made_with, max_frames=6, min_frames=4)
    arguments = (bundle.name, bundle, [clip], tmp_path / "clips")
    with pytest.raises(ValueError, match="1 .*prepared with another frame policy: prepare it ag"):
        Built(*arguments, other, small(tmp_path, num_workers=0))
    assert len(Built(*arguments, made_with, small(tmp_path, num_workers=0)).rows) == 1


def test_the_plan_is_printed_without_a_weight(capsys, monkeypatch):
    monkeypatch.setattr(recipes, "planned_costs", lambda *_: (COSTS, CONFIG, MODELS["qwen2-vl-2b"]))
    print_plan(None, [], 0, "H100")
    lines = capsys.readouterr().out.splitlines()
    said = dict(re.split(r"\s{2,}", line, maxsplit=1) for line in lines)
    assert said["samples"] == "100, 1 times" and said["tokens"] == "166,000"
    assert said["rows"] == "10 of 16,640 tokens, 100% full" and said["steps"] == "10"
    assert said["memory"] == "76 of 80 GB on one H100"
    assert re.fullmatch(r"\d+ s, reading clips not counted", said["time"])
    assert said["disk"].endswith(" GB")
    with pytest.raises(ValueError, match="gpu 'H99' is not known: use one of H100"):
        print_plan(None, [], 0, "H99")


COSTS = [planner.Sample(num_tokens=1_660, grids=((8, 22, 36),))] * 100
CONFIG = TrainConfig(output_dir="run", capacity_tokens=16_640, rows_per_step=1)


def test_memory_that_runs_out_says_what_to_lower_and_by_how_much(tmp_path):
    error = torch.OutOfMemoryError("CUDA out of memory")
    data = SimpleNamespace(costs=COSTS, lengths=[1_660] * 100)
    shape = MODELS["qwen2-vl-2b"]
    bundle = SimpleNamespace(name="2b", model=SimpleNamespace(config=None))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forecast, "shape_of", lambda _: shape)
        said = forecast.memory_advice(error, CONFIG, bundle, data, [list(range(10))])
        assert forecast.memory_advice(RuntimeError("else"), CONFIG, bundle, data, [[0]]) == ""
    now = float(re.search(r"computed to need (\d+) GB", said)[1])
    lower = {name: float(gb) for name, gb in re.findall(r"(\w+)=[^:]+: (\d+) GB", said)}
    assert set(lower) == {"max_memory_gb", "capacity_tokens", "trains_vision", "lora_rank"}
    assert all(gb < now for gb in lower.values()) and "16600 tokens, 63360 patches" in said


@pytest.fixture
def memory():
    shape, settings = MODELS["qwen2-vl-2b"], forecast.settings_of(CONFIG)
    return Memory(shape=shape, config=CONFIG, settings=settings, rows=[(16_580, 63_360)])


def test_what_is_kept_follows_the_memory(memory):
    peaks = []
    for budget_gb in (45.0, 60.0, 72.0, 81.6, 140.0):
        keeps = memory.fitted(budget_gb)
        assert keeps.peak_gb <= budget_gb
        peaks.append(keeps.peak_gb)
    assert peaks == sorted(peaks)
    assert set(memory.fitted(10.0).text) == set(memory.fitted(10.0).vision) == {"none"}
    whole = memory.fitted(140.0)
    assert set(whole.text) == set(whole.vision) == {"products"}
    some = memory.fitted(81.6)
    assert set(some.text) == {"products", "most"} and set(some.vision) == {"most"}
    assert f"text layers keep products ({some.text.count('products')})" in some.told()
    one_more = memory.peak_gb(["products", *some.text], some.vision)
    assert one_more - some.peak_gb > 16_580 * kept_of_text(memory.shape, "most") / GB


def test_the_computed_peak_is_that_of_measured_steps(memory):
    """Reserved on one H100, `data_manifests/results/gpu_training_2026-11-25.json`: every layer
    keeps "most".
    """
    for row, reserved_gib in (((16_580, 63_360), 63.3), ((15_618, 61_440), 62.0)):
        one = dataclasses.replace(memory, rows=[row])
        computed = one.peak_gb(["most"] * 28, ["most"] * 32) * GB / 2**30
        assert reserved_gib <= computed <= 1.05 * reserved_gib


@pytest.mark.parametrize(
    "samples, seconds",
    [
        ([planner.Sample(num_tokens=1_658, grids=((8, 22, 36),))] * 10, 0.986),
        ([planner.Sample(num_tokens=15_618, grids=((30, 32, 64),))], 1.153),
    ],
)
def test_the_computed_time_is_that_of_measured_steps(samples, seconds):
    """On one H100, `data_manifests/results/gpu_training_2026-11-25.json`, the third session. The
    plan's two numbers were fitted to these two rows: this holds them, and foretells no others.
    """
    work = planner.row_work(samples, MODELS["qwen2-vl-2b"], forecast.settings_of(CONFIG))
    computed = planner.step_seconds(work, GPUS["H100"], planner.PACKED)
    assert computed == pytest.approx(seconds, rel=0.01)


def test_no_gradient_checkpoints_keep_everything(memory):
    config = dataclasses.replace(CONFIG, gradient_checkpointing=False)
    keeps = dataclasses.replace(memory, config=config).fitted(80.0)
    assert set(keeps.text) == set(keeps.vision) == {"all"}


def test_a_setting_of_memory_is_checked(tmp_path):
    with pytest.raises(ValueError, match="max_memory_gb is 0; it must be above 0"):
        TrainConfig(output_dir=tmp_path, max_memory_gb=0)
