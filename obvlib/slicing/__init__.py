"""From a dataset's rows and a directory of source videos to one file per clip.

In: clips and where their videos are. Out: clip files, as they are or as a model is shown them, and
a report of what became of every row.
"""

from obvlib.slicing.jobs import ClipJob, find_sources, make_jobs
from obvlib.slicing.run import prepare_dataset, slice_dataset
from obvlib.slicing.stages import ClipFile, PrepareStage, SliceStage

__all__ = [
    "ClipFile",
    "ClipJob",
    "PrepareStage",
    "SliceStage",
    "find_sources",
    "make_jobs",
    "prepare_dataset",
    "slice_dataset",
]
