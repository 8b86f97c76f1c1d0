"""Figures of the book, drawn on matplotlib axes from tables: each function takes data and an axes
(or makes one), and returns the axes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from obvlib.report.plot_style import (
    BLUE,
    COLOURS,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    RED,
    SKY,
    check_not_empty,
    new_axes,
    use_style,
)
from obvlib.report.score_plots import (
    above_controls,
    benchmark_bars,
    claimed_gains,
    paper_comparison,
    score_bars,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "BLUE",
    "COLOURS",
    "GREEN",
    "GREY",
    "ORANGE",
    "PURPLE",
    "RED",
    "SKY",
    "above_controls",
    "claimed_gains",
    "histogram",
    "loss_curve",
    "benchmark_bars",
    "paper_comparison",
    "score_bars",
    "segment_timeline",
    "show_frames",
    "use_style",
]


def show_frames(
    frames: Any,
    times_s: Sequence[float],
    ax: Axes | None = None,
    *,
    columns: int = 8,
    title: str = "",
) -> Axes:
    """Draw frames in reading order, the time of each above it. `frames`: (T, H, W, 3) or (T, H,
    W), uint8 or floats of 0 to 1; `times_s`: (T,).
    """
    frames = np.asarray(frames)
    if frames.ndim == 3:
        frames = np.repeat(frames[..., None], 3, axis=-1)
    if frames.ndim != 4 or frames.shape[-1] != 3 or not len(frames) or len(frames) != len(times_s):
        raise ValueError(
            f"frames of shape {frames.shape} with {len(times_s)} times: need (T, H, W, 3) and T"
            " times, T at least 1"
        )
    pixels = (np.clip(frames, 0, 1) * 255).astype(np.uint8) if frames.dtype.kind == "f" else frames
    num, height, width, _ = pixels.shape
    columns = min(columns, num)
    gap, head = max(1, width // 20), max(3, round(0.16 * width))
    num_rows = -(-num // columns)
    strip = np.full(
        (num_rows * (height + head + gap), columns * (width + gap) - gap, 3), 255, np.uint8
    )
    ax = new_axes(
        ax, width=8.0, height=8.0 * strip.shape[0] / strip.shape[1] + (0.3 if title else 0.0)
    )
    for i, (picture, time_s) in enumerate(zip(pixels, times_s, strict=True)):
        top, left = (i // columns) * (height + head + gap) + head, (i % columns) * (width + gap)
        strip[top : top + height, left : left + width] = picture
        ax.text(
            left + width / 2, top - gap / 2, f"{time_s:.2f} s", ha="center", va="bottom", fontsize=8
        )
    ax.imshow(strip)  # (rows, columns, 3) uint8
    ax.set_axis_off()
    ax.set_title(title)
    return ax


def loss_curve(
    steps: Sequence[int],
    losses: Sequence[float],
    ax: Axes | None = None,
    *,
    label: str = "training",
    window: int = 3,
    log: bool = False,
) -> Axes:
    """Plot loss over steps: each entry faint, the mean of the `window` entries around it strong.

    `steps` (N,) and `losses` (N,), one entry a logging step, in nats a label token; `log` draws the
    loss on a logarithmic scale.
    """
    check_not_empty(losses, "losses")
    ax = new_axes(ax)
    line = ax.plot(steps, losses, alpha=0.25, linewidth=1)[0]
    sums = np.cumsum(np.insert(np.asarray(losses, float), 0, 0.0))
    here = np.arange(len(losses))
    starts, ends = (
        np.maximum(0, here - window // 2),
        np.minimum(len(losses), here + window // 2 + 1),
    )
    ax.plot(
        steps,
        (sums[ends] - sums[starts]) / (ends - starts),
        color=line.get_color(),
        linewidth=2,
        label=f"{label}, mean of {window} entries",
    )
    ax.set(
        xlabel="step",
        ylabel="loss (nats per token)",
        **({"yscale": "log"} if log else {"ylim": (0, None)}),
    )
    ax.legend()
    return ax


def segment_timeline(
    segments: Mapping[str, Sequence[tuple[float, float]]], duration_s: float, ax: Axes | None = None
) -> Axes:
    """Draw one line a name (for example "truth" and "found"), each with its segments (start_s,
    end_s) along the video's time.
    """
    check_not_empty(segments, "segments")
    ax = new_axes(ax, height=0.4 * len(segments) + 0.9)
    for place, (_, spans) in enumerate(segments.items()):
        colour = COLOURS[place % len(COLOURS)]
        ax.broken_barh(
            [(start, end - start) for start, end in spans],
            (place - 0.3, 0.6),
            facecolors=colour,
            edgecolor="white",
        )
    ax.set_yticks(range(len(segments)), list(segments))
    ax.grid(axis="y", visible=False)
    ax.set(xlim=(0, duration_s), ylim=(len(segments) - 0.5, -0.5), xlabel="time in the video (s)")
    return ax


def histogram(
    values: Sequence[float],
    xlabel: str,
    ax: Axes | None = None,
    *,
    bins: Any = "auto",
    ylabel: str = "clips",
) -> Axes:
    """Plot counts of values, the median marked. `xlabel` names quantity and unit, for example "clip
    length (s)".
    """
    check_not_empty(values, "values")
    ax = new_axes(ax)
    ax.hist(np.asarray(values, float), bins=bins, color=BLUE, edgecolor="white")
    median = float(np.median(values))
    ax.axvline(median, color=RED, linestyle="--", label=f"median {median:.3g}")
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.legend()
    return ax
