"""What a reading puts into the record of a simulation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kmc_oxy.inputs.schema import Input
from kmc_oxy.physics import reading_voltages, solve_crossbar, vector_matrix
from kmc_oxy.protocol import Reading, Schedule, observables, snapshot_readings
from kmc_oxy.simulation.cells import Cell
from kmc_oxy.simulation.device import CrossPoint

Record = dict[str, NDArray[Any]]

#: Observables of a cell by itself; the others take the whole array.
OF_A_CELL = (
    "conductance",
    "magnetoresistance",
    "oxygen_organic",
    "profile",
    "hops",
    "oxygen_site",
    "cell_voltage",
    "field_conductance",
)


class Recorder:
    """The record of one simulation, filled as the readings come.

    Parameters
    ----------
    inputs : Input
    schedule : Schedule
    device : CrossPoint
        Any of the array: all have as many layers and oxygens.

    Attributes
    ----------
    record : dict of ndarray
        An array per observable of the input; what has not been read is missing.
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

    def _corner(self, cell: int) -> tuple[int, int]:
        return divmod(cell, self._inputs.crossbar.columns)

    def of_cell(self, cell: int) -> Record:
        """Copy of what is recorded of one cell."""
        corner = self._corner(cell)
        return {
            name: array[corner].copy() for name, array in self.record.items() if name in OF_A_CELL
        }

    def enter(self, cell: int, values: Mapping[str, NDArray[Any]]) -> None:
        """Put in what another process has recorded of a cell, from its `of_cell`."""
        for name, array in values.items():
            self.record[name][self._corner(cell)] = array

    def read_cell(self, cell: Cell, readings: range, pulse_V: NDArray[np.float64]) -> None:
        """Record the state of a cell for readings between which no time passes.

        Parameters
        ----------
        cell : Cell
        readings : range
        pulse_V : ndarray, shape (rows, columns)
            Cell voltages at the end of the last pulse.
        """
        corner = self._corner(cell.index)
        occupied, lattice = cell.engine.occupied, cell.device.lattice
        parallel_S, antiparallel_S = cell.device.spin_valve.conductances(occupied)
        cell.conductance_S = parallel_S
        values: dict[str, Any] = {
            "conductance": parallel_S,
            "oxygen_organic": np.count_nonzero(occupied[lattice.organic]),
            "profile": occupied.reshape(lattice.n_layers, -1).mean(axis=1),
            "hops": cell.engine.hops,
            "magnetoresistance": parallel_S / antiparallel_S - 1 if antiparallel_S else np.inf,
            "cell_voltage": pulse_V[corner],
        }
        span = slice(readings.start, readings.stop)
        for name, value in values.items():
            if name in self.record:
                self.record[name][(*corner, span)] = value
        for reading in readings:
            if reading in self._snapshots:
                place = (*corner, self._snapshots[reading])
                self.record["oxygen_site"][place] = np.flatnonzero(occupied)
        self._read_loops(cell, occupied, corner, readings)

    def _read_loops(
        self, cell: Cell, occupied: NDArray[np.bool_], corner: tuple[int, int], readings: range
    ) -> None:
        """G(H) of one cell along the field sweeps among `readings`, each from saturation."""
        for leg in sorted({self._readings[reading].leg for reading in readings}):
            path_T = {
                reading: field_T
                for reading in readings
                if self._readings[reading].leg == leg
                if (field_T := self._readings[reading].field_T) is not None
            }
            if path_T:
                places, fields_T = list(path_T), list(path_T.values())
                loop_S, _ = cell.device.spin_valve.field_sweep(occupied, fields_T, (1.0, 1.0))
                self.record["field_conductance"][(*corner, places)] = loop_S

    def read_program(self, index: int, applied: int, reached: bool | None) -> None:
        """Record how far a program step is; `reached` is None without a target."""
        if reached is not None:
            self.record["target_reached"][index] = reached
        self.record["pulses_applied"][index] = applied

    def read_array(self, index: int, reading: Reading, conductance_S: NDArray[np.float64]) -> None:
        """Record what concerns the array as a whole: fields, maps, products.

        Parameters
        ----------
        index : int
        reading : Reading
        conductance_S : ndarray, shape (rows, columns)
            Of all cells at this reading if it `takes_all_cells`; not looked at otherwise.
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


def take_all_cells(readings: Sequence[Reading]) -> bool:
    """Whether one of the readings, or what follows it, depends on the conductances of all."""
    return any(
        reading.kind in ("map", "vector_matrix") or reading.target is not None
        for reading in readings
    )
