"""Where somebody speaks: Silero's voice activity detector, whose weights its package ships."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

SAMPLE_RATE = 16_000
WINDOW = 512  # samples, 32 ms


@lru_cache(maxsize=1)
def _detector() -> Any:
    try:
        from silero_vad.sequence_vad import SileroVADSequence
    except ImportError:
        raise ImportError(
            "voice activity comes with the package silero-vad, which is not installed: pip install"
            " 'obvlib[mini]'"
        ) from None
    from obvlib.encoders.parts import part_path

    return SileroVADSequence(str(part_path("silero-vad")))


def voice_probabilities(sound: np.ndarray) -> np.ndarray:
    """Return how likely each 32 ms of `sound` (N,) float32 at 16 kHz holds speech, (ceil(N / 512),)
    float32.
    """
    if not len(sound):
        return np.zeros(0, np.float32)
    return np.asarray(_detector().audio_forward(sound, SAMPLE_RATE)).reshape(-1)
