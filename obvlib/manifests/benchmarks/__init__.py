"""One reader for each benchmark: published rows → examples, each with one question, its options,
its answer and the paths of its media.

In: a benchmark's name, its rows from the hub or from a file. Out: examples in the order of the
rows, each with a unique `example_id`; a closed answer is a letter of `options`, a yes/no answer the
word in lower case; `video_id` is what confidence intervals cluster by (the source video, the
patient, the image). Paths are given whether or not the file is there.
"""

from obvlib.manifests.benchmarks.clips import clip_examples
from obvlib.manifests.benchmarks.loading import NAMES, load_examples, media_dir

__all__ = ["NAMES", "clip_examples", "load_examples", "media_dir"]
