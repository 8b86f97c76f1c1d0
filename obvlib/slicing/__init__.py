"""From a dataset's rows and a directory of source videos to one file per clip, with a report of what became of every row.

`slice_dataset` writes the clips as they are, `prepare_dataset` what a model is shown of them. Both go through the engine and the ledger, so
running the same command again does only what is left.

>>> clips, problems = load_rows("SurgeryVideoQA")
>>> report = slice_dataset(clips, problems, "videos", "segments", num_workers=8)
"""

from obvlib.slicing.coverage import coverage, render, summarize
from obvlib.slicing.jobs import ClipJob, find_sources, make_jobs
from obvlib.slicing.run import prepare_dataset, slice_dataset
from obvlib.slicing.stages import ClipFile, PrepareStage, SliceStage
from obvlib.slicing.storage import local_copy

__all__ = [
    "ClipFile",
    "ClipJob",
    "PrepareStage",
    "SliceStage",
    "coverage",
    "find_sources",
    "local_copy",
    "make_jobs",
    "prepare_dataset",
    "render",
    "slice_dataset",
    "summarize",
]
