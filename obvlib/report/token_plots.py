"""Figures of what the model reads: which tokens are learned, where they stand on the three axes,
and who may look at whom.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from obvlib.report.plots import BLUE, GREEN, GREY, ORANGE, RED

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# light grey, grey, orange, blue
KINDS = {"text": "#D9D9D9", "special": GREY, "visual": ORANGE, "learned": BLUE}
_WIDTH = 112  # characters a line


def pieces_of(sample: Any, tokenizer: Any, spec: Any) -> list[tuple[str, str]]:
    """Return (text, kind) of each token, runs of placeholders joined to one piece; kinds are text,
    special, visual and learned.
    """
    visual = (spec.image_token_id, spec.video_token_id)
    special = set(tokenizer.all_special_ids) | {
        spec.vision_start_token_id,
        spec.vision_end_token_id,
    }
    special |= set(tokenizer.convert_tokens_to_ids(["<|im_start|>", "<|im_end|>"]))
    pieces: list[tuple[str, str]] = []
    run = 0
    for token, label in zip(sample.input_ids.tolist(), sample.labels.tolist(), strict=True):
        if token in visual:
            run += 1
            continue
        if run:
            pieces.append((f"{run} visual tokens", "visual"))
            run = 0
        kind = "learned" if label != -100 else "special" if token in special else "text"
        pieces.append((tokenizer.decode([token]), kind))
    return pieces


def label_mask(pieces: Sequence[tuple[str, str]], ax: Axes | None = None) -> Axes:
    """Draw tokens in reading order, each in a box of its kind's colour; learned ones are bold, so
    that colour is not all that tells them.
    """
    lines: list[list[tuple[int, str, str]]] = [[]]
    column = 0
    for text, kind in pieces:
        shown = text.replace("\n", "⏎")
        if column + len(shown) > _WIDTH:
            lines.append([])
            column = 0
        lines[-1].append((column, shown, kind))
        column += len(shown) + 1
        if text.endswith("\n"):
            lines.append([])
            column = 0
    ax = _axes(ax, 7.4, 0.24 * len(lines) + 0.5)
    for row, line in enumerate(lines):
        for column, shown, kind in line:
            box = {"facecolor": KINDS[kind], "edgecolor": "none", "pad": 1.2}
            colour = "white" if kind in ("learned", "special") else "black"
            weight = "bold" if kind == "learned" else "normal"
            ax.text(
                column,
                -row,
                shown,
                family="monospace",
                fontsize=6.8,
                bbox=box,
                color=colour,
                weight=weight,
            )
    ax.set(xlim=(0, _WIDTH), ylim=(-len(lines) + 0.3, 1.6))
    ax.axis("off")
    for place, (kind, colour) in enumerate(KINDS.items()):
        ax.text(
            place * 18,
            1.1,
            f" {kind} ",
            fontsize=8,
            bbox={"facecolor": colour, "edgecolor": "none", "pad": 1.5},
            color="white" if kind in ("learned", "special") else "black",
        )
    return ax


def position_lines(
    positions: np.ndarray, next_position: int, ax: Axes | None = None, *, title: str = ""
) -> Axes:
    """Draw the three positions (3, L) of each token, and where generation goes on: in a
    consistent row the text after a video never steps down.
    """
    ax = _axes(ax, 5, 3)
    index = np.arange(positions.shape[1])
    for name, values, colour, style in zip(
        ("time", "height", "width"), positions, (RED, BLUE, GREEN), ("-", "--", ":"), strict=True
    ):
        ax.plot(index, values, style, color=colour, linewidth=1.6, label=name)
    ax.plot(
        [len(index)],
        [next_position],
        marker="*",
        color="black",
        markersize=11,
        linestyle="none",
        label="next, generated",
    )
    ax.set(xlabel="token (index in the row)", ylabel="position", title=title)
    return ax


def attention_map(allowed: np.ndarray, names: Mapping[str, int], ax: Axes | None = None) -> Axes:
    """Draw which token (row) may look at which (column); `names` gives each sample's length."""
    ax = _axes(ax, 4.2, 4.2)
    ax.imshow(allowed, cmap="Blues", vmin=0, vmax=1.4, interpolation="nearest")
    start = 0
    for name, length in names.items():
        ax.axhline(start - 0.5, color=GREY, linewidth=0.8)
        ax.axvline(start - 0.5, color=GREY, linewidth=0.8)
        ax.text(start + length + 0.2, start + length / 2, name, va="center", fontsize=9)
        start += length
    ax.set(
        xlabel="token looked at (index in the row)", ylabel="token that looks (index in the row)"
    )
    ax.grid(False)
    return ax


def _axes(ax: Axes | None, width: float, height: float) -> Axes:
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=(width, height), layout="constrained")[1]
