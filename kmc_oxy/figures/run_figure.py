"""The figure of a run: the panels that its data call for, side by side.

`PANELS` lists all panels. matplotlib is used through its objects only: no window, no global state.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from matplotlib.figure import Figure

from kmc_oxy.analysis import conductance_averages, legs
from kmc_oxy.figures.arrays import (
    conductance_maps,
    half_selected_cells,
    magnetoresistance_loops,
    programmed_cells,
)
from kmc_oxy.figures.figure_files import file_type, save_figure, side_by_side
from kmc_oxy.figures.measured_points import with_measured
from kmc_oxy.figures.panel import Panel, RunData
from kmc_oxy.figures.scan_curves import change_over_scan
from kmc_oxy.figures.trains_and_sweeps import (
    every_reading,
    pulse_trains,
    relaxations,
    single_readings,
    sweeps,
)
from kmc_oxy.inputs.schema import Input
from kmc_oxy.measured import ColumnChoice, read_curves, refusal
from kmc_oxy.storage import OutputFile, open_output

#: Every panel, in the order of the figure: a function that gives None if the run has no such data.
PANELS: tuple[Callable[[RunData], Panel | None], ...] = (
    change_over_scan,
    single_readings,
    pulse_trains,
    relaxations,
    sweeps,
    conductance_maps,
    programmed_cells,
    half_selected_cells,
    magnetoresistance_loops,
)


def plot(path: Path, out: Path, measured: ColumnChoice | None = None) -> None:
    """Draw the figure of a finished run.

    Parameters
    ----------
    path : Path
        Output of a run.
    out : Path
        Image; the ending, one of `figure_files.FILE_TYPES`, decides the format.
    measured : ColumnChoice, optional
        Measured curves, drawn over the panels with the same quantity on the x axis.

    Raises
    ------
    StoreError
        If there is no finished run, or the image cannot be written.
    CurveError
        If the measured curves cannot be read, or no panel is of their quantities.
    """
    kind = file_type(out)
    with open_output(path) as file:
        figure = draw(file, measured)
    save_figure(figure, out, kind)


def draw(file: OutputFile, measured: ColumnChoice | None = None) -> Figure:
    """The figure of an open output: its `panels` side by side."""
    data = _run_data(file)
    drawn = _panels(data)
    if measured is not None:
        drawn = _overlaid(drawn, measured)
    figure = side_by_side(drawn, file.resolved["name"])
    left_out = _left_out(data, drawn)
    if left_out:
        figure.supxlabel(f"not drawn: {left_out}", fontsize="small")
    return figure


def _overlaid(drawn: list[Panel], choice: ColumnChoice) -> list[Panel]:
    """The panels, those of the measured quantity with the measured points over them."""
    shown = [panel.x_quantity for panel in drawn if panel.x_quantity]
    section = choice.section(shown)
    quantity = section.x.quantity
    if quantity not in shown:
        there_are = f"only against {' and '.join(shown)}" if shown else "no such panel"
        raise refusal(
            str(choice.path),
            f"has values against {quantity}, but the figure of this run has {there_are}",
        )
    curves = read_curves(choice.path, section)
    return [
        with_measured(panel, curves, section.scale) if panel.x_quantity == quantity else panel
        for panel in drawn
    ]


def _left_out(data: RunData, drawn: list[Panel]) -> str:
    """Legs of kinds that no panel shows, by number and kind of step."""
    shown = frozenset[str]().union(*(panel.kinds for panel in drawn))
    found = Counter(leg.step_kind for leg in data.legs if leg.kind not in shown)
    return ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in found.items())


def panels(file: OutputFile) -> list[Panel]:
    """The panels of an open output.

    Parameters
    ----------
    file : OutputFile

    Returns
    -------
    list of Panel
        In the order of `PANELS`.
    """
    return _panels(_run_data(file))


def _run_data(file: OutputFile) -> RunData:
    points = range(file.shape()["point"])
    return RunData(
        file,
        Input.model_validate(file.resolved),
        conductance_averages(file),
        tuple(leg for point in points for leg in legs(file, point)),
    )


def _panels(data: RunData) -> list[Panel]:
    built = [panel for build in PANELS if (panel := build(data)) is not None]
    return built or [every_reading(data)]
