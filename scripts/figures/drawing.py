"""What the figure scripts share: styles that survive a grey print, bands, files, arguments."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from kmc_oxy.analysis import mean_over_members

COLOURS = ("#000000", "#b2182b", "#2166ac", "#1b7837", "#e08214")
MARKERS = ("o", "s", "^", "D", "v")


def style(number: int) -> dict[str, Any]:
    """Colour and marker of one series."""
    return {
        "color": COLOURS[number % len(COLOURS)],
        "marker": MARKERS[number % len(MARKERS)],
        "markersize": 4,
        "fillstyle": "full" if number % 2 == 0 else "none",
    }


def draw_mean(axes: Axes, x: NDArray, values: NDArray, **how: Any) -> None:
    """Mean over members (first axis) with its 95 % interval as a band."""
    found = mean_over_members(values)
    (line,) = axes.plot(x, found.mean, **how)
    if np.isfinite(found.low).all():
        axes.fill_between(x, found.low, found.high, color=line.get_color(), alpha=0.15, linewidth=0)


def save(figure: Figure, output: Path) -> None:
    """Write an image; the ending of its name decides the format."""
    FigureCanvasAgg(figure)
    figure.savefig(output, dpi=150)


def command_line(description: str | None, main: Callable[[Any, Path], None], inputs: int) -> None:
    """Call `main(input, output)` with the files named on the command line."""
    parser = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    parser.add_argument("input", type=Path, nargs=inputs)
    parser.add_argument("-o", "--output", metavar="FIG.png", type=Path, required=True)
    given = parser.parse_args()
    main(given.input if inputs > 1 else given.input[0], given.output)
