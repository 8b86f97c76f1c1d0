"""The planner: shapes against real configs, work against hand counts, time and memory against steps
measured on a GPU.
"""

import json
from pathlib import Path

import pytest

from obvlib.models.shapes import GPUS, MODELS, ModelShape
from obvlib.training.calibration import calibrate
from obvlib.training.planner import (
    EFFICIENCY,
    Sample,
    Settings,
    Work,
    disk_gb,
    peak_gb,
    plan,
    row_work,
    step_seconds,
)
from obvlib.training.sample_costs import samples_of

RESULTS = Path(__file__).parents[1] / "data_manifests" / "results" / "gpu_packing_h100.json"
ONE_GPU = Settings(num_gpus=1, shards_optimizer=False)


def test_parameter_counts_are_those_of_the_models():
    assert MODELS["qwen2-vl-2b"].num_parameters == pytest.approx(2.209e9, rel=1e-3)
    assert MODELS["qwen2-vl-7b"].num_parameters == pytest.approx(8.291e9, rel=1e-3)


def test_shape_read_from_a_config_counts_the_models_own_parameters():
    from tests.helpers_inputs import tiny

    shape = ModelShape.from_config("tiny", tiny().model.config)
    assert shape.num_parameters == pytest.approx(tiny().num_parameters, rel=0.01)


def test_work_of_one_layer_by_hand():
    shape = ModelShape(
        name="x",
        num_layers=1,
        hidden=8,
        intermediate=16,
        kv_width=4,
        vocabulary=10,
        vision_depth=1,
        vision_width=4,
        vision_mlp=8,
        ties_embeddings=True,
    )
    work = row_work([Sample(num_tokens=5)], shape, ONE_GPU)
    weights = 2 * 64 + 2 * 32 + 3 * 128
    assert work.products == 4 * 2 * weights * 5 + 3 * 2 * 80 * 5
    assert work.attention == 4 * 2 * 25 * 8
    shown = row_work([Sample(num_tokens=5, grids=((2, 2, 2),))], shape, ONE_GPU)
    assert shown.attention - work.attention == 4 * (4 * 2 * 16 * 4)
    frozen = row_work(
        [Sample(num_tokens=5, grids=((2, 2, 2),))], shape, Settings(trains_vision=False)
    )
    assert 3 * (shown.products - work.products) == 4 * (frozen.products - work.products)


def test_packing_apart_costs_less_attention_than_one_long_sample():
    shape = MODELS["qwen2-vl-2b"]
    apart, whole = (
        row_work([Sample(num_tokens=1000)] * 4, shape, ONE_GPU),
        row_work([Sample(num_tokens=4000)], shape, ONE_GPU),
    )
    assert apart.products == whole.products and apart.attention * 4 == whole.attention


def test_plan_counts_rows_steps_and_drops():
    made = plan(
        [Sample(num_tokens=n) for n in (60, 40, 50, 50, 120)],
        "qwen2-vl-2b",
        "H100",
        Settings(row_tokens=100, num_gpus=2),
    )
    assert (made.num_samples, made.num_rows, made.num_steps, made.dropped, made.fill) == (
        4,
        2,
        1,
        1,
        1.0,
    )
    assert made.gpu_hours == pytest.approx(2 * made.hours) and made.fits


def test_more_memory_than_the_gpu_has_is_said():
    sample = [Sample(num_tokens=16_000, grids=((30, 32, 64),))]
    small = plan(sample, "qwen2-vl-7b", "RTX 4090")
    assert not small.fits and "of 24 GB" in small.reasons[0]
    assert (
        peak_gb(sample, MODELS["qwen2-vl-2b"], Settings(fused_loss=False))
        > peak_gb(sample, MODELS["qwen2-vl-2b"], Settings()) + 15
    )


def test_samples_of_a_training_sets_rows():
    rows = [{"num_tokens": 90, "num_frames": 7, "height": 56, "width": 84}]
    assert samples_of(rows) == [Sample(num_tokens=90, grids=((4, 4, 6),))]


def test_calibration_recovers_what_made_the_times():
    gpu, truth = GPUS["H100"], EFFICIENCY[False]
    works = [
        Work(
            products=p * 1e14,
            attention=a * 1e13,
            useful=0,
            traffic_bytes=t * 1e9,
            optimizer_bytes=4e10,
            num_layers=n,
        )
        for p, a, t, n in (
            (1, 1, 9, 60),
            (5, 16, 25, 60),
            (5, 4, 26, 28),
            (2, 1, 3, 28),
            (3, 9, 1, 60),
        )
    ]
    found = calibrate([(work, step_seconds(work, gpu, truth)) for work in works], gpu)
    assert found.products == pytest.approx(
        truth.products, rel=1e-6
    ) and found.crossings == pytest.approx(truth.crossings, rel=1e-6)
    assert found.attention == pytest.approx(
        truth.attention, rel=1e-6
    ) and found.layer_s == pytest.approx(truth.layer_s, rel=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("qwen9", "H100"), "model 'qwen9' is not known: use one of qwen2-vl-2b"),
        (("qwen2-vl-2b", "TPU"), "gpu 'TPU' is not known"),
    ],
)
def test_unknown_names_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        plan([Sample(num_tokens=5)], *arguments)


def test_settings_that_cannot_work_are_refused():
    with pytest.raises(ValueError, match="row_tokens is 0"):
        Settings(row_tokens=0)
    with pytest.raises(ValueError, match="none of the 1 samples fits"):
        plan([Sample(num_tokens=50)], "qwen2-vl-2b", "H100", Settings(row_tokens=10))


def measured():
    """(stack, settings, samples, seconds, GB) of every step that was measured."""
    if not RESULTS.is_file():
        pytest.skip(
            "no measured run in data_manifests/results yet: tests/benchmarks/gpu_packing.py"
            " makes it"
        )
    for step in json.loads(RESULTS.read_text())["steps"]:
        if "step_s" in step:
            settings = Settings(
                num_gpus=1,
                shards_optimizer=False,
                weights="bf16",
                fused_loss="liger" in step["stack"],
                compiled="compiled" in step["stack"],
                trains_vision="frozen" not in step["stack"],
            )
            samples = [
                Sample(
                    num_tokens=(frames // 2) * (h // 28) * (w // 28) + (2 if frames else 0) + text,
                    grids=((frames // 2, h // 14, w // 14),) if frames else (),
                )
                for frames, h, w, text in step["samples"]
            ]
            assert sum(s.num_tokens for s in samples) == step["tokens"]
            yield (
                step["stack"] + ": " + step["row"],
                settings,
                samples,
                step["step_s"],
                step["peak_gb"],
            )


def test_time_and_memory_within_15_percent_of_measured_steps():
    model, gpu, wrong = MODELS["qwen2-vl-2b"], GPUS["H100"], []
    for name, settings, samples, seconds, memory in measured():
        planned = step_seconds(
            row_work(samples, model, settings), gpu, EFFICIENCY[settings.compiled]
        )
        for what, value, real in (
            ("s", planned, seconds),
            ("GB", peak_gb(samples, model, settings), memory),
        ):
            if abs(value / real - 1) > 0.15:
                wrong.append(f"{name}: planned {value:.2f} {what}, measured {real:.2f}")
    assert not wrong, "\n".join(wrong)


def test_a_step_left_out_of_the_fit_is_still_foreseen():
    model, gpu = MODELS["qwen2-vl-2b"], GPUS["H100"]
    runs = [
        (name, row_work(samples, model, settings), seconds)
        for name, settings, samples, seconds, _ in measured()
        if not settings.compiled
    ]
    for name, work, seconds in runs:
        fitted = calibrate([(w, s) for other, w, s in runs if other != name], gpu)
        assert step_seconds(work, gpu, fitted) == pytest.approx(seconds, rel=0.15), name


def test_what_a_trained_weight_costs():
    model, row = MODELS["qwen2-vl-2b"], [Sample(num_tokens=100)]
    need = {
        weights: peak_gb(row, model, Settings(num_gpus=1, shards_optimizer=False, weights=weights))
        for weights in ("fp32", "masters", "bf16")
    }
    count = model.num_parameters / 1e9
    assert need["fp32"] == pytest.approx(16 * count, rel=0.01)
    assert need["masters"] == pytest.approx(14 * count, rel=0.01)
    assert need["bf16"] == pytest.approx(8 * count, rel=0.01)
    with pytest.raises(ValueError, match="weights is 'fp8': use one of fp32, masters, bf16"):
        Settings(weights="fp8")


def test_disk_holds_checkpoints_and_the_model():
    model = MODELS["qwen2-vl-2b"]
    whole = disk_gb(model, ONE_GPU, num_checkpoints=3)
    assert whole == pytest.approx((3 * 12 + 2) * model.num_parameters / 1e9)
    adapters = disk_gb(model, Settings(lora_rank=16), num_checkpoints=3)
    assert adapters == pytest.approx(2 * model.num_parameters / 1e9, rel=0.2)
