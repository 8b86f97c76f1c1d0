"""The look of the book's figures, and what every figure function needs.

Colours are Okabe and Ito's, which can be told apart by colour-blind readers; what a colour says is
also said by a marker, a hatch or a word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

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

    style: dict[Any, Any] = _STYLE | {"axes.prop_cycle": cycler(color=COLOURS)}
    matplotlib.rcParams.update(style)


def new_axes(ax: Axes | None, *, width: float = 7.0, height: float = 3.2) -> Axes:
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=(width, max(1.0, height)), layout="constrained")[1]


def legend_below(ax: Axes, columns: int) -> Axes:
    ax.figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=columns)
    return ax


def check_not_empty(values: Sequence[Any] | Mapping[str, Any], name: str) -> None:
    if len(values) == 0:
        raise ValueError(f"{name}: nothing to draw; check that the step before gave any")
