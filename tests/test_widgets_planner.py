"""The planner's panel computes in JavaScript what the planner says in Python."""

from __future__ import annotations

import itertools
import json
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from obvlib.models import GPUS, MODELS
from obvlib.training.planner import Sample, Settings, plan
from obvlib.widgets.planner_panel import AXES, NUM_GPUS, ROW_TOKENS, panel, plan_data

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = """
import { readFileSync } from "node:fs";
import { makePlan } from "%s";
const { data, choices } = JSON.parse(readFileSync(0));
console.log(JSON.stringify(choices.map((chosen) => makePlan(data, chosen))));
"""
FIELDS = (
    "num_samples num_tokens num_rows fill num_steps step_s hours gpu_hours peak_gb fits mfu dropped"
).split()


def some_samples(num: int = 60) -> list[Sample]:
    """Clips of many lengths, some in words alone, one too long for every row."""
    rng = random.Random(0)
    found = [Sample(num_tokens=40_000, grids=((10, 4, 4),))]
    for _ in range(num):
        grid = (rng.randint(1, 200), rng.choice([8, 20, 34]), rng.choice([8, 30, 62]))
        shown = rng.random() < 0.8
        visual = grid[0] * grid[1] * grid[2] // 4 if shown else 0
        found.append(
            Sample(num_tokens=min(visual, 16_000) + rng.randint(20, 900), grids=(grid,) * shown)
        )
    return found


def in_javascript(data: dict, choices: list[dict]) -> list[dict]:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed: the panel's JavaScript was not compared")
    script = SCRIPT % (ROOT / "obvlib/widgets/static/plan.mjs").as_uri()
    done = subprocess.run(
        [node, "--input-type=module", "-e", script],
        input=json.dumps({"data": data, "choices": choices}),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_panel_says_what_the_planner_says_on_a_grid_of_settings():
    samples = some_samples()
    axes = [dict(zip(AXES, values, strict=True)) for values in itertools.product(*AXES.values())]
    whole = itertools.product(MODELS, GPUS, ROW_TOKENS, NUM_GPUS, (1, 3), axes)
    grid = random.Random(1).sample(list(whole), 300)
    names = ("model", "gpu", "row_tokens", "num_gpus", "epochs")
    choices = [dict(zip(names, row[:5], strict=True)) | row[5] for row in grid]
    for chosen, found in zip(choices, in_javascript(plan_data(samples), choices), strict=True):
        settings = {name: value for name, value in chosen.items() if name not in ("model", "gpu")}
        expected = plan(samples, chosen["model"], chosen["gpu"], Settings(**settings))
        for name in FIELDS:
            wanted = pytest.approx(getattr(expected, name), rel=1e-9)
            assert found[name] == wanted, (chosen, name)


def test_rows_that_nothing_fits_are_said_so():
    samples = [Sample(num_tokens=9000)]
    data = plan_data(samples)
    chosen = panel(samples).chosen
    short, long = in_javascript(data, [chosen | {"row_tokens": n} for n in (4096, 16_384)])
    assert "None of the 1 samples fits a row of 4096 tokens" in short["problem"]
    assert long["num_rows"] == 1
    with pytest.raises(ValueError, match="none of the 1 samples fits"):
        panel([Sample(num_tokens=50_000)])


def test_the_panel_starts_with_the_paper_s_settings():
    chosen = panel(some_samples(5)).chosen
    defaults = Settings()
    for name in ("row_tokens", "num_gpus", "epochs", *AXES):
        assert chosen[name] == getattr(defaults, name)
