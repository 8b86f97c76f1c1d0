"""From a model and a benchmark's examples to predictions that survive a stopped run.

In: a bundle and examples. Out: one prediction an example, appended as they come, with what was
asked and what failed; the same for each control; a folder that can be scored again.
"""

from obvlib.evaluation.answer_file import read_answers
from obvlib.evaluation.controls import CONTROLS, control_names, controlled
from obvlib.evaluation.generation import end_tokens, generate
from obvlib.evaluation.likelihood import likelihood_verdicts
from obvlib.evaluation.predictions import EvalConfig, fingerprint, predict, prompt_input
from obvlib.evaluation.runs import Evaluation, evaluate, load_evaluation, rescore
from obvlib.evaluation.visuals import memory_reader, visuals_reader

__all__ = [
    "CONTROLS",
    "EvalConfig",
    "Evaluation",
    "control_names",
    "controlled",
    "end_tokens",
    "evaluate",
    "fingerprint",
    "generate",
    "likelihood_verdicts",
    "load_evaluation",
    "memory_reader",
    "predict",
    "prompt_input",
    "read_answers",
    "rescore",
    "visuals_reader",
]
