"""From cut clips to a fine-tuned model.

In: clips and a configuration. Out: a training set on disk, packed rows, checkpoints, the fine-tuned
weights and the run's losses; and the plan of what a run will cost.
"""

from obvlib.training import planner, samples
from obvlib.training.config import TrainConfig
from obvlib.training.dataset import BuildStage, build, load_sample
from obvlib.training.dataset_files import training_set
from obvlib.training.rows import plan_rows
from obvlib.training.run import TrainingData, TrainResult, Watchers, train

__all__ = [
    "BuildStage",
    "TrainConfig",
    "TrainResult",
    "TrainingData",
    "Watchers",
    "build",
    "load_sample",
    "plan_rows",
    "planner",
    "samples",
    "train",
    "training_set",
]
