"""Table of the readings of a run: a row a leg, with means and intervals over members."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kmc_oxy.analysis import (
    ConductanceAverages,
    EnsembleMean,
    Leg,
    conductance_averages,
    ensemble_mean,
    interval_text,
    legs,
    mean_over_members,
    step_name,
    voltage_text,
)
from kmc_oxy.figures import evenly_spaced, scanned_texts, short_names, short_quantity
from kmc_oxy.storage import OutputFile

#: Largest number of legs in the table; of more, evenly spaced ones are shown.
MOST_LEGS = 32


class Cell(NamedTuple):
    """A cell of a table, with a note in small print below."""

    text: str
    note: str = ""


class Table(NamedTuple):
    """A table; the first cell of a row is its heading."""

    caption: str
    head: list[str]
    rows: list[list[Cell]]


def leg_table(file: OutputFile) -> Table:
    """Conductance, magnetoresistance and oxygens of each leg, mean over members."""
    shape, averages = file.shape(), conductance_averages(file)
    found = [leg for point in range(shape["point"]) for leg in legs(file, point)]
    shown = evenly_spaced(found, MOST_LEGS)
    caption = "Each leg of the protocol (a step carried out once)"
    if shape["member"] > 1:
        caption += f": mean over {shape['member']:,} members, and in small its 95 % interval; "
        caption += f"of G the {averages.name}"
    if shape["row"] * shape["column"] > 1:
        caption += "; of the cell that is programmed, else of cell [0, 0]"
    if len(shown) < len(found):
        caption += f"; {len(shown)} of {len(found):,} legs, evenly spaced"
    columns = [scanned_texts(file, key) for key in file.scan()]
    head = [
        "leg",
        *short_names(file).values(),
        "step",
        "voltage (V)",
        "pulses",
        "first G",
        "last G",
        "max/min − 1",
    ]
    head += ["last MR (%)", "last oxygens"]
    rows = []
    for leg in shown:
        scanned = (Cell(texts[leg.point]) for texts in columns)
        rows.append([Cell(str(leg.number)), *scanned, *_leg_cells(file, leg, averages)])
    return Table(caption, head, rows)


def _leg_cells(file: OutputFile, leg: Leg, averages: ConductanceAverages) -> list[Cell]:
    cell = leg.cell or (0, 0)
    conductance_S = leg.values(file, "conductance", *cell)
    spans = conductance_S.max(axis=1) / conductance_S.min(axis=1) - 1
    ratio = 100 * leg.values(file, "magnetoresistance", *cell)[:, -1]
    oxygens = leg.values(file, "oxygen_organic", *cell)[:, -1].astype(np.float64)
    return [
        Cell(step_name(leg)),
        Cell(voltage_text(leg)),
        Cell(str(leg.pulse[-1])),
        _mean(averages.mean(conductance_S[:, 0]), short_quantity),
        _mean(averages.mean(conductance_S[:, -1]), short_quantity),
        _span(spans) if leg.pulse.size > 1 else Cell(""),
        _mean(ensemble_mean(ratio), _number),
        _mean(mean_over_members(oxygens, arithmetic=True), _number),
    ]


def _span(spans: NDArray[np.float64]) -> Cell:
    found = mean_over_members(spans)
    cell = _mean(found, _number)
    return cell._replace(note=f"{cell.note}, geometric mean") if found.geometric else cell


def _mean(found: EnsembleMean, shown: Callable[[float], str]) -> Cell:
    if found.members < 2 or not np.isfinite(found.mean):
        return Cell(shown(float(found.mean)))
    return Cell(shown(float(found.mean)), interval_text(found, shown))


def _number(value: float) -> str:
    return f"{value:.3g}"
