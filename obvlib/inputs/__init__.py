"""From a conversation about clips to what the model computes on. Training and evaluation both go
through here.

In: turns with text, frames and images. Out: tokens, patches, label masks and positions, alone or
packed into rows.
"""

from obvlib.inputs.encoding import (
    InputError,
    ModelInput,
    TooLong,
    Visual,
    count_tokens,
    encode,
    num_tokens,
)
from obvlib.inputs.packing import IGNORE, collate, epoch_order, lower_bound, num_label_tokens, pack
from obvlib.inputs.positions import mrope_positions
from obvlib.inputs.turns import Turn, clip_turns, example_turns, question_turns
from obvlib.inputs.vision import (
    Image,
    Video,
    VisionSpec,
    fit_image,
    fit_video,
    normalised_on_device,
)

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
    "normalised_on_device",
    "num_label_tokens",
    "num_tokens",
    "pack",
    "question_turns",
]
