"""What people click, in a notebook or in the rendered book.

In: records, runs, scores and plans. Out: widgets whose labels go to `core/labels`, and exports.
"""

from obvlib.widgets.dashboard import dashboard
from obvlib.widgets.inspector import ClipInspector
from obvlib.widgets.labeler import FrameItem, FrameLabeler, label_frames
from obvlib.widgets.opening import inspect
from obvlib.widgets.pictures import read_pictures
from obvlib.widgets.review import QAReview, review_captions, review_questions, reviewed
from obvlib.widgets.samples import open_samples
from obvlib.widgets.tuner import SegmentTuner, tune_segments

__all__ = [
    "ClipInspector",
    "FrameItem",
    "FrameLabeler",
    "QAReview",
    "SegmentTuner",
    "dashboard",
    "inspect",
    "label_frames",
    "open_samples",
    "read_pictures",
    "review_captions",
    "review_questions",
    "reviewed",
    "tune_segments",
]
