"""The mini corpus: small lecture videos with known truth, clips drawn in memory, and a few real
medical pictures.

In: seeds, the shipped videos, what installed packages ship. Out: rows, sources, clips and examples
whose answers are known.
"""

from obvlib.mini.clips import (
    MiniClip,
    SeenClip,
    generated_clips,
    generated_examples,
    heldout_clips,
    training_clips,
)
from obvlib.mini.corpus import Part, Source, corpus_dir, rows, sources, videos_dir
from obvlib.mini.real import real_examples
from obvlib.mini.timed import timed_clips

__all__ = [
    "MiniClip",
    "Part",
    "SeenClip",
    "Source",
    "corpus_dir",
    "generated_clips",
    "generated_examples",
    "heldout_clips",
    "real_examples",
    "rows",
    "sources",
    "timed_clips",
    "training_clips",
    "videos_dir",
]
