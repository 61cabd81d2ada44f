"""The figure of a complete fit: experiments, cost and parameters, side by side."""

from __future__ import annotations

import math
from pathlib import Path

from matplotlib.figure import Figure

from kmc_oxy.figures import Panel, file_type, save_figure, side_by_side
from kmc_oxy.fit import FitResult, read_fit_result
from kmc_oxy.report.fit_curve_panels import curve_panels, target_panels
from kmc_oxy.report.fit_search_panels import cost_panel, parameter_panels

MOST_COLUMNS = 4


def plot_fit(folder: Path, out: Path) -> None:
    """Draw the figure of a complete fit.

    Parameters
    ----------
    folder : Path
        The folder of the fit.
    out : Path
        Image; the ending decides the format.

    Raises
    ------
    StoreError
        If there is no complete fit, or the image cannot be written.
    """
    kind = file_type(out)
    save_figure(draw_fit(read_fit_result(folder)), out, kind)


def draw_fit(result: FitResult) -> Figure:
    """The figure of a fit."""
    panels = fit_panels(result)
    return side_by_side(panels, result.name, most=_columns(len(panels)))


def _columns(count: int) -> int:
    """Panels in a row: few panels make a square."""
    return min(MOST_COLUMNS, math.ceil(math.sqrt(count)))


def fit_panels(result: FitResult) -> list[Panel]:
    """The panels of a fit: curves, targets, cost, parameters.

    Parameters
    ----------
    result : FitResult

    Returns
    -------
    list of Panel
    """
    return [
        *curve_panels(result),
        *target_panels(result),
        cost_panel(result),
        *parameter_panels(result),
    ]
