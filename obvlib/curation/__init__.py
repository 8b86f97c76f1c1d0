"""Videos to segments of medical pictures with the words that are said over them.

In: videos, and sidecar captions where there are some. Out: stretches with their scores, and words
with exact times; what is left out is left out with a reason.
"""

from obvlib.curation.frames import FrameHead
from obvlib.curation.segments import Segment, SegmentSettings, find_segments
from obvlib.curation.sidecars import read_captions
from obvlib.curation.words import assign_words

__all__ = [
    "FrameHead",
    "Segment",
    "SegmentSettings",
    "assign_words",
    "find_segments",
    "read_captions",
]
