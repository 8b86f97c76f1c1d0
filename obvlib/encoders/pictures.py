"""Pictures to features: EfficientNet-Lite0 from a package, or SigLIP [Zhai et al. 2023] from the
hub.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from obvlib.encoders.efficientnet import STRIDE, load_efficientnet
from obvlib.encoders.parts import part_path
from obvlib.manifests import fetch, load_card

INPUT_AREA = 256 * 448  # px that a frame is resized to, whatever its shape
MAX_ASPECT = 2.5
BATCH_SIZE = 2  # on a CPU, whose caches hold the maps of no more
GPU_BATCH_SIZE = 64
SIGLIP = "siglip-base-patch16-224"


class PictureEncoder:
    """Features of every region of a picture, from a pretrained network.

    `maps` gives them from several depths of the network, finer ones first.
    """

    def __init__(self, name: str, network: torch.nn.Module, device: str):
        self.name, self.network, self.device = name, network.to(device), device

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        """Return the size, in multiples of 32 px, that a frame of this shape is resized to."""
        aspect = min(max(width / height, 1 / MAX_ASPECT), MAX_ASPECT)
        rows = max(1, round((INPUT_AREA / aspect) ** 0.5 / STRIDE))
        columns = max(1, round((INPUT_AREA * aspect) ** 0.5 / STRIDE))
        return rows * STRIDE, columns * STRIDE

    def maps(self, frames: np.ndarray) -> list[np.ndarray]:
        """Return features of frames (N, H, W, 3) uint8 of `input_size`: for each depth one array
        (N, D, h, w) float32, a vector for each of h x w regions.
        """
        found = []
        with torch.inference_mode():
            size = BATCH_SIZE if self.device == "cpu" else GPU_BATCH_SIZE
            for start in range(0, len(frames), size):
                pixels = torch.from_numpy(frames[start : start + size]).to(self.device)
                pixels = (pixels.permute(0, 3, 1, 2).float() - 127) / 128  # (N, 3, H, W)
                maps = self.network(pixels.contiguous(memory_format=torch.channels_last))
                found.append([one.float().cpu().numpy() for one in maps])
        return [np.concatenate(parts) for parts in zip(*found, strict=True)]


class SiglipMaps(torch.nn.Module):
    """SigLIP's vision tower as maps of features: pixels (N, 3, H, W) in [-1, 1] to maps of its
    middle and last layer, a vector for every patch; position embeddings are interpolated.
    """

    def __init__(self, directory: Path):
        super().__init__()
        from transformers import SiglipVisionModel

        self.tower: Any = SiglipVisionModel.from_pretrained(directory).eval()
        self.patch = self.tower.config.patch_size

    def forward(self, pixels: torch.Tensor) -> list[torch.Tensor]:
        found = self.tower(
            pixel_values=pixels, interpolate_pos_encoding=True, output_hidden_states=True
        )
        rows, columns = (side // self.patch for side in pixels.shape[2:])
        states = found.hidden_states  # each (N, rows * columns, D)
        layers = (states[len(states) // 2], states[-1])
        return [one.transpose(1, 2).unflatten(2, (rows, columns)) for one in layers]


@lru_cache(maxsize=2)
def picture_encoder(name: str = "efficientnet-lite0", device: str = "") -> PictureEncoder:
    """Return the encoder of that name, loaded once a process; without a `device` it takes a GPU
    where there is one.

    HubUnavailable where SigLIP is neither cached nor within reach.
    """
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if name == "efficientnet-lite0":
        return PictureEncoder(name, load_efficientnet(part_path(name)), device)
    if name != SIGLIP:
        known = f"efficientnet-lite0 or {SIGLIP}"
        raise ValueError(f"picture encoder {name!r} is unknown: use {known}")
    card = load_card(name)
    return PictureEncoder(name, SiglipMaps(fetch(card.hub_id, revision=card.revision)), device)
