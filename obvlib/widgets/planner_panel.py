"""The planner's panel: choose model, GPU and row length, and read what the run would take, with or
without a kernel.

The panel does not repeat the planner's formulas in JavaScript. The time of a row is a sum of a few
of its sizes with weights that depend on the choices, and its memory does not depend on the GPU. So
the weights are read off `obvlib.training.planner` here, once for every choice, and the page only
adds and compares; a test holds both against each other on a grid of settings.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import traitlets

from obvlib.inputs import pack
from obvlib.models import GPUS, MODELS
from obvlib.training.planner import (
    EFFICIENCY,
    SHARE_OF_GPU,
    Sample,
    Settings,
    peak_gb,
    plan,
    row_work,
    step_seconds,
)
from obvlib.widgets.base import Widget, script

ROW_TOKENS = (4096, 8192, 16_384, 32_768)
NUM_GPUS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
# Settings that the panel offers besides the row length, the number of GPUs and epochs.
AXES: dict[str, tuple[Any, ...]] = {
    "fused_loss": (True, False),
    "compiled": (False, True),
    "trains_vision": (True, False),
}
# Rows whose sizes are independent of each other, to read a row's weights off the planner.
PROBES = (
    (Sample(num_tokens=1000),),
    (Sample(num_tokens=2000),),
    (Sample(num_tokens=1000),) * 2,
    (Sample(num_tokens=1000, grids=((2, 10, 10),)),),
    (Sample(num_tokens=1000, grids=((4, 10, 10),)),),
    (Sample(num_tokens=1000, grids=((1, 20, 10),)),),
)


class PlannerPanel(Widget):
    """Controls, and the plan that follows them."""

    _esm = script("logic", "ui", "plan", "planner")
    plan_data = traitlets.Dict().tag(sync=True)
    chosen = traitlets.Dict().tag(sync=True)


def panel(samples: Sequence[Sample]) -> PlannerPanel:
    """Return a panel for these samples. ValueError where none fits even the longest row."""
    plan(samples, next(iter(MODELS)), next(iter(GPUS)), Settings(row_tokens=ROW_TOKENS[-1]))
    defaults = Settings()
    chosen = {name: getattr(defaults, name) for name in ("row_tokens", "num_gpus", "epochs", *AXES)}
    first = {"model": next(iter(MODELS)), "gpu": next(iter(GPUS))}
    return PlannerPanel(title="Plan", plan_data=plan_data(samples), chosen=first | chosen)


def plan_data(samples: Sequence[Sample]) -> dict[str, Any]:
    """Return what the page computes a plan from: the packed rows for each row length, the weights
    of a row's sizes and the largest memory for each choice.
    """
    packed = {tokens: _packed(samples, tokens) for tokens in ROW_TOKENS}
    gpus = {name: {"memory_gb": g.memory_gb, "tflops": g.tflops} for name, g in GPUS.items()}
    seconds = itertools.product(MODELS, GPUS, _settings())
    useful = itertools.product(MODELS, _settings())
    memory = itertools.product(MODELS, packed, _settings())
    return {
        "models": list(MODELS),
        "gpus": gpus,
        "num_gpus": list(NUM_GPUS),
        "axes": {name: list(values) for name, values in AXES.items()},
        "num_samples": len(samples),
        "share_of_gpu": SHARE_OF_GPU,
        "rows": {str(tokens): _sizes_in_order(rows) for tokens, rows in packed.items()},
        "seconds": {_key(*choice): _weights(*choice) for choice in seconds},
        "useful": {_key(*choice): _useful(*choice) for choice in useful},
        "memory": {
            _key(model, tokens, settings): _memory(packed[tokens], model, settings)
            for model, tokens, settings in memory
            if packed[tokens]
        },
    }


def _settings() -> Iterator[Settings]:
    for values in itertools.product(*AXES.values()):
        yield Settings(**dict(zip(AXES, values, strict=True)))


def _key(*parts: Any) -> str:
    """Return the model, GPU, row length and the values of `AXES` as the page writes them too."""
    names = [
        [getattr(part, name) for name in AXES] if isinstance(part, Settings) else part
        for part in parts
    ]
    return json.dumps(names, separators=(",", ":"))


def _packed(samples: Sequence[Sample], row_tokens: int) -> list[list[Sample]]:
    """Return the rows in the order in which the planner gives them to GPUs."""
    kept = [sample for sample in samples if sample.num_tokens <= row_tokens]
    if not kept:
        return []
    rows = [[kept[i] for i in row] for row in pack([s.num_tokens for s in kept], row_tokens)]
    order = np.random.default_rng(0).permutation(len(rows))
    return [rows[i] for i in order]


def _sizes(row: Sequence[Sample]) -> list[float]:
    """Return the sizes of a row that its time is a sum of."""
    return [
        1,
        sum(sample.num_tokens for sample in row),
        sum(sample.num_patches for sample in row),
        sum(sample.num_tokens**2 for sample in row),
        sum(t * (h * w) ** 2 for sample in row for t, h, w in sample.grids),
        int(any(sample.num_patches for sample in row)),
    ]


def _sizes_in_order(rows: Sequence[Sequence[Sample]]) -> dict[str, Any]:
    return {
        "sizes": [_sizes(row)[1:5] for row in rows],
        "num_samples": sum(len(row) for row in rows),
        "num_tokens": sum(sample.num_tokens for row in rows for sample in row),
    }


def _solve(values: Sequence[float]) -> list[float]:
    matrix = np.array([_sizes(row) for row in PROBES], dtype=float)
    scale = np.abs(matrix).max(axis=0)
    return (np.linalg.solve(matrix / scale, np.array(values)) / scale).tolist()


def _weights(model: str, gpu: str, settings: Settings) -> list[float]:
    """Return how many seconds each unit of a row's sizes takes."""
    efficiency = EFFICIENCY[settings.compiled]
    works = [row_work(row, MODELS[model], settings) for row in PROBES]
    return _solve([step_seconds(work, GPUS[gpu], efficiency) for work in works])


def _useful(model: str, settings: Settings) -> list[float]:
    return _solve([row_work(row, MODELS[model], settings).useful for row in PROBES])


def _memory(rows: Sequence[Sequence[Sample]], model: str, settings: Settings) -> list[float]:
    """Return the largest memory of any row in GB, for each number of GPUs."""
    largest = _largest(rows)
    shape = MODELS[model]
    return [
        max(peak_gb(row, shape, dataclasses.replace(settings, num_gpus=num)) for row in largest)
        for num in NUM_GPUS
    ]


def _largest(rows: Sequence[Sequence[Sample]]) -> list[Sequence[Sample]]:
    """Return the rows that no other exceeds in both tokens and patches: memory grows with both."""
    ordered = sorted(rows, key=lambda row: (-_sizes(row)[1], -_sizes(row)[2]))
    kept: list[Sequence[Sample]] = []
    for row in ordered:
        if not kept or _sizes(row)[2] > _sizes(kept[-1])[2]:
            kept.append(row)
    return kept
