"""Which datasets and benchmarks there are, and their rows as records.

In: cards, row files, the hub. Out: clips and examples, each bad row with its reason, splits by
source video, and coverage.
"""

from obvlib.manifests import coverage
from obvlib.manifests.benchmarks import NAMES, clip_examples, load_examples, media_dir
from obvlib.manifests.cards import Card, card_names, load_card, pin
from obvlib.manifests.hub import HubUnavailable, fetch
from obvlib.manifests.rows import RowProblem, clip_from_row, iter_rows, load_rows
from obvlib.manifests.splits import (
    Contamination,
    check_contamination,
    check_file_names,
    split_by_source,
)

__all__ = [
    "Card",
    "Contamination",
    "HubUnavailable",
    "NAMES",
    "RowProblem",
    "card_names",
    "check_contamination",
    "check_file_names",
    "clip_examples",
    "clip_from_row",
    "coverage",
    "fetch",
    "iter_rows",
    "load_card",
    "load_examples",
    "load_rows",
    "media_dir",
    "pin",
    "split_by_source",
]
