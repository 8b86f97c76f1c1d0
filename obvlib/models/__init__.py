"""Models, tokenizers and attention kernels by name.

In: the name of a card, or "tiny". Out: a bundle of model, tokenizer and vision settings, and the
sizes that plans are computed from.
"""

from obvlib.models.bundle import (
    Bundle,
    load,
    load_weights,
    no_progress_bars,
    tiny_bundle,
    tiny_config,
)
from obvlib.models.placement import load_on_gpu
from obvlib.models.shapes import GPUS, MODELS, Gpu, ModelShape
from obvlib.models.tokenizer import qwen_tokenizer, tiny_tokenizer

__all__ = [
    "Bundle",
    "GPUS",
    "Gpu",
    "MODELS",
    "ModelShape",
    "load",
    "load_on_gpu",
    "load_weights",
    "no_progress_bars",
    "qwen_tokenizer",
    "tiny_bundle",
    "tiny_config",
    "tiny_tokenizer",
]
