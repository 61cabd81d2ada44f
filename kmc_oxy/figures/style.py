"""Style of the figures: colours and marks of series, means and bands, legends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from kmc_oxy.analysis import EnsembleMean, branches, mean_name

Item = TypeVar("Item")
Values = NDArray[np.float64] | NDArray[np.int64]

#: Largest number of series of a panel; of more, evenly spaced ones are drawn.
MAX_SERIES = 16
#: Largest number of series that are told apart by a scale of colours.
MAX_COLOURED = 64
#: Longer legends are beside the axes.
LONGEST_INSIDE = 3
#: Names with more characters are written smaller.
LONG_NAME = 40
#: An axis is logarithmic if its values span more than this ratio.
LOG_ABOVE_RATIO = 10.0
#: The same of the scanned values on an x axis.
LOG_X_ABOVE_RATIO = 50.0

# Series differ in lightness, line and marker, so that a grey print is readable.
COLOURS = ("#000000", "#b2182b", "#2166ac", "#1b7837", "#e08214", "#6a51a3", "#777777", "#35978f")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<")
LINES = ("-", "--", "-.", ":")


def evenly_spaced(found: Sequence[Item], most: int = MAX_SERIES) -> list[Item]:
    """At most `most` items, evenly spaced, the first and last among them."""
    if len(found) <= most:
        return list(found)
    places = np.unique(np.linspace(0, len(found) - 1, most).round().astype(int))
    return [found[place] for place in places]


def style(number: int) -> dict[str, Any]:
    """Colour and marker of a series; both together differ for `MAX_SERIES` series and more."""
    turn = number // len(COLOURS)
    return {
        "color": COLOURS[number % len(COLOURS)],
        "marker": MARKERS[(number + turn) % len(MARKERS)],
        "markersize": 4,
        "fillstyle": "full" if (number + turn) % 2 == 0 else "none",
        "linewidth": 1.0,
    }


def line_style(number: int) -> str:
    """Line style of a series; with its colour it differs for `MAX_SERIES` series and more."""
    return LINES[(number + number // len(COLOURS)) % len(LINES)]


def draw_curve(
    axes: Axes,
    x: Values,
    found: EnsembleMean,
    look: dict[str, Any],
    label: str | None,
    has_band: bool = True,
) -> None:
    """Mean over members, and a band of one standard deviation over members."""
    axes.plot(x, found.mean, label=label, **look)
    if not has_band or found.members < 2:
        return
    # A band over both branches of a loop would cancel itself: one band a branch.
    for branch in branches(np.asarray(x), share_turns=True):
        axes.fill_between(
            x[branch],
            found.spread_low[branch],
            found.spread_high[branch],
            color=look["color"],
            alpha=0.15,
            linewidth=0,
        )


def set_y_scale(axes: Axes, drawn: Sequence[EnsembleMean], others: Sequence[float] = ()) -> None:
    """Make the y axis logarithmic if what is drawn spans more than `LOG_ABOVE_RATIO`.

    Parameters
    ----------
    axes : Axes
    drawn : sequence of EnsembleMean
        Positive quantities, with their bands.
    others : sequence of float
        Further values on the axis.
    """
    parts = [
        getattr(mean, part) for mean in drawn for part in ("mean", "spread_low", "spread_high")
    ]
    values = np.concatenate([*parts, np.asarray(others)])
    positive = values[np.isfinite(values) & (values > 0)]
    if positive.size and positive.max() > LOG_ABOVE_RATIO * positive.min():
        axes.set_yscale("log")


def draw_legend(axes: Axes, beside: bool = False) -> None:
    """A legend of the labelled series; a long one is beside the axes."""
    names = axes.get_legend_handles_labels()[1]
    beside = beside or len(names) > LONGEST_INSIDE
    size = "x-small" if max(map(len, names)) > LONG_NAME else "small"
    place: dict[str, Any] = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)} if beside else {}
    legend = axes.legend(fontsize=size, frameon=False, **place)
    for text in legend.get_texts():
        # Names come from the input: a dollar sign begins no formula.
        text.set_parse_math(False)


def members_text(members: int, geometric: bool, bands: bool = True) -> str:
    """Meaning of the marks and bands of `draw_curve`, for a caption.

    Parameters
    ----------
    members : int
    geometric : bool
        Whether the mean is geometric.
    bands : bool
        Whether the panel has bands.
    """
    if members < 2:
        return "One device."
    text = f"Marks and lines: {mean_name(geometric)} over {members} members"
    if not bands:
        return f"{text}."
    of_what = "of their logarithms" if geometric else "over them"
    return f"{text}; bands: one standard deviation {of_what}."
