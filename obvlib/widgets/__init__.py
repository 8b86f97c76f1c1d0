"""What people click, in a notebook or in the rendered book.

In: records, runs, scores and plans. Out: widgets whose labels go to `core/labels`, and exports.
"""

from obvlib.widgets.inspector import ClipInspector, inspect
from obvlib.widgets.pictures import read_pictures
from obvlib.widgets.samples import open_samples

__all__ = ["ClipInspector", "inspect", "open_samples", "read_pictures"]
