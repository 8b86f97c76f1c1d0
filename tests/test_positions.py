"""M-RoPE positions: worked rows, golden vectors of transformers 4.57.6, and the installed library
wherever it agrees with it.
"""

import json
import os
import random
import subprocess
from pathlib import Path

import numpy as np
import pytest

from obvlib.inputs.positions import mrope_positions

GOLDEN = Path(__file__).parent / "golden" / "mrope_transformers_4_57_6.json"
START, END, IMAGE, VIDEO = 151_652, 151_653, 151_655, 151_656


def random_case(rng: random.Random, max_grid: int = 6) -> dict:
    """A sequence of words, pictures and videos in random order, as Qwen2-VL's chat puts them."""
    ids, images, videos = [rng.randrange(1000) for _ in range(rng.randrange(0, 9))], [], []
    for _ in range(rng.randrange(0, 4)):
        is_video = rng.random() < 0.6
        grid = [
            rng.randrange(1, 4 * max_grid) if is_video else 1,
            2 * rng.randrange(1, max_grid),
            2 * rng.randrange(1, max_grid),
        ]
        (videos if is_video else images).append(grid)
        ids += [START] + [VIDEO if is_video else IMAGE] * (grid[0] * grid[1] * grid[2] // 4) + [END]
        ids += [rng.randrange(1000) for _ in range(rng.randrange(0, 6))]
    return {"input_ids": ids or [7], "image_grid_thw": images, "video_grid_thw": videos}


def test_three_row_toy():
    positions, delta = mrope_positions([5, 6] + [VIDEO] * 6 + [7], video_grid_thw=[[3, 2, 4]])
    assert positions.dtype == np.int64 and positions.shape == (3, 9)
    assert positions.tolist() == [
        [0, 1, 2, 2, 3, 3, 4, 4, 5],
        [0, 1, 2, 2, 2, 2, 2, 2, 5],
        [0, 1, 2, 3, 2, 3, 2, 3, 5],
    ]
    assert delta == -3  # the next token has index 9 and position 6


def test_text_alone_counts_up():
    positions, delta = mrope_positions([9, 8, 7])
    assert positions.tolist() == [[0, 1, 2]] * 3 and delta == 0


def test_golden_vectors_of_transformers_4_57_6():
    cases = json.loads(GOLDEN.read_text())["cases"]
    assert len(cases) == 12
    for case in cases:
        positions, delta = mrope_positions(
            case["input_ids"], case["image_grid_thw"], case["video_grid_thw"]
        )
        assert positions.tolist() == case["position_ids"] and delta == case["rope_delta"]


def test_installed_library_wherever_no_video_is_longer_than_wide():
    import torch
    from transformers import Qwen2VLConfig
    from transformers.models.qwen2_vl.modeling_qwen2_vl import Qwen2VLModel

    model = Qwen2VLModel.__new__(Qwen2VLModel)
    torch.nn.Module.__init__(model)
    model.config = Qwen2VLConfig()
    rng, compared = random.Random(3), 0
    for _ in range(60):
        case = random_case(rng)
        grids = case["image_grid_thw"] + case["video_grid_thw"]
        if not grids or any(t > max(h, w) // 2 for t, h, w in grids):
            continue
        ids = torch.tensor([case["input_ids"]])
        kinds = (ids == IMAGE).int() + 2 * (ids == VIDEO).int()
        tensors = {
            k: torch.tensor(case[k]) for k in ("image_grid_thw", "video_grid_thw") if case[k]
        }
        expected, expected_delta = model.get_rope_index(ids, mm_token_type_ids=kinds, **tensors)
        positions, delta = mrope_positions(**case)
        assert positions.tolist() == expected[:, 0].tolist() and delta == int(expected_delta)
        compared += 1
    assert compared >= 10


REFERENCE_SCRIPT = """
import json, sys, torch, transformers
from transformers import Qwen2VLConfig
from transformers.models.qwen2_vl.modeling_qwen2_vl import Qwen2VLModel
assert transformers.__version__ == "4.57.6", transformers.__version__
model = Qwen2VLModel.__new__(Qwen2VLModel); torch.nn.Module.__init__(model); model.config = Qwen2VLConfig()
model.config.vision_config.spatial_merge_size = 2
out = []
for case in json.load(sys.stdin):
    grids = {k: torch.tensor(case[k]) for k in ("image_grid_thw", "video_grid_thw") if case[k]}
    positions, delta = model.get_rope_index(torch.tensor([case["input_ids"]]), **grids)
    out.append([positions[:, 0].tolist(), int(delta)])
print(json.dumps(out))
"""  # noqa: E501


@pytest.mark.slow
def test_fresh_random_cases_against_transformers_4_57_6():
    python = os.environ.get("OBV_PYTHON_TRANSFORMERS_4")
    if not python:
        pytest.skip(
            "needs transformers 4.57.6: set OBV_PYTHON_TRANSFORMERS_4 to a Python that has it"
        )
    rng = random.Random()
    cases = [random_case(rng) for _ in range(300)]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [python, "-c", REFERENCE_SCRIPT],
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    for case, (expected, expected_delta) in zip(cases, json.loads(done.stdout), strict=True):
        positions, delta = mrope_positions(**case)
        assert positions.tolist() == expected and delta == expected_delta, case


def test_time_steps_space_the_temporal_patches_of_qwen2_5():
    positions, delta = mrope_positions(
        [VIDEO] * 3 + [1], video_grid_thw=[[3, 2, 2]], time_steps=[2.5]
    )
    assert positions.tolist() == [[0, 2, 5, 6], [0, 0, 0, 6], [0, 0, 0, 6]] and delta == 3


def test_other_token_ids():
    positions, _ = mrope_positions(
        [1, 50, 50, 2], [[1, 2, 4]], image_token_id=50, video_token_id=51
    )
    assert positions.tolist() == [[0, 1, 1, 3], [0, 1, 1, 3], [0, 1, 2, 3]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(input_ids=[]), "input_ids is empty"),
        (dict(input_ids=[VIDEO]), "placeholder of a video that no grid describes"),
        (
            dict(input_ids=[VIDEO, 5], video_grid_thw=[[2, 2, 2]]),
            "video at token 0 has fewer placeholders",
        ),
        (
            dict(input_ids=[VIDEO], video_grid_thw=[[2, 2, 2]]),
            "video at token 0 has fewer placeholders",
        ),
        (
            dict(input_ids=[VIDEO, VIDEO], video_grid_thw=[[1, 2, 2]]),
            "token 1 is a placeholder of a video",
        ),
        (dict(input_ids=[5], image_grid_thw=[[1, 2, 2]]), "image grid has no placeholder"),
        (dict(input_ids=[VIDEO], video_grid_thw=[[0, 2, 2]]), "all positive"),
        (dict(input_ids=[VIDEO], video_grid_thw=[[1, 3, 2]]), "must be multiples of 2"),
        (
            dict(input_ids=[VIDEO], video_grid_thw=[[1, 2, 2]], time_steps=[1, 2]),
            "time_steps has 2 entries for 1",
        ),
    ],
)
def test_placeholders_and_grids_that_do_not_match(arguments, message):
    with pytest.raises(ValueError, match=message):
        mrope_positions(**arguments)
