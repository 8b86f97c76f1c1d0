"""Compute the positions of `mrope_transformers_4_57_6.json` again from its inputs.

    python tests/golden/make_mrope.py

Needs transformers 4.57.6 and torch: later releases place the text after a video elsewhere, which is
why the vectors are stored.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
import transformers
from transformers import Qwen2VLConfig
from transformers.models.qwen2_vl.modeling_qwen2_vl import Qwen2VLModel

GOLDEN = Path(__file__).parent / "mrope_transformers_4_57_6.json"


def main() -> None:
    if transformers.__version__ != "4.57.6":
        raise SystemExit(f"transformers is {transformers.__version__}: install 4.57.6")
    model = Qwen2VLModel.__new__(Qwen2VLModel)  # only its rule for positions is asked
    torch.nn.Module.__init__(model)
    model.config = Qwen2VLConfig()
    golden = json.loads(GOLDEN.read_text())
    for case in golden["cases"]:
        grids = {k: torch.tensor(case[k]) for k in ("image_grid_thw", "video_grid_thw") if case[k]}
        positions, delta = model.get_rope_index(torch.tensor([case["input_ids"]]), **grids)
        case["position_ids"], case["rope_delta"] = positions[:, 0].tolist(), int(delta)
    GOLDEN.write_text(json.dumps(golden, separators=(",", ":")))


if __name__ == "__main__":
    main()
