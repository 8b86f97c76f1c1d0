"""Figures of scores: before and after, the paper's and ours beside it, above the controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from obvlib.report.plot_style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    RED,
    SKY,
    check_not_empty,
    legend_below,
    new_axes,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def score_bars(rows: Sequence[Mapping[str, Any]], ax: Axes | None = None) -> Axes:
    """Plot accuracy before and after by family with 95 % intervals and the majority answer, from
    `report.family_table`.
    """
    check_not_empty(rows, "rows of report.family_table")
    ax = new_axes(ax, height=0.62 * len(rows) + 1.3)
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
    return legend_below(ax, 3)


def paper_comparison(rows: Sequence[Mapping[str, Any]], ax: Axes | None = None) -> Axes:
    """Draw the paper's scores before and after, and ours with interval where there are any, from
    `paper.beside_paper`.
    """
    check_not_empty(rows, "rows of paper.beside_paper")
    ax = new_axes(ax, height=0.42 * len(rows) + 1.4)
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
    return legend_below(ax, 3)


def benchmark_bars(rows: Sequence[Mapping[str, Any]], ax: Axes | None = None) -> Axes:
    """Draw the paper's results figure: for each benchmark the bars of `paper.paper_scores`, both
    sizes before and after and the reference model.
    """
    check_not_empty(rows, "rows of paper.paper_scores")
    ax = new_axes(ax, height=0.78 * len(rows) + 1.3)
    places = np.arange(len(rows))
    bars = (
        ("base_2b", "2B, before", SKY, "//"),
        ("biomed_2b", "2B, after", BLUE, None),
        ("base_7b", "7B, before", GREEN, "//"),
        ("biomed_7b", "7B, after", ORANGE, None),
        ("reference_model", "reference model", GREY, None),
    )
    for i, (name, label, colour, hatch) in enumerate(bars):
        values = [row[name] for row in rows]
        look: dict[str, Any] = {"color": colour, "hatch": hatch, "edgecolor": "white"}
        ax.barh(places + 0.16 * (i - 2), values, 0.16, label=label, **look)
    ax.set_yticks(places, [row["benchmark"] for row in rows])
    ax.grid(axis="y", visible=False)
    ax.set(xlim=(0, 101), xlabel="accuracy (%)")
    ax.invert_yaxis()
    return legend_below(ax, 3)


def claimed_gains(rows: Sequence[Mapping[str, Any]], ax: Axes | None = None) -> Axes:
    """Plot claimed relative gains beside those computed from the paper's own bars, from
    `paper.check_claims`.
    """
    check_not_empty(rows, "rows of paper.check_claims")
    ax = new_axes(ax, height=0.36 * len(rows) + 1.4)
    places = np.arange(len(rows))
    for name, marker, colour, size, label in (
        ("gain_of_means", "o", BLUE, 11, "bars: gain of means"),
        ("mean_of_gains", "^", GREEN, 11, "bars: mean of gains"),
        ("claimed", "x", RED, 7, "claimed"),
    ):
        look: dict[str, Any] = {
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
    return legend_below(ax, 3)


def above_controls(rows: Sequence[Mapping[str, Any]], ax: Axes | None = None) -> Axes:
    """Plot how far a score lies above each control, in points with 95 % intervals, from
    `report.control_rows`.
    """
    check_not_empty(rows, "rows of report.control_rows")
    ax = new_axes(ax, height=0.42 * len(rows) + 1.4)
    for is_above, marker, colour in ((True, "o", BLUE), (False, "s", RED)):
        some = [(i, row) for i, row in enumerate(rows) if row["is_above"] == is_above]
        if not some:
            continue
        means = np.array([100 * row["above"] for _, row in some])
        reach = [
            means - [100 * row["above_low"] for _, row in some],
            [100 * row["above_high"] for _, row in some] - means,
        ]
        ax.errorbar(
            means,
            [i for i, _ in some],
            xerr=np.clip(reach, 0, None),
            fmt=marker,
            color=colour,
            capsize=3,
            label="above the control" if is_above else "not above it",
        )
    ax.axvline(0, color="black", linewidth=0.8)
    ax.set_yticks(range(len(rows)), [row["control"].replace("_", " ") for row in rows])
    ax.grid(axis="y", visible=False)
    ax.set(xlabel="score minus control (points), with 95 % interval")
    ax.invert_yaxis()
    return legend_below(ax, 2)
