"""Samples as part of a page: within a budget of bytes, so that a widget works without a kernel."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from obvlib.media import MediaError
from obvlib.widgets import details
from obvlib.widgets.pictures import Pictures, data_url, picture_facts
from obvlib.widgets.server import is_served, own_roots

if TYPE_CHECKING:
    from obvlib.widgets.inspector import ClipInspector

VIDEO_SHARE = 0.5  # of the budget, for the files of the first samples


def embed(widget: ClipInspector, budget_bytes: int) -> dict[str, Any]:
    """Return the table, texts and details of as many samples as fit, from the first on (the one
    that the widget starts with ahead of all), and the slices of the first of them.
    """
    samples = widget.shelf.samples
    order = sorted(range(len(samples)), key=lambda i: samples.ids[i] != widget.start)
    kept: dict[int, dict[str, Any]] = {}
    spent, left_for_videos = 0, round(budget_bytes * VIDEO_SHARE)
    for index in order:
        sample = _one(widget, index, left_for_videos)
        size = len(json.dumps(sample))
        if spent + size > budget_bytes:
            break
        kept[index], spent = sample, spent + size
        left_for_videos -= len(sample["pictures"].get("video", ""))
    shown = sorted(kept)
    table = widget.table()
    return {
        "table": {
            "columns": {name: _rows(column, shown) for name, column in table["columns"].items()},
            "runs": [run | {"column": _rows(run["column"], shown)} for run in table["runs"]],
            "total": table["total"],
        },
        "texts": [samples.texts[i] for i in shown],
        "samples": {samples.ids[i]: kept[i] for i in shown},
    }


def _rows(column: Any, shown: list[int]) -> Any:
    if isinstance(column, dict):
        return column | {"codes": [column["codes"][i] for i in shown]}
    return [column[i] for i in shown]


def _one(widget: ClipInspector, index: int, max_video_bytes: int) -> dict[str, Any]:
    detail, _ = details.describe(widget.shelf, index)
    sample: dict[str, Any] = {"detail": detail}
    try:
        pictures = widget.pictures(detail["id"])
    except MediaError as error:
        sample["pictures"] = {"problem": str(error)}
    else:
        facts = picture_facts(pictures, widget.shelf.policy)
        images = [data_url(image) for image in pictures.strip]
        video = _video(pictures, max_video_bytes)
        sample["pictures"] = facts | {"images": images, "video": video}
        if not video and not pictures.place.is_image:
            sample["pictures"]["can_decode"] = False
    try:
        sample["tokens"] = widget.tokens(detail["id"])
    except ValueError:
        pass  # the page asks for them and is told why there are none
    return sample


def _video(pictures: Pictures, max_bytes: int) -> str:
    """Return the slice as an address that holds it; "" where it is too large, only a stretch of a
    source, or a file that would not be served either.
    """
    place = pictures.place
    if place.is_image or not place.is_slice or place.path.stat().st_size * 4 / 3 > max_bytes:
        return ""
    path = place.path.resolve()
    if not any(is_served(path, root) for root in own_roots()):
        return ""
    return data_url(path.read_bytes(), "video/mp4")
