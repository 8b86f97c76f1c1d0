"""What a dataset holds, in hours and counts: for the published figures, and for any rows."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from obvlib.core import Clip

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BAR, REST = "#0072B2", "#767676"  # of the book's palette; grey for what is not told apart


def summary(clips: Iterable[Clip]) -> dict[str, float]:
    """Return counts of clips, source videos, hours, QA pairs and pairs per clip."""
    clips = list(clips)
    num_pairs = sum(len(clip.qa_pairs) for clip in clips)
    return {
        "clips": len(clips),
        "videos": len({clip.video_id for clip in clips}),
        "hours": sum(clip.duration_s for clip in clips) / 3600,
        "qa_pairs": num_pairs,
        "qa_pairs_per_clip": num_pairs / len(clips) if clips else 0.0,
    }


def hours_by(clips: Iterable[Clip], field: str) -> dict[str, float]:
    """Return hours by a field of the clips ("modality", "region", "split" …), most first.

    Clips without a value count under "not labelled", so that the parts always add up to the whole.
    """
    hours: defaultdict[str, float] = defaultdict(float)
    for clip in clips:
        hours[getattr(clip, field) or "not labelled"] += clip.duration_s / 3600
    return dict(sorted(hours.items(), key=lambda item: -item[1]))


def overlap_s(clips: Iterable[Clip]) -> float:
    """Return the seconds of source video that more than one clip covers, counted once each."""
    spans: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
    for clip in clips:
        spans[clip.video_id].append((clip.start_s, clip.end_s))
    total = 0.0
    for found in spans.values():
        edges = sorted([(start, 1) for start, _ in found] + [(end, -1) for _, end in found])
        depth, since = 0, 0.0
        for time, step in edges:
            if depth > 1:
                total += time - since
            depth, since = depth + step, time
    return total


def repeated_captions(clips: Iterable[Clip], min_clips: int = 2) -> dict[str, int]:
    """Return captions that stand for several clips, with how many, most first.

    Captions count as one where their words are equal. A pipeline that fails quietly writes one
    caption thousands of times.
    """
    names: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for clip in clips:
        text = clip.caption or clip.transcript
        if words := " ".join(re.findall(r"\w+", text.lower())):
            counts[words] += 1
            names.setdefault(words, text)
    return {names[words]: num for words, num in counts.most_common() if num >= min_clips}


def hour_bars(hours: Mapping[str, float], title: str = "", ax: Axes | None = None) -> Axes:
    """Draw hours by category as horizontal bars, most first, each with its number; return the axes.

    Categories called "Other" or "not labelled" come last and grey.
    """
    if not hours:
        raise ValueError("hours: nothing to draw; the dataset holds no clips")
    if ax is None:
        import matplotlib.pyplot as plt

        size = (7.0, 0.6 + 0.27 * len(hours))
        ax = plt.subplots(figsize=size, layout="constrained")[1]
    rest = [name for name in hours if name in ("Other", "not labelled")]
    names = sorted(set(hours) - set(rest), key=lambda name: -hours[name]) + rest
    values = [hours[name] for name in names]
    bars = ax.barh(names, values, color=[REST if name in rest else BAR for name in names])
    ax.bar_label(bars, labels=[_short(value) for value in values], padding=3, fontsize=9)
    ax.invert_yaxis()
    ax.margins(x=0.12)
    ax.set(xlabel="hours", title=title)
    ax.grid(axis="y", visible=False)
    return ax


def _short(value: float) -> str:
    return f"{value:.1f}" if value >= 1 else f"{value:.3f}"
