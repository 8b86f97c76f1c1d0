"""Compute `families.json` again: twelve conversations for Qwen2.5-VL and twelve for Qwen3-VL, with
the tokens, patches and positions that transformers' own processor and model give for them, and the
loss of a tiny model of each family.

    PYTHONPATH=. python tests/golden/make_families.py

Frames are noise drawn from a seed, weights are drawn from their names. Videos are no longer in
positions of time than in space: elsewhere releases of transformers differ (see `make_mrope.py`).
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from obvlib.inputs import Image, Turn, VisionSpec, encode
from obvlib.models import qwen_tokenizer

GOLDEN = Path(__file__).parent / "families.json"
# (role, text, visuals): a video is (frames, height, width in merged patches, frames a second), a
# picture (height, width)
ASK, SAY = "user", "assistant"
CASES: dict[str, list[tuple[str, str, list[tuple[float, ...]]]]] = {
    "an even video": [(ASK, "What is this?", [(4, 4, 6, 1.0)]), (SAY, "A heart.", [])],
    "an odd video": [(ASK, "What is this?", [(5, 9, 10, 1.0)]), (SAY, "A left ventricle.", [])],
    "one frame": [(ASK, "What?", [(1, 3, 2, 1.0)]), (SAY, "55 %", [])],
    "two frames a second": [(ASK, "Faster?", [(6, 5, 6, 2.0)]), (SAY, "Yes.", [])],
    "a long, wide video": [(ASK, "Describe it.", [(12, 8, 22, 1.0)]), (SAY, "A scan.", [])],
    "a picture": [(ASK, "Which organ?", [(3, 2)]), (SAY, "Eye", [])],
    "two pictures": [(ASK, "Same?", [(2, 2), (3, 4)]), (SAY, "No, (B) is larger.", [])],
    "text alone": [(ASK, "Why?", []), (SAY, "Because.\n\n1. It is so", [])],
    "several turns": [
        (ASK, "Compare.", [(2, 4, 4, 1.0), (3, 3)]), (SAY, "(B) The second", []),
        (ASK, "And now?", [(4, 4, 5, 1.0)]), (SAY, "Same.", []),
    ],
    "a system turn": [
        ("system", "Be brief.", []), (ASK, "What?", [(4, 6, 5, 1.0)]), (SAY, "CT.", []),
    ],
    "other scripts": [(ASK, "Où est-ce ?", [(4, 5, 7, 1.0)]), (SAY, "Lésion – 左心室.", [])],
    "spaces and lines": [(ASK, "  What is it?\n\n", [(4, 6, 6, 1.0)]), (SAY, "It is:\n- one", [])],
}  # fmt: skip


def turns_of(case: list[Any], factor: int) -> list[Turn]:
    """The conversation of a case, with its noise."""
    from tests.test_inputs_parity import video

    turns = []
    for number, (role, text, visuals) in enumerate(case):
        made: list[Any] = []
        for place, sizes in enumerate(visuals):
            seed = 10 * number + place
            if len(sizes) == 2:
                shape = (sizes[0] * factor, sizes[1] * factor, 3)
                pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
                made.append(Image(pixels))
            else:
                frames, height, width, fps = sizes
                made.append(video(frames, height * factor, width * factor, seed=seed, fps=fps))
        turns.append(Turn(role, text, tuple(made)))
    return turns


def fps_of(case: list[Any]) -> float:
    """Frames a second of a case's videos."""
    return next((v[3] for _, _, visuals in case for v in visuals if len(v) == 4), 1.0)


def model_of(family: str) -> Any:
    """A tiny model of the family whose weights depend on their names alone."""
    from tests.test_inputs_parity import small_model

    model = small_model(family)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            rng = np.random.default_rng(zlib.crc32(name.encode()))
            drawn = rng.normal(0, 0.08, tuple(weight.shape)) + name.endswith("norm.weight")
            weight.copy_(torch.from_numpy(drawn.astype(np.float32)))
    return model


def summary(pixels: Any) -> list[float]:
    """Sum, sum of squares, and a sum in which every value has its own weight."""
    values = torch.as_tensor(pixels).double().flatten()
    places = torch.arange(1, len(values) + 1, dtype=torch.float64) / len(values)
    return [float(values.sum()), float(values.square().sum()), float(values @ places)]


def made(family: str, case: list[Any], model: Any, spec: VisionSpec) -> dict[str, Any]:
    """What the family's own processor and model make of a case."""
    from tests.test_inputs_parity import reference

    turns = turns_of(case, spec.factor)
    theirs = reference(family, turns, fps=fps_of(case))
    ids = theirs["input_ids"]
    kinds = (ids == 151_655).int() + (ids == 151_656).int() * 2
    grids = {k: theirs[k] for k in ("image_grid_thw", "video_grid_thw") if k in theirs}
    seconds = {}
    if family == "qwen2_5_vl" and "video_grid_thw" in grids:
        each = 2 / fps_of(case)
        seconds["second_per_grid_ts"] = torch.tensor([each] * len(grids["video_grid_thw"]))
    positions, delta = model.model.get_rope_index(ids, mm_token_type_ids=kinds, **grids, **seconds)
    pixels = {k: theirs[k] for k in ("pixel_values", "pixel_values_videos") if k in theirs}
    labels = torch.from_numpy(encode(turns, qwen_tokenizer(), spec).labels)[None]
    with torch.no_grad():
        loss = model(
            input_ids=ids, labels=labels, position_ids=positions, use_cache=False, **grids, **pixels
        ).loss
    return {
        "input_ids": ids[0].tolist(), "learned": int((labels != -100).sum()),
        **{k: grids[k].tolist() for k in grids}, "position_ids": positions[:, 0].tolist(),
        "rope_delta": int(delta), **{k: summary(v) for k, v in pixels.items()}, "loss": float(loss),
    }  # fmt: skip


def main() -> None:
    golden: dict[str, Any] = {"transformers": transformers.__version__}
    for family in ("qwen2_5_vl", "qwen3_vl"):
        model = model_of(family)
        spec = VisionSpec.from_config(model.config)
        golden[family] = {name: made(family, case, model, spec) for name, case in CASES.items()}
    GOLDEN.write_text(json.dumps(golden, separators=(",", ":"), ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
