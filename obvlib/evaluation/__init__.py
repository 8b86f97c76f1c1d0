"""From a model and a benchmark's examples to predictions that survive a stopped run.

In: a bundle and examples. Out: one prediction an example, appended as they come, with what was
asked and what failed.
"""

from obvlib.evaluation.answer_file import read_answers
from obvlib.evaluation.generation import end_tokens, generate
from obvlib.evaluation.predictions import EvalConfig, fingerprint, predict, prompt_input
from obvlib.evaluation.visuals import memory_reader, visuals_reader

__all__ = [
    "EvalConfig",
    "end_tokens",
    "fingerprint",
    "generate",
    "memory_reader",
    "predict",
    "prompt_input",
    "read_answers",
    "visuals_reader",
]
