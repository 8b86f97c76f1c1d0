"""The vision tower's first layer as one matrix product.

The families write it as a 3-d convolution whose window is a whole patch and which never moves: a
product of patches and weights. As a convolution in bf16 it falls on some versions of torch and
cuDNN to an algorithm that takes seconds for a clip (pytorch/pytorch#174051,
huggingface/transformers#45750). Weights, names and shapes stay as they are.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F


class PatchProduct(torch.nn.Conv3d):
    """A convolution whose windows are whole patches, computed as a product."""

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        """Return (n, width) for patches (n, channels, time, height, width)."""
        return F.linear(patches.flatten(1), self.weight.flatten(1), self.bias)


def multiply_patches(model: Any) -> None:
    """Let a model's patch embedding, where it is such a convolution, be a product."""
    for module in model.modules():
        if type(module) is torch.nn.Conv3d and module.kernel_size == module.stride:
            module.__class__ = PatchProduct
