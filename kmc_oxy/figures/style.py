"""What a panel is, how its series are told apart, and how a mean over members is drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

Item = TypeVar("Item")

#: More series than this in a panel cannot be told apart: evenly spaced ones are drawn.
MAX_SERIES = 8
#: A panel's axis is logarithmic if its values span more than this ratio.
LOG_ABOVE_RATIO = 10.0

# Told apart by lightness, line and marker, so that they survive a grey print.
COLOURS = ("#000000", "#b2182b", "#2166ac", "#1b7837", "#e08214", "#6a51a3", "#777777", "#35978f")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<")
LINES = ("-", "--", "-.", ":")


@dataclass(frozen=True)
class Panel:
    """Something to draw on one or more axes, and what it shows in words.

    Parameters
    ----------
    width : int
        Number of axes.
    draw : callable
        Takes a list of that many axes.
    title : str
    caption : str
        What is drawn against what, in which units, and what marks, lines and bands are.
    alt : str
        What it shows, for those who cannot see it.
    """

    width: int
    draw: Callable[[list[Axes]], None]
    title: str
    caption: str
    alt: str


def thin(found: Sequence[Item], most: int = MAX_SERIES) -> list[Item]:
    """At most `most` items, evenly spaced, the first and last among them."""
    if len(found) <= most:
        return list(found)
    places = np.unique(np.linspace(0, len(found) - 1, most).round().astype(int))
    return [found[place] for place in places]


def style(number: int) -> dict[str, Any]:
    """Colour and marker of a series."""
    return {
        "color": COLOURS[number % len(COLOURS)],
        "marker": MARKERS[number % len(MARKERS)],
        "markersize": 4,
        "fillstyle": "full" if number % 2 == 0 else "none",
        "linewidth": 1.0,
    }


def draw_curve(
    axes: Axes, x: NDArray, values: NDArray, style: dict[str, Any], label: str | None
) -> None:
    """Mean over members, and a band of one standard deviation over members."""
    mean = values.mean(axis=0)
    axes.plot(x, mean, label=label, **style)
    if len(values) > 1:
        spread = values.std(axis=0, ddof=1)
        low = np.maximum(mean - spread, values.min(axis=0))
        axes.fill_between(x, low, mean + spread, color=style["color"], alpha=0.15, linewidth=0)


def scale_of(axes: Axes, values: Iterator[float]) -> None:
    """A logarithmic axis if the values call for one."""
    positive = np.array([value for value in values if np.isfinite(value) and value > 0])
    if positive.size and positive.max() > LOG_ABOVE_RATIO * positive.min():
        axes.set_yscale("log")


def members_text(members: int) -> str:
    """What `draw_curve` shows, for a caption."""
    if members < 2:
        return "One device."
    return f"Marks and lines: mean over {members} members; bands: one standard deviation over them."
