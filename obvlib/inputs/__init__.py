"""From a conversation about clips to what the model computes on. Training and evaluation both go
through here.

In: turns with text, frames and images. Out: tokens, patches, label masks and positions, alone or
packed into rows.
"""

from obvlib.inputs.encoding import (
    Image,
    InputError,
    ModelInput,
    TooLong,
    Turn,
    Video,
    VisionSpec,
    Visual,
    clip_turns,
    count_tokens,
    encode,
    example_turns,
    fit_image,
    fit_video,
    num_tokens,
    question_turns,
)
from obvlib.inputs.packing import IGNORE, collate, epoch_order, lower_bound, num_label_tokens, pack
from obvlib.inputs.positions import mrope_positions

__all__ = [
    "IGNORE",
    "Image",
    "InputError",
    "ModelInput",
    "TooLong",
    "Turn",
    "Video",
    "VisionSpec",
    "Visual",
    "clip_turns",
    "collate",
    "count_tokens",
    "encode",
    "epoch_order",
    "example_turns",
    "fit_image",
    "fit_video",
    "lower_bound",
    "mrope_positions",
    "num_label_tokens",
    "num_tokens",
    "pack",
    "question_turns",
]
