"""Fine-tuning: the plan of rows, the loss it takes, stopping and going on."""

import json
import shutil
import threading
import time

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from obvlib import mini
from obvlib.core import FramePolicy
from obvlib.core.records import QAPair
from obvlib.inputs import Turn, encode
from obvlib.inputs.packing import collate
from obvlib.mini.clips import SeenClip
from obvlib.models import MODELS, attention
from obvlib.models.bundle import load_weights, tiny_bundle
from obvlib.training import checkpoints, forecast, planner, runs, samples
from obvlib.training.config import TrainConfig
from obvlib.training.rows import (
    PackedRows,
    blank_sample,
    fingerprint,
    label_positions_only,
    plan_rows,
)
from obvlib.training.run import TrainingData, TrainResult, Watchers, asked_of, train, train_in
from obvlib.training.samples import Views


@pytest.fixture(scope="module")
def clips():
    return [
        SeenClip(name=c.name, frames=c.frames, times_s=c.times_s, qa_pairs=c.qa_pairs)
        for c in mini.training_clips(12, 0)
    ]


def test_every_sample_once_an_epoch_and_no_row_too_long(tmp_path):
    rng = np.random.default_rng(0)
    lengths = rng.integers(10, 400, 500).tolist()
    config = TrainConfig(output_dir=tmp_path, capacity_tokens=1000, num_epochs=2, pack_window=200)
    rows = plan_rows(lengths, config)
    assert sorted(i for row in rows for i in row) == sorted([*range(500)] * 2)
    assert max(sum(lengths[i] for i in row) for row in rows) <= 1000
    assert rows == plan_rows(lengths, config)
    assert rows != plan_rows(
        lengths, TrainConfig(output_dir=tmp_path, capacity_tokens=1000, num_epochs=2, seed=1)
    )


def test_rows_filled_in_order_are_fair_draws_within_capacity(tmp_path):
    lengths = [30, 90] * 200
    rows = plan_rows(lengths, TrainConfig.mini(tmp_path, capacity_tokens=1000))
    assert sorted(i for row in rows for i in row) == [*range(400)]
    assert all(sum(lengths[i] for i in row) <= 1000 for row in rows)
    assert all({30, 90} == {lengths[i] for i in row} for row in rows[:-1])


def test_a_sample_longer_than_a_row_is_refused(tmp_path):
    with pytest.raises(ValueError, match="2000"):
        plan_rows([10, 2000], TrainConfig(output_dir=tmp_path, capacity_tokens=1000))


@pytest.mark.parametrize(
    "setting, value",
    [("capacity_tokens", 0), ("learning_rate", 0.0), ("warmup_fraction", 1.0), ("num_epochs", 0)],
)
def test_settings_are_checked(tmp_path, setting, value):
    with pytest.raises(ValueError, match=f"{setting} is {value}"):
        TrainConfig(output_dir=tmp_path, **{setting: value})


def test_logits_at_label_positions_give_the_whole_rows_loss(clips):
    bundle = tiny_bundle()
    attention.use(bundle.model, "loop")
    views = Views(clips, bundle)
    row = collate([views.load(i) for i in range(4)])
    with torch.no_grad():
        whole = bundle.model(**row, use_cache=False).loss
        kept = bundle.model(**label_positions_only([row])).loss
    assert kept.item() == pytest.approx(whole.item(), rel=1e-6)


def test_views_differ_in_questions_and_options_but_not_in_truth(clips):
    views = Views(clips, tiny_bundle(), num_views=3)
    texts = {tuple(turn.text for turn in views.turns(place)) for place in (0, 12, 24)}
    assert len(texts) == 3
    assert len(views.lengths()) == 36
    assert [len(views.load(i).input_ids) for i in range(6)] == views.lengths()[:6]


def test_shuffling_options_keeps_the_answer():
    import random

    pair = QAPair(question="Which?", answer="B", options={"A": "one", "B": "two", "C": "three"})
    orders = {tuple(samples.shuffled(pair, random.Random(i)).options.values()) for i in range(40)}
    assert len(orders) == 6
    assert all(samples.shuffled(pair, random.Random(i)).answer_text == "two" for i in range(40))


def test_generated_clips_do_not_depend_on_the_number_of_processes():
    one, two = (mini.generated_clips(3, num_workers=n) for n in (1, 2))
    assert all(
        (a.frames == b.frames).all() and a.qa_pairs == b.qa_pairs
        for a, b in zip(one, two, strict=True)
    )
    assert not {c.name for c in one} & {c.name for c in mini.generated_clips(3, split="heldout")}


class Stopped(Exception):
    pass


def test_a_stopped_run_goes_on_where_it_was(tmp_path, clips):
    def run(directory, stop_at=None):
        bundle = tiny_bundle()
        views = Views(clips[:8], bundle, num_views=3)
        config = TrainConfig.mini(directory, capacity_tokens=500, save_steps=3, log_steps=1)

        def on_log(step, loss):
            steps.append(step)
            if step == stop_at:
                raise Stopped

        steps = []
        try:
            result = train(config, bundle, views.load, views.lengths(), on_log=on_log)
        except Stopped:
            return steps, None, None
        return steps, result, bundle.model.state_dict()

    _, whole, expected = run(tmp_path / "whole")
    stopped_steps, _, _ = run(tmp_path / "stopped", stop_at=5)
    state = tmp_path / "stopped/checkpoints/checkpoint-3/trainer_state.json"
    before_s = sum(entry["seconds"] for entry in json.loads(state.read_text())["log_history"])
    resumed_steps, result, weights = run(tmp_path / "stopped")
    # the last checkpoint was written after step 3
    assert stopped_steps[-1] == 5 and resumed_steps[0] == 4
    assert result.num_steps == whole.num_steps
    assert before_s > 0 and result.seconds > before_s  # the first sitting counts
    assert all(torch.equal(weights[name], expected[name]) for name in expected)
    assert TrainResult.from_json(tmp_path / "whole" / "run.json") == whole
    assert (
        json.loads((tmp_path / "whole" / "run.json").read_text())["config"]["learning_rate"] == 2e-3
    )


def test_loss_falls_and_the_saved_model_is_the_trained_one(tmp_path, clips):
    bundle = tiny_bundle()
    views = Views(clips[:4], bundle, num_views=40)
    config = TrainConfig.mini(tmp_path, capacity_tokens=1000, log_steps=1, optimizer="adamw")
    result = train(config, bundle, views.load, views.lengths())
    assert result.losses[-1][1] < result.losses[0][1] / 2
    fresh = tiny_bundle(seed=5)
    load_weights(fresh.model, tmp_path / "model")
    assert all(
        torch.equal(a, b)
        for a, b in zip(fresh.model.parameters(), bundle.model.parameters(), strict=True)
    )


# AdamW: Muon's products are bf16, which a CPU without bf16 instructions computes slowly.
FAST = {
    "optimizer": "adamw",
    "capacity_tokens": 300,
    "log_steps": 1,
    "tracker": "none",
    "num_workers": 0,  # what is read is counted in this process, however many cores there are
}


def small(tmp_path, **changes):
    return TrainConfig.mini(tmp_path / "run", **(FAST | changes))


def trained(config, clips, *, seed=0, on_log=None, load=None):
    """(result, bundle, samples read) of one run on views of `clips`."""
    bundle, read = tiny_bundle(seed=seed), []
    views = Views(clips[:5], bundle, num_views=2)

    def reading(index):
        read.append(index)
        return (load or views.load)(index)

    result = train(config, bundle, reading, views.lengths(), on_log=on_log)
    return result, bundle, read


def weights(bundle):
    return torch.cat([weight.detach().flatten() for weight in bundle.model.parameters()])


def stop_at(step):
    def on_log(at, loss):
        if at == step:
            raise Stopped

    return on_log


HARM = {
    "trainer_state.json": lambda path: path.unlink(),
    "model.safetensors": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "optimizer.pt": lambda path: path.unlink(),
    "rng_state.pth": lambda path: path.write_bytes(b""),
    "scheduler.pt": lambda path: path.write_bytes(path.read_bytes()[::-1]),
}


def test_a_checkpoint_is_complete_or_not_there(tmp_path):
    for step in (2, 4, 10):
        made = checkpoints.partial_dir(tmp_path, step) / f"checkpoint-{step}"
        made.mkdir(parents=True)
        for name in HARM:
            (made / name).write_text(f"{name} {step}")
        checkpoints.complete(tmp_path, step)
    assert checkpoints.steps(tmp_path) == [4, 10]  # by step, whatever the clock says
    (checkpoints.partial_dir(tmp_path, 12) / "checkpoint-12").mkdir(parents=True)  # a kill
    assert checkpoints.newest(tmp_path) == (tmp_path / "checkpoint-10", [])
    for name, harm in HARM.items():
        kept = tmp_path / f"kept-{name}"
        shutil.copytree(tmp_path / "checkpoint-10", kept)
        harm(tmp_path / "checkpoint-10" / name)
        found, (note,) = checkpoints.newest(tmp_path)
        assert found == tmp_path / "checkpoint-4" and name in note
        kept.rename(tmp_path / "checkpoint-10")
    shutil.copytree(tmp_path / "checkpoint-4", tmp_path / "checkpoint-11")
    assert "written at step 4" in checkpoints.newest(tmp_path)[1][0]


def test_a_kill_while_a_checkpoint_is_written_costs_only_that_one(tmp_path, clips):
    whole, expected, _ = trained(small(tmp_path / "a", save_steps=1), clips)
    config = small(tmp_path / "b", save_steps=1)
    with pytest.raises(Stopped):
        trained(config, clips, on_log=stop_at(4))
    last = max((tmp_path / "b/run/checkpoints").glob("checkpoint-*"))
    (last / "optimizer.pt").unlink()
    steps = []
    resumed, bundle, _ = trained(config, clips, on_log=lambda step, loss: steps.append(step))
    assert steps[0] == 3  # checkpoint-2 was the newest whole one
    assert resumed.losses == whole.losses and torch.equal(weights(bundle), weights(expected))


def test_a_folder_belongs_to_one_run_and_another_goes_beside(tmp_path, clips):
    first, bundle, read = trained(small(tmp_path), clips)
    assert first.folder == tmp_path / "run" and read
    again, same, read = trained(small(tmp_path, num_workers=0, save_steps=7), clips)
    assert again == first and torch.equal(weights(same), weights(bundle))
    other, changed, _ = trained(small(tmp_path, learning_rate=1e-4), clips)
    fresh, alone, _ = trained(small(tmp_path / "fresh", learning_rate=1e-4), clips)
    assert other.folder.name.startswith("run-") and other.losses == fresh.losses
    assert torch.equal(weights(changed), weights(alone))
    assert runs.damage(tmp_path / "run") == ""  # the first one is untouched


def test_what_makes_another_run(tmp_path, clips):
    config, bundle = small(tmp_path), tiny_bundle()
    views = Views(clips, bundle, num_views=2)
    key = runs.run_key(asked_of(config, bundle, fingerprint(views.load, views.lengths())))
    others = Views(clips[:6], bundle, num_views=4)
    for settings, start, data in (
        (small(tmp_path, seed=1), bundle, views),
        (small(tmp_path, capacity_tokens=400), bundle, views),
        (config, tiny_bundle(seed=1), views),
        (config, bundle, others),
        (config, bundle, Views(clips, bundle, num_views=2, seed=1)),
    ):
        asked = asked_of(settings, start, fingerprint(data.load, data.lengths()))
        assert runs.run_key(asked) != key


def test_files_that_no_run_claimed_are_left_alone(tmp_path):
    (tmp_path / "run" / "model").mkdir(parents=True)
    run = runs.open_run(tmp_path / "run", {"seed": 0})
    assert run.folder != tmp_path / "run" and "no known run" in run.beside
    assert not (tmp_path / "run" / "claim.json").exists()


def test_a_second_process_waits_for_the_first(tmp_path):
    run = runs.open_run(tmp_path / "run", {"seed": 0})
    said, order = [], []

    def second():
        with runs.locked(run, say=said.append):
            order.append("second")

    with runs.locked(run):
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.6)
        order.append("first")
    thread.join()
    assert order == ["first", "second"] and "waiting" in said[0]


def test_a_model_that_is_unfinished_or_damaged_is_not_used(tmp_path, clips):
    result, _, _ = trained(small(tmp_path), clips)
    runs.check_ready(result.folder)
    weight_file = result.folder / "model" / "model.safetensors"
    content = weight_file.read_bytes()
    weight_file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ValueError, match="model.safetensors has changed.*obv train. again"):
        runs.check_ready(result.folder)
    repaired, bundle, _ = trained(small(tmp_path), clips)  # from the last checkpoint
    runs.check_ready(result.folder)
    assert weight_file.read_bytes() == content and (result.folder / "model.damaged-1").is_dir()
    (result.folder / "run.json").unlink()
    with pytest.raises(ValueError, match="not finished"):
        runs.check_ready(result.folder)


def test_a_broken_sample_is_skipped_counted_and_named(tmp_path, clips):
    views = Views(clips[:5], tiny_bundle(), num_views=2)

    def load(index):
        if index == 5:
            raise OSError("clip 5 cannot be read")
        return views.load(index)

    result, _, _ = trained(small(tmp_path, max_skipped_share=0.2), clips, load=load)
    assert result.skipped == ((5, "OSError: clip 5 cannot be read"),)
    assert "1 skipped: OSError: clip 5" in (result.folder / "model/README.md").read_text()
    note = json.loads((result.folder / "run.json").read_text())
    assert note["skipped"] == [[5, "OSError: clip 5 cannot be read"]]


def test_a_row_without_a_picture_reaches_the_vision_tower_and_changes_nothing():
    bundle = tiny_bundle()
    attention.use(bundle.model, "loop")
    text = encode([Turn("user", "Why?"), Turn("assistant", "So.")], bundle.tokenizer, bundle.spec)
    blank = blank_sample(bundle.tokenizer, bundle.spec)
    row = PackedRows([[0]], lambda index: text, blank)[0]
    loss = bundle.model(**row, use_cache=False).loss
    loss.backward()
    assert all(weight.grad is not None for weight in bundle.model.parameters())
    assert all(not weight.grad.any() for weight in bundle.model.model.visual.parameters())
    alone = bundle.model(**collate([text]), use_cache=False).loss
    assert loss.item() == pytest.approx(alone.item(), rel=1e-6)


def test_loss_and_gradients_equal_the_unpacked_eager_model(clips):
    bundle = tiny_bundle()
    samples_ = [Views(clips, bundle).load(index) for index in range(3)]
    learned = sum(int((sample.labels[1:] != -100).sum()) for sample in samples_)

    def gradients(rows, kind):
        bundle.model.zero_grad()
        if kind == "eager":
            bundle.model.set_attn_implementation("eager")
        else:
            attention.use(bundle.model, kind)
        total = 0.0
        for row in rows:
            loss = bundle.model(**row, use_cache=False, num_items_in_batch=learned).loss
            loss.backward()
            total += loss.item()
        return total, torch.cat([w.grad.flatten() for w in bundle.model.parameters()])

    alone = [collate([sample]) for sample in samples_]
    for row in alone:  # the library's own call: three position rows, a mask of ones
        row["position_ids"] = row["position_ids"][1:]
        row["attention_mask"] = torch.ones_like(row["input_ids"])
    eager, expected = gradients(alone, "eager")
    packed, found = gradients([collate(samples_)], "loop")
    assert packed == pytest.approx(eager, rel=1e-5)
    assert torch.allclose(found, expected, rtol=1e-3, atol=1e-5 * float(expected.abs().max()))


@pytest.fixture
def pretrained():
    """A bf16 bundle with weights of a pretrained model's size, about 0.02."""
    bundle = tiny_bundle()
    with torch.no_grad():
        for weight in bundle.model.parameters():
            if weight.ndim >= 2:
                weight.mul_(0.25)
    bundle.model.to(torch.bfloat16)
    return bundle


def test_small_steps_move_weights_that_are_kept_in_fp32(tmp_path, clips, pretrained):
    """At 1e-5 a step is below half a bf16 spacing: added to bf16 weights, most would vanish."""
    views = Views(clips[:5], pretrained, num_views=2)
    start = weights(pretrained).float()
    config = TrainConfig(
        output_dir=tmp_path / "run", capacity_tokens=300, rows_per_step=1, pack_window=64,
        save_steps=5, log_steps=1, gradient_checkpointing=False, tracker="none",
    )  # fmt: skip
    result = train(config, pretrained, views.load, views.lengths())
    assert pretrained.model.dtype == torch.bfloat16
    last = checkpoints.newest(result.folder / "checkpoints")[0]
    saved = load_file(last / "model.safetensors")
    optimizer = torch.load(last / "optimizer.pt", weights_only=False)
    moved = masters_moved(saved, optimizer, start)
    assert moved > 0.9


def masters_moved(saved, optimizer, start):
    """The share of weights whose fp32 master differs from where it began."""
    if all(value.dtype == torch.float32 for value in saved.values()):
        now = torch.cat([value.flatten() for value in saved.values()])
        return float((now.sort().values != start.sort().values).float().mean())
    residuals = [state["residual"].flatten() for state in optimizer["state"].values()]
    return float((torch.cat(residuals) != 0).float().mean())


def test_a_loss_that_is_not_finite_ends_the_run_and_keeps_the_last_checkpoint(tmp_path, clips):
    views = Views(clips[:5], tiny_bundle(), num_views=2)

    def load(index):
        sample = views.load(index)
        if len(seen) > 4:
            sample.pixel_values_videos[:] = float("nan")
        seen.append(index)
        return sample

    seen = []
    lengths = views.lengths()
    config = small(tmp_path, save_steps=1)
    with pytest.raises(RuntimeError, match="is nan at step .*lower learning_rate.*checkpoint-"):
        run = runs.open_run(config.output_dir, {"test": "nan"})
        train_in(run, config, tiny_bundle(), TrainingData(load=load, lengths=lengths), Watchers())
    last, notes = checkpoints.newest(tmp_path / "run/checkpoints")
    saved = load_file(last / "model.safetensors")
    assert not notes and all(torch.isfinite(value).all() for value in saved.values())


def test_lora_trains_adapters_and_saves_a_merged_model(tmp_path, clips):
    bundle = tiny_bundle()
    start = {name: value.clone() for name, value in bundle.model.state_dict().items()}
    views = Views(clips[:4], bundle, num_views=2)
    config = small(tmp_path, learning_rate=1e-2, lora_rank=4, save_steps=2)
    result = train(config, bundle, views.load, views.lengths())
    now = bundle.model.state_dict()
    assert set(now) == set(start)
    moved = {name for name in now if not torch.equal(now[name], start[name])}
    assert moved and all("language_model" in n and n.endswith("proj.weight") for n in moved)
    fresh = tiny_bundle(seed=5)
    load_weights(fresh.model, result.folder / "model")
    assert torch.equal(weights(fresh), weights(bundle))
    assert (result.folder / "model/adapter/adapter_model.safetensors").is_file()


def test_another_architecture_is_refused_by_name(tmp_path, clips):
    result, bundle, _ = trained(small(tmp_path), clips)
    settings = json.loads((result.folder / "model/config.json").read_text())
    settings["text_config"]["intermediate_size"] = 512
    (result.folder / "model/config.json").write_text(json.dumps(settings))
    with pytest.raises(ValueError, match="text intermediate_size is 512, this model's is 256"):
        load_weights(bundle.model, result.folder / "model")


def test_the_saved_model_opens_with_plain_transformers(tmp_path):
    from transformers import AutoModelForImageTextToText, AutoProcessor, Qwen2VLProcessor

    bundle, policy = tiny_bundle(), FramePolicy()
    where = bundle.save(tmp_path / "model", policy)
    processor = AutoProcessor.from_pretrained(where)
    assert type(processor) is Qwen2VLProcessor
    processor.save_pretrained(tmp_path / "hub")
    weights_only = {"config.json", "generation_config.json", "model.safetensors"}
    names = {path.name for path in where.iterdir()}
    assert names == {path.name for path in (tmp_path / "hub").iterdir()} | weights_only
    for seconds, height, width in ((60, 720, 1280), (16, 720, 1280), (8, 480, 640)):
        frames = np.zeros((len(policy.sample_times(seconds)), height, width, 3), dtype=np.uint8)
        video = processor.video_processor(videos=[frames], return_tensors="pt")
        tall, wide = policy.fit_size(height, width, len(frames))
        assert video["video_grid_thw"].tolist() == [[len(frames) // 2, tall // 14, wide // 14]]
    plain = AutoModelForImageTextToText.from_pretrained(where)
    assert all(
        torch.equal(a, b)
        for a, b in zip(plain.parameters(), bundle.model.parameters(), strict=True)
    )


def test_memory_advice_is_computed(tmp_path):
    config = TrainConfig(output_dir=tmp_path)
    samples_ = [planner.Sample(num_tokens=8_000, grids=((8, 34, 62),))] * 2
    said = forecast.advice(samples_, config, MODELS["qwen2-vl-2b"])
    assert "16000 tokens" in said and "capacity_tokens=8192" in said and "lora_rank=16" in said
