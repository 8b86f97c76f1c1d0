"""Dashboard: how many clips, hours and questions of each kind; a click on a bar shows its clips."""

from __future__ import annotations

from typing import Any

import traitlets

from obvlib.widgets.base import Widget, script
from obvlib.widgets.inspector import ClipInspector
from obvlib.widgets.samples import LENGTHS, Samples

TITLES = {
    "modality": "Modality",
    "region": "Anatomical region",
    "length": "Length of clip",
    "split": "Split",
    "family": "Question family",
}
MAX_BARS = 14


class Dashboard(Widget):
    """Bars by kind; `facets` holds what was clicked."""

    _esm = script("logic", "ui", "dashboard")
    groups: traitlets.List[Any] = traitlets.List().tag(sync=True)
    facets = traitlets.Dict().tag(sync=True)


def dashboard(inspector: ClipInspector) -> Any:
    """Return a dashboard of the inspector's samples above the inspector itself: a click on a bar
    filters it, also without a kernel.
    """
    import ipywidgets

    samples = inspector.shelf.samples
    board = Dashboard(title=f"{samples.name}: {len(samples):,} samples", groups=groups_of(samples))
    ipywidgets.jslink((board, "facets"), (inspector, "facets"))
    return ipywidgets.VBox([board, inspector])


def groups_of(samples: Samples) -> list[dict[str, Any]]:
    """Return for each kind that has several values: clips, hours and questions of each, the most
    frequent first, lengths in their order.
    """
    found = []
    for name, title in TITLES.items():
        rows = _rows(samples, name)
        if len(rows) > 1:
            found.append({"name": name, "title": title, "rows": rows[:MAX_BARS]})
    return found


def _rows(samples: Samples, name: str) -> list[dict[str, Any]]:
    sums: dict[str, list[float]] = {}
    columns = samples.columns
    for value, seconds, questions in zip(
        columns[name], columns["seconds"], columns["questions"], strict=True
    ):
        if value:
            total = sums.setdefault(value, [0, 0.0, 0])
            total[0] += 1
            total[1] += (seconds or 0) / 3600
            total[2] += questions or 0
    order = [label for _, label in LENGTHS]
    ranked = sorted(
        sums.items(),
        key=lambda item: (order.index(item[0]) if name == "length" else -item[1][0], item[0]),
    )
    return [
        {"value": value, "clips": int(clips), "hours": hours, "questions": int(questions)}
        for value, (clips, hours, questions) in ranked
    ]
