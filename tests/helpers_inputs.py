"""Small fabricated clips and conversations that several tests share."""

import functools

import numpy as np

from obvlib.core.records import QAPair
from obvlib.inputs import Image, Turn, Video, encode

LETTERS = QAPair(
    question="What is the modality?", answer="B", options={"A": "MRI", "B": "Ultrasound"}
)
OPEN = QAPair(question="Which chamber is enlarged?", answer="The left atrium.")


@functools.cache
def tiny():
    """The mini profile's model in float32, with its tokenizer and spec."""
    from obvlib.models.bundle import load

    bundle = load("tiny")
    bundle.model.eval()
    return bundle


def clip(num_frames: int = 4, height: int = 56, width: int = 56, seed: int = 0) -> Video:
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 256, (num_frames, height, width, 3), dtype=np.uint8)
    return Video(frames, np.arange(num_frames) * 1.0)


def picture(height: int = 56, width: int = 84, seed: int = 0) -> Image:
    return Image(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def sample(seed: int = 0, num_frames: int = 4, words: int = 3, **keywords):
    """One encoded training sample of the tiny model: a clip, a question, an answer of `words`
    words.
    """
    rng = np.random.default_rng(seed)
    answer = " ".join(rng.choice(["the", "heart", "valve", "left", "dark", "moving"], words))
    turns = [
        Turn("user", f"Question {seed}?", (clip(num_frames, seed=seed),)),
        Turn("assistant", answer),
    ]
    return encode(turns, tiny().tokenizer, tiny().spec, name=f"sample {seed}", **keywords)
