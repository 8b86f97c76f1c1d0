"""SegmentTuner: threshold, gap and shortest length over a score curve; segments follow live."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import traitlets

from obvlib.widgets.base import Widget, script


class SegmentTuner(Widget):
    """Sliders over score curves. What they are set to is read from `settings`, which
    `obvlib.curation.find_segments` takes.
    """

    _esm = script("logic", "ui", "tuner")
    videos = traitlets.Dict().tag(sync=True)
    step_s = traitlets.Float(0.5).tag(sync=True)
    threshold = traitlets.Float(0.64).tag(sync=True)
    max_gap = traitlets.Int(10).tag(sync=True)
    min_length_s = traitlets.Float(0.0).tag(sync=True)

    @property
    def settings(self) -> dict[str, Any]:
        """Return the choice as the keyword arguments of `find_segments`."""
        names = ("threshold", "max_gap", "min_length_s", "step_s")
        return {name: getattr(self, name) for name in names}


def tune_segments(
    scores: Mapping[str, Sequence[float]],
    truth: Mapping[str, Sequence[tuple[float, float]]] | None = None,
    *,
    step_s: float = 0.5,
    **settings: Any,
) -> SegmentTuner:
    """Return a tuner for the scores of some videos, one every `step_s` seconds; `truth` gives known
    segments in seconds, where there are any.
    """
    if not scores:
        raise ValueError("scores is empty: give at least one video's scores")
    known = truth or {}
    videos = {
        name: {
            "scores": [float(score) for score in values],
            "truth": [[float(a), float(b)] for a, b in known[name]] if name in known else None,
        }
        for name, values in scores.items()
    }
    return SegmentTuner(title="Segments", videos=videos, step_s=step_s, **settings)
