"""Figures of the book, drawn on matplotlib axes from tables: each function takes data and an axes
(or makes one), and returns the axes.

Colours are Okabe and Ito's, which can be told apart by colour-blind readers; what a colour says is
also said by a marker, a hatch or a word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BLUE, ORANGE, GREEN, RED, PURPLE, SKY, GREY = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#D55E00",
    "#CC79A7",
    "#56B4E9",
    "#767676",
)
COLOURS = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY)
_STYLE = {
    "figure.constrained_layout.use": True,
    "figure.dpi": 110,
    "savefig.dpi": 150,
    "figure.facecolor": "white",
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#E2E2E2",
    "legend.frameon": False,
    "svg.fonttype": "none",
}


def use_style() -> None:
    """Set the book's look for all figures drawn from here on (font sizes, grid, colour cycle)."""
    import matplotlib
    from cycler import cycler

    matplotlib.rcParams.update(_STYLE | {"axes.prop_cycle": cycler(color=COLOURS)})


def score_bars(rows: Sequence[Mapping[str, Any]], ax: Axes | None = None) -> Axes:
    """Accuracy before and after by family with 95 % intervals and the majority answer, from
    `report.family_table`.
    """
    _check(rows, "rows of report.family_table")
    ax = _axes(ax, height=0.62 * len(rows) + 1.3)
    places = np.arange(len(rows))
    for shift, name, colour, hatch in ((-0.19, "before", SKY, "//"), (0.19, "after", BLUE, None)):
        means = np.array([100 * row[name] for row in rows])
        reach = [
            [100 * row[name] - 100 * row[f"{name}_low"] for row in rows],
            [100 * row[f"{name}_high"] - 100 * row[name] for row in rows],
        ]
        ax.barh(
            places + shift,
            means,
            0.36,
            color=colour,
            hatch=hatch,
            edgecolor="white",
            label=f"{name} fine-tuning",
        )
        ax.errorbar(
            means,
            places + shift,
            xerr=np.clip(reach, 0, None),
            fmt="none",
            ecolor="black",
            elinewidth=1.4,
            capsize=3,
        )
    marks = [100 * row["majority"] for row in rows]
    ax.plot(
        marks,
        places,
        "D",
        color=ORANGE,
        markeredgecolor="black",
        markersize=7,
        label="majority answer",
    )
    names = [
        f"{row['family']}\n{row.get('verdict') or ''}".strip().replace("_", " ") for row in rows
    ]
    ax.set_yticks(places, names)
    ax.grid(axis="y", visible=False)
    ax.set(xlim=(0, 101), xlabel="accuracy (%), with 95 % interval")
    ax.invert_yaxis()
    return _legend_below(ax, 3)


def paper_comparison(rows: Sequence[Mapping[str, Any]], ax: Axes | None = None) -> Axes:
    """The paper's scores before and after, and ours with interval where there are any, from
    `paper.beside_paper`.
    """
    _check(rows, "rows of paper.beside_paper")
    ax = _axes(ax, height=0.42 * len(rows) + 1.4)
    places = np.arange(len(rows))
    before, after = ([row[name] for row in rows] for name in ("paper_before", "paper_after"))
    ax.hlines(places, before, after, color=GREY, linewidth=2)
    ax.plot(
        before,
        places,
        "o",
        color="white",
        markeredgecolor=GREY,
        markeredgewidth=2,
        markersize=8,
        label="paper, before",
    )
    ax.plot(after, places, "o", color=GREY, markersize=8, label="paper, after")
    ours = [(place, row) for place, row in zip(places, rows, strict=True) if "ours" in row]
    if ours:
        means = np.array([row["ours"] for _, row in ours])
        reach = [means - [row["low"] for _, row in ours], [row["high"] for _, row in ours] - means]
        at = [place + 0.22 for place, _ in ours]
        ax.errorbar(
            means,
            at,
            xerr=np.clip(reach, 0, None),
            fmt="s",
            color=BLUE,
            capsize=3,
            label="ours, with 95 % interval",
        )
    ax.set_yticks(places, [row["benchmark"] for row in rows])
    ax.grid(axis="y", visible=False)
    ax.set(xlim=(0, 101), xlabel="accuracy (%)")
    ax.invert_yaxis()
    return _legend_below(ax, 3)


def claimed_gains(rows: Sequence[Mapping[str, Any]], ax: Axes | None = None) -> Axes:
    """Claimed relative gains beside those computed from the paper's own bars, from
    `paper.check_claims`.
    """
    _check(rows, "rows of paper.check_claims")
    ax = _axes(ax, height=0.36 * len(rows) + 1.4)
    places = np.arange(len(rows))
    for name, marker, colour, size, label in (
        ("gain_of_means", "o", BLUE, 11, "bars: gain of means"),
        ("mean_of_gains", "^", GREEN, 11, "bars: mean of gains"),
        ("claimed", "x", RED, 7, "claimed"),
    ):
        look = {
            "color": colour,
            "markersize": size,
            "markerfacecolor": "none",
            "markeredgewidth": 2,
        }
        ax.plot([row[name] for row in rows], places, marker, **look, label=label)
    ax.axvline(0, color="black", linewidth=0.8)
    ax.set_yticks(
        places,
        [
            f"{row['claim']} {'(agrees)' if row['agrees_with'] != 'neither' else '(differs)'}"
            for row in rows
        ],
    )
    ax.set(xlabel="relative gain (%)")
    ax.invert_yaxis()
    return _legend_below(ax, 3)


def show_frames(
    frames: Any,
    times_s: Sequence[float],
    ax: Axes | None = None,
    *,
    columns: int = 8,
    title: str = "",
) -> Axes:
    """Frames in reading order, the time of each above it. `frames`: (T, H, W, 3) or (T, H, W),
    uint8 or floats of 0 to 1; `times_s`: (T,).
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
    ax = _axes(
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
    """Loss over steps: each entry faint, the mean of the `window` entries around it strong.

    `steps` (N,) and `losses` (N,), one entry a logging step, in nats a label token; `log` draws the
    loss on a logarithmic scale.
    """
    _check(losses, "losses")
    ax = _axes(ax)
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
    """One line a name (for example "truth" and "found"), each with its segments (start_s, end_s)
    along the video's time.
    """
    _check(segments, "segments")
    ax = _axes(ax, height=0.4 * len(segments) + 0.9)
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
    """Counts of values, the median marked. `xlabel` names quantity and unit, for example "clip
    length (s)".
    """
    _check(values, "values")
    ax = _axes(ax)
    ax.hist(np.asarray(values, float), bins=bins, color=BLUE, edgecolor="white")
    median = float(np.median(values))
    ax.axvline(median, color=RED, linestyle="--", label=f"median {median:.3g}")
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.legend()
    return ax


def _axes(ax: Axes | None, *, width: float = 7.0, height: float = 3.2) -> Axes:
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=(width, max(1.0, height)), layout="constrained")[1]


def _legend_below(ax: Axes, columns: int) -> Axes:
    ax.figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=columns)
    return ax


def _check(values: Sequence[Any] | Mapping[str, Any], name: str) -> None:
    if len(values) == 0:
        raise ValueError(f"{name}: nothing to draw; check that the step before gave any")
