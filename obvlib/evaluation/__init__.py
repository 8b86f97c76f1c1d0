"""From a model and a benchmark's examples to predictions that survive a stopped run.

In: a bundle and examples. Out: one prediction an example, appended as they come, with what was
asked and what failed.
"""

from obvlib.evaluation.generation import generate
from obvlib.evaluation.predictions import (
    EvalConfig,
    fingerprint,
    memory_reader,
    predict,
    prompt_input,
)

__all__ = ["EvalConfig", "fingerprint", "generate", "memory_reader", "predict", "prompt_input"]
