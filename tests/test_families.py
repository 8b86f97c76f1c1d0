"""Qwen2.5-VL and Qwen3-VL: tokens, patches, positions and the loss of a tiny model, against what
transformers' own processors and models gave (`tests/golden/make_families.py`).
"""

import json

import pytest
import torch

from obvlib.inputs import VisionSpec, collate, encode
from obvlib.models import attention, qwen_tokenizer
from tests.golden.make_families import CASES, GOLDEN, model_of, summary, turns_of

STORED = json.loads(GOLDEN.read_text())


@pytest.fixture(scope="module", params=["qwen2_5_vl", "qwen3_vl"])
def family(request):
    model = model_of(request.param)
    attention.use(model, "loop")
    return request.param, model, VisionSpec.from_config(model.config)


@pytest.mark.parametrize("name", CASES)
def test_inputs_positions_and_loss_equal_those_of_the_familys_own(family, name):
    kind, model, spec = family
    stored = STORED[kind][name]
    ours = encode(turns_of(CASES[name], spec.factor), qwen_tokenizer(), spec)
    assert ours.input_ids.tolist() == stored["input_ids"]
    for field in ("image_grid_thw", "video_grid_thw"):
        grid = getattr(ours, field)
        assert (None if grid is None else grid.tolist()) == stored.get(field)
    for field in ("pixel_values", "pixel_values_videos"):
        assert (getattr(ours, field) is None) == (field not in stored)
        if field in stored:
            values = getattr(ours, field)  # each within 2e-6 of the processor's
            assert summary(values) == pytest.approx(stored[field], abs=5e-6 * values.size)
    assert ours.position_ids.tolist() == stored["position_ids"]
    assert ours.rope_delta == stored["rope_delta"]
    with torch.no_grad():
        loss = float(model(**collate([ours]), use_cache=False).loss)
    assert loss == pytest.approx(stored["loss"], rel=1e-5)


def test_twelve_cases_of_each_family_are_stored():
    assert len(CASES) == 12
    assert all(set(STORED[kind]) == set(CASES) for kind in ("qwen2_5_vl", "qwen3_vl"))
