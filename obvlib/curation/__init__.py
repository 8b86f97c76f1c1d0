"""Videos to a reviewed dataset: segments of medical pictures, the words said over them, captions,
labels and questions.

In: videos, sidecar captions, people's decisions. Out: rows in the published schema with the words
and seconds they came from; what is left out is left out with a reason.
"""

from obvlib.curation.frames import FrameHead
from obvlib.curation.passages import Passage, Question
from obvlib.curation.relevance import judge_captions
from obvlib.curation.review import read_decisions
from obvlib.curation.run import (
    Curated,
    CurationSettings,
    curate,
    curate_until,
    stages,
    video_files,
    videos_in,
)
from obvlib.curation.segments import Segment, SegmentSettings, find_segments
from obvlib.curation.sidecars import read_captions
from obvlib.curation.words import assign_words

__all__ = [
    "Curated",
    "CurationSettings",
    "FrameHead",
    "Passage",
    "Question",
    "Segment",
    "SegmentSettings",
    "assign_words",
    "curate",
    "curate_until",
    "find_segments",
    "judge_captions",
    "read_captions",
    "read_decisions",
    "stages",
    "video_files",
    "videos_in",
]
