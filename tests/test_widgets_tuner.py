"""The tuner's JavaScript and `curation.find_segments` find the same segments in the same scores."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from obvlib.curation import find_segments
from obvlib.widgets import tune_segments

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = """
import {{ readFileSync }} from "node:fs";
import {{ findSegments }} from "{module}";
const cases = JSON.parse(readFileSync(0));
console.log(JSON.stringify(cases.map(([scores, options]) => findSegments(scores, options))));
"""


def in_javascript(cases: list) -> list[list[tuple[float, float]]]:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed: segments were not compared")
    module = (ROOT / "obvlib/widgets/static/logic.mjs").as_uri()
    command = [node, "--input-type=module", "-e", SCRIPT.format(module=module)]
    done = subprocess.run(command, input=json.dumps(cases), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [[tuple(segment) for segment in found] for found in json.loads(done.stdout)]


def test_the_page_finds_the_segments_that_curation_finds():
    rng = np.random.default_rng(0)
    cases, expected = [], []
    for _ in range(400):
        length = int(rng.integers(0, 80))
        scores = rng.choice([0.0, 0.3, 0.64, np.nextafter(0.64, 0), 0.65, 1.0], length)
        if rng.random() < 0.5:
            scores = rng.random(length)
        settings = {
            "threshold": float(rng.choice([0.64, 0.1 + 0.2, 0.0, 1.0, rng.random()])),
            "max_gap": int(rng.integers(0, 8)),
            "min_length_s": float(rng.choice([0, 0.1, 0.3, 0.5, 2, 7.5])),
            "step_s": float(rng.choice([0.5, 0.1, 1 / 3, 1.0])),
        }
        names = {"threshold": "threshold", "max_gap": "maxGap"}
        names |= {"min_length_s": "minLength", "step_s": "step"}
        cases.append([scores.tolist(), {names[key]: value for key, value in settings.items()}])
        expected.append([tuple(segment) for segment in find_segments(scores, **settings)])
    assert sum(map(len, expected)) > 400  # the comparison is about something
    assert in_javascript(cases) == expected


def test_the_settings_of_a_tuner_are_those_of_find_segments():
    scores = [0, 0.7, 0.7, 0, 0.9, 0, 0, 0.9]
    tuner = tune_segments({"v": scores}, threshold=0.7, max_gap=1, min_length_s=0.5, step_s=1.0)
    assert find_segments(scores, **tuner.settings) == [(1.0, 4.0)]
    tuner.max_gap = 2
    assert find_segments(scores, **tuner.settings) == [(1.0, 7.0)]


def test_scores_that_are_missing_are_refused():
    with pytest.raises(ValueError, match="at least one video"):
        tune_segments({})
