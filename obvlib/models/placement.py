"""A model where it can be used: a small one on the CPU, any other in bf16 on this process's GPU."""

from __future__ import annotations

from typing import Any, cast

from obvlib.core import ranks
from obvlib.models.bundle import Bundle, load

MIN_FOR_A_GPU = 100_000_000  # parameters from which a model is not tried on a CPU


def load_on_gpu(name: str) -> Bundle:
    """Load a model in bf16 by name or directory, on the process's own GPU; a small one stays on the
    CPU where there is none.

    HubUnavailable where its files are neither cached nor within reach; RuntimeError where there is
    no GPU for a model that needs one.
    """
    import torch

    bundle = load(name, dtype=torch.bfloat16)
    if torch.cuda.is_available():
        torch.cuda.set_device(ranks.local_index() % torch.cuda.device_count())
        cast(Any, bundle.model).to("cuda")
    elif bundle.num_parameters >= MIN_FOR_A_GPU:
        raise RuntimeError(
            f"{bundle.name} needs a GPU, none is here: see `obv doctor`, or set OBV_PROFILE=mini"
        )
    return bundle
