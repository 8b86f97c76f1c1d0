"""Fine-tuning: the plan of rows, the loss it takes, stopping and going on."""

import json

import numpy as np
import pytest
import torch

from obvlib import mini
from obvlib.core.records import QAPair
from obvlib.inputs.packing import collate
from obvlib.mini.clips import SeenClip
from obvlib.models import attention
from obvlib.models.bundle import load_weights, tiny_bundle
from obvlib.training import samples
from obvlib.training.run import TrainConfig, TrainResult, _label_positions_only, plan_rows, train
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
        kept = bundle.model(**_label_positions_only([row])).loss
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
        views = Views(clips, bundle, num_views=4)
        config = TrainConfig.mini(directory, capacity_tokens=700, save_steps=3, log_steps=1)

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
    resumed_steps, result, weights = run(tmp_path / "stopped")
    # the last checkpoint was written after step 3
    assert stopped_steps[-1] == 5 and resumed_steps[0] == 4
    assert result.num_steps == whole.num_steps
    assert all(torch.equal(weights[name], expected[name]) for name in expected)
    assert TrainResult.from_json(tmp_path / "whole" / "train.json") == whole
    assert (
        json.loads((tmp_path / "whole" / "train.json").read_text())["config"]["learning_rate"]
        == 2e-3
    )


def test_loss_falls_and_the_saved_model_is_the_trained_one(tmp_path, clips):
    bundle = tiny_bundle()
    views = Views(clips[:4], bundle, num_views=40)
    config = TrainConfig.mini(tmp_path, capacity_tokens=1000, log_steps=1)
    result = train(config, bundle, views.load, views.lengths())
    assert result.losses[-1][1] < result.losses[0][1] / 2
    fresh = tiny_bundle(seed=5)
    load_weights(fresh.model, tmp_path / "model")
    assert all(
        torch.equal(a, b)
        for a, b in zip(fresh.model.parameters(), bundle.model.parameters(), strict=True)
    )
