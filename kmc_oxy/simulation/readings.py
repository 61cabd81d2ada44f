"""The record of a simulation: what its readings store."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kmc_oxy.inputs.schema import Input
from kmc_oxy.physics import current, reading_voltages, solve_crossbar, vector_matrix
from kmc_oxy.protocol import STEPS_WITH_CURRENT, Reading, Schedule, observables, snapshot_readings
from kmc_oxy.simulation.cells import Cell
from kmc_oxy.simulation.device import CrossPoint

Record = dict[str, NDArray[Any]]

#: Observables that a reading of one cell gives; the others are of the whole array.
CELL_OBSERVABLES = (
    "conductance",
    "magnetoresistance",
    "oxygen_organic",
    "profile",
    "hops",
    "oxygen_site",
    "cell_voltage",
    "sweep_current",
    "field_conductance",
)


class Recorder:
    """The record of one simulation, filled by its readings.

    Parameters
    ----------
    inputs : Input
    schedule : Schedule
    device : CrossPoint
        Any device of the array: all have the same numbers of layers and oxygens.

    Attributes
    ----------
    record : dict of ndarray
        An array per observable of the input. Before its reading a value is
        `Observable.missing`.
    """

    def __init__(self, inputs: Input, schedule: Schedule, device: CrossPoint) -> None:
        self._inputs = inputs
        self._readings = schedule.readings
        self._snapshots = {
            reading: number
            for number, reading in enumerate(snapshot_readings(inputs, len(self._readings)))
        }
        extent = {
            "row": inputs.crossbar.rows,
            "column": inputs.crossbar.columns,
            "reading": len(self._readings),
            "layer": device.lattice.n_layers,
            "snapshot": len(self._snapshots),
            "oxygen": int(np.count_nonzero(device.occupied_at_start)),
        }
        self.record: Record = {
            item.name: np.full(
                [extent[dimension] for dimension in item.dimensions], item.missing, item.dtype
            )
            for item in observables(inputs)
        }

    def _row_and_column(self, cell: int) -> tuple[int, int]:
        return divmod(cell, self._inputs.crossbar.columns)

    def cell_record(self, cell: int) -> Record:
        """Copy of the record of one cell."""
        place = self._row_and_column(cell)
        return {
            name: array[place].copy()
            for name, array in self.record.items()
            if name in CELL_OBSERVABLES
        }

    def set_cell_record(self, cell: int, values: Mapping[str, NDArray[Any]]) -> None:
        """Set the record of a cell to what `cell_record` gave, in this or another process."""
        for name, array in values.items():
            self.record[name][self._row_and_column(cell)] = array

    def read_cell(self, cell: Cell, readings: range, pulse_V: NDArray[np.float64]) -> None:
        """Record the state of a cell for one or several readings at the same time.

        Parameters
        ----------
        cell : Cell
        readings : range
            Indices of the readings.
        pulse_V : ndarray, shape (rows, columns)
            Cell voltages at the end of the last pulse.
        """
        place = self._row_and_column(cell.index)
        occupied, lattice = cell.engine.occupied, cell.device.lattice
        parallel_S, antiparallel_S = cell.device.spin_valve.conductances(occupied)
        cell.conductance_S = parallel_S
        values: dict[str, Any] = {
            "conductance": parallel_S,
            "oxygen_organic": np.count_nonzero(occupied[lattice.organic]),
            "profile": occupied.reshape(lattice.n_layers, -1).mean(axis=1),
            "hops": cell.engine.hops,
            "magnetoresistance": parallel_S / antiparallel_S - 1 if antiparallel_S else np.inf,
            "cell_voltage": pulse_V[place],
        }
        span = slice(readings.start, readings.stop)
        for name, value in values.items():
            if name in self.record:
                self.record[name][(*place, span)] = value
        stairs = [
            reading for reading in readings if self._readings[reading].kind in STEPS_WITH_CURRENT
        ]
        if stairs:
            self.record["sweep_current"][(*place, stairs)] = current(
                parallel_S, pulse_V[place], self._inputs.conductance.nonlinearity or math.inf
            )
        for reading in readings:
            if reading in self._snapshots:
                snapshot = (*place, self._snapshots[reading])
                self.record["oxygen_site"][snapshot] = np.flatnonzero(occupied)
        self._read_loops(cell, occupied, place, readings)

    def _read_loops(
        self, cell: Cell, occupied: NDArray[np.bool_], place: tuple[int, int], readings: range
    ) -> None:
        """Record G(H) of one cell for the field sweeps among `readings`, each from saturation."""
        for leg in sorted({self._readings[reading].leg for reading in readings}):
            path_T = {
                reading: field_T
                for reading in readings
                if self._readings[reading].leg == leg
                if (field_T := self._readings[reading].field_T) is not None
            }
            if path_T:
                at, fields_T = list(path_T), list(path_T.values())
                loop_S, _ = cell.device.spin_valve.field_sweep(occupied, fields_T, (1.0, 1.0))
                self.record["field_conductance"][(*place, at)] = loop_S

    def read_program(self, index: int, applied: int, reached: bool | None) -> None:
        """Record the progress of a program step.

        Parameters
        ----------
        index : int
            Index of the reading.
        applied : int
            Number of pulses applied.
        reached : bool or None
            Whether the target has been reached; None without a target.
        """
        if reached is not None:
            self.record["target_reached"][index] = reached
        self.record["pulses_applied"][index] = applied

    def read_array(self, index: int, reading: Reading, conductance_S: NDArray[np.float64]) -> None:
        """Record the quantities of the whole array: fields, maps, products.

        Parameters
        ----------
        index : int
            Index of the reading.
        reading : Reading
        conductance_S : ndarray, shape (rows, columns)
            Conductances of all cells at this reading; used only if it `need_all_cells`.
        """
        crossbar, scale_V = self._inputs.crossbar, self._inputs.conductance.nonlinearity
        if reading.field_T is not None:
            self.record["field"][index] = reading.field_T
        elif reading.kind == "map":
            for column in range(crossbar.columns):
                lines = reading_voltages(
                    crossbar.rows, crossbar.columns, (0, column), crossbar.read_voltage
                )
                solution = solve_crossbar(conductance_S, *lines, crossbar.line_resistance, scale_V)
                self.record["apparent_conductance"][:, column, index] = (
                    solution.line_current_A.row / crossbar.read_voltage
                )
        elif reading.kind == "vector_matrix":
            product = vector_matrix(
                conductance_S, reading.inputs_V, crossbar.line_resistance, scale_V
            )
            self.record["output_current"][:, index] = product.current_A
            self.record["ideal_current"][:, index] = product.ideal_A
            self.record["product_error"][index] = product.relative_error


def need_all_cells(readings: Sequence[Reading]) -> bool:
    """Whether one of the readings, or the pulse after it, depends on all conductances.

    Parameters
    ----------
    readings : sequence of Reading

    Returns
    -------
    bool
    """
    return any(
        reading.kind in ("map", "vector_matrix") or reading.target is not None
        for reading in readings
    )
