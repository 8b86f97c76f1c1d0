"""What everything stands on: the records that flow through every room, where things live, and how
files are read and written.

In: settings from the environment, files anywhere. Out: frozen records, a frame policy, whole files,
and where a result came from.
"""

from obvlib.core import files, frame_policy, gpus, jsonl, labels, provenance, records, settings
from obvlib.core.checks import RecordError
from obvlib.core.frame_policy import FramePolicy
from obvlib.core.provenance import Provenance
from obvlib.core.records import Clip, Example, Prediction, QAPair, Verdict, Word
from obvlib.core.settings import data_root, manifests_dir, profile

__all__ = [
    "Clip", "Example", "FramePolicy", "Prediction", "Provenance", "QAPair", "RecordError",
    "Verdict", "Word", "data_root", "files", "frame_policy", "gpus",
    "jsonl", "labels", "manifests_dir", "profile", "provenance", "records", "settings",
]  # fmt: skip
