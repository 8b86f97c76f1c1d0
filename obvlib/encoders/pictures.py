"""Pictures to features: EfficientNet-Lite0 from a package, or SigLIP from the hub."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

from obvlib.encoders.efficientnet import STRIDE, load_efficientnet
from obvlib.encoders.parts import PARTS, part_path

INPUT_AREA = 256 * 448  # px that a frame is resized to, whatever its shape
MAX_ASPECT = 2.5
BATCH_SIZE = 8


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
            for start in range(0, len(frames), BATCH_SIZE):
                pixels = torch.from_numpy(frames[start : start + BATCH_SIZE]).to(self.device)
                pixels = (pixels.permute(0, 3, 1, 2).float() - 127) / 128  # (N, 3, H, W)
                maps = self.network(pixels.contiguous(memory_format=torch.channels_last))
                found.append([one.float().cpu().numpy() for one in maps])
        return [np.concatenate(parts) for parts in zip(*found, strict=True)]


@lru_cache(maxsize=2)
def picture_encoder(name: str = "efficientnet-lite0", device: str = "cpu") -> PictureEncoder:
    """Return the encoder of that name, loaded once a process."""
    if name != "efficientnet-lite0":
        raise ValueError(f"picture encoder {name!r} is unknown: use one of {', '.join(PARTS)}")
    return PictureEncoder(name, load_efficientnet(part_path(name)), device)
