"""One task: the device of one member at one point of the scan, driven through its schedule.

The run is a generator that yields after every kernel call, so that the caller decides when to
log, to checkpoint or to stop; between two yields the whole state can be saved, and a simulation
built from it goes on bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kmc_oxy.array import Cell, CellArray, restored_cell
from kmc_oxy.crossbar import reading_voltages, solve_crossbar, vector_matrix
from kmc_oxy.device import CrossPoint
from kmc_oxy.observables import OBSERVABLES, Observable, observables, snapshot_readings
from kmc_oxy.protocol import Hold, Reading, Schedule
from kmc_oxy.schedule import Drive
from kmc_oxy.schema import Input

__all__ = ["OBSERVABLES", "Observable", "Simulation", "observables", "snapshot_readings"]


class Simulation:
    """The cells of one member, and how far their schedule has come.

    Parameters
    ----------
    inputs : schema.Input
        Checked input of this point of the scan.
    schedule : Schedule
        Its protocol, flattened.
    point, member : int
        Name the random streams. Quenched disorder depends on the member alone: every point of a
        scan sees the same devices.
    seed : int
    tolerance : float or None
        1/C of the rate cap; None for exact residence times.

    Attributes
    ----------
    record : dict of ndarray
        An array per entry of `OBSERVABLES`, filled as the readings come.
    """

    def __init__(
        self,
        inputs: Input,
        schedule: Schedule,
        *,
        point: int,
        member: int,
        seed: int,
        tolerance: float | None,
        _state: Mapping[str, Any] | None = None,
    ) -> None:
        self.inputs = inputs
        self.schedule = schedule
        rows, columns = inputs.crossbar.rows, inputs.crossbar.columns
        devices = [
            CrossPoint.build(inputs, member, row, column, seed)
            for row in range(rows)
            for column in range(columns)
        ]
        self._columns = columns
        self._snapshots = {
            reading: number
            for number, reading in enumerate(snapshot_readings(inputs, len(schedule.readings)))
        }
        if _state is None:
            self.array = CellArray(
                inputs, [Cell(device, device.engine(point, tolerance)) for device in devices]
            )
            self.record = self._empty_record(rows)
            self._operation = 0
            self._readings = 0
            self._cell = 0
            self._applied = 0
            self._reached = False
            self._pulse_V = np.zeros((rows, columns))
            return
        self.array = CellArray(
            inputs,
            [
                restored_cell(device, cell)
                for device, cell in zip(devices, _state["array"]["cells"], strict=True)
            ],
        )
        self.array.restore(_state["array"])
        self.record = {name: array.copy() for name, array in _state["record"].items()}
        self._operation = _state["operation"]
        self._readings = _state["readings"]
        self._cell = _state["cell"]
        self._applied = _state["applied"]
        self._reached = _state["reached"]
        self._pulse_V = _state["pulse_V"].copy()

    @classmethod
    def from_state(
        cls,
        inputs: Input,
        schedule: Schedule,
        state: Mapping[str, Any],
        *,
        point: int,
        member: int,
        seed: int,
        tolerance: float | None,
    ) -> Simulation:
        """The simulation that gave `state`, ready to go on; the other arguments as it had them."""
        return cls(
            inputs,
            schedule,
            point=point,
            member=member,
            seed=seed,
            tolerance=tolerance,
            _state=state,
        )

    def state_dict(self) -> dict[str, Any]:
        """Everything that `from_state` needs besides the input; valid between two kernel calls."""
        return {
            "array": self.array.state_dict(),
            "record": {name: array.copy() for name, array in self.record.items()},
            "operation": self._operation,
            "readings": self._readings,
            "cell": self._cell,
            "applied": self._applied,
            "reached": self._reached,
            "pulse_V": self._pulse_V.copy(),
        }

    @property
    def cells(self) -> list[Cell]:
        """The cells, row by row."""
        return self.array.cells

    @property
    def done(self) -> bool:
        """Whether the whole schedule has been carried out."""
        return self._operation == len(self.schedule.operations)

    @property
    def time_s(self) -> float:
        """Physical time reached by the cell in progress (s)."""
        return float(self.array.current_cell.engine.time_s)

    @property
    def fraction(self) -> float:
        """Share of the schedule's operations that is done."""
        return self._operation / len(self.schedule.operations)

    @property
    def hops(self) -> int:
        """Hops so far, all cells together."""
        return sum(int(cell.engine.hops) for cell in self.cells)

    def run(self) -> Iterator[None]:
        """Carry out what is left of the schedule, yielding after every kernel call.

        Yields
        ------
        None
            The state is consistent whenever this generator is suspended.
        """
        operations = self.schedule.operations
        while self._operation < len(operations):
            operation = operations[self._operation]
            if isinstance(operation, Hold):
                yield from self._hold(operation)
                self._operation += 1
            else:
                readings = self._readings_now()
                yield from self._read(len(readings))
                for reading in readings:
                    self._read_array(reading)
                    self._readings += 1
                self._operation += len(readings)

    def _hold(self, hold: Hold) -> Iterator[None]:
        """Drive the array for the duration of a hold."""
        drive = self._drive(hold)
        lines = drive.lines(self.inputs.crossbar)
        yield from self.array.hold(*lines, hold.duration_s, hold.resolution_s)
        if hold.is_pulse and not (hold.target and self._reached):
            self._applied += 1
            self._pulse_V = self.array.cell_voltage_V.copy()

    def _drive(self, hold: Hold) -> Drive:
        """What a hold applies; a write-verify decides by its last reading."""
        target = hold.target
        if target is None:
            return hold.drive
        if self._reached:
            return target.waiting
        assert target.raising.cell is not None
        conductance_S = self.record["conductance"][(*target.raising.cell, self._readings - 1)]
        return target.raising if conductance_S < target.conductance_S else target.lowering

    def _readings_now(self) -> list[Reading]:
        """The readings from the present operation to the next hold: all of one state."""
        operations = self.schedule.operations
        found: list[Reading] = []
        while self._operation + len(found) < len(operations):
            operation = operations[self._operation + len(found)]
            if isinstance(operation, Hold):
                break
            found.append(operation)
        return found

    def _read(self, count: int) -> Iterator[None]:
        """Record the state of every cell for the next `count` readings, cell by cell."""
        readings = range(self._readings, self._readings + count)
        span = slice(readings.start, readings.stop)
        while self._cell < len(self.cells):
            cell = self.cells[self._cell]
            corner = divmod(self._cell, self._columns)
            occupied = cell.engine.occupied
            lattice = cell.device.lattice
            parallel_S, antiparallel_S = cell.device.spin_valve.conductances(occupied)
            values: dict[str, Any] = {
                "conductance": parallel_S,
                "oxygen_organic": np.count_nonzero(occupied[lattice.organic]),
                "profile": occupied.reshape(lattice.n_layers, -1).mean(axis=1),
                "hops": cell.engine.hops,
                "magnetoresistance": (
                    parallel_S / antiparallel_S - 1 if antiparallel_S else np.inf
                ),
                "cell_voltage": self._pulse_V[corner],
            }
            for name, value in values.items():
                if name in self.record:
                    self.record[name][(*corner, span)] = value
            for reading in readings:
                if reading in self._snapshots:
                    place = (*corner, self._snapshots[reading])
                    self.record["oxygen_site"][place] = np.flatnonzero(occupied)
            self._read_loop(cell, occupied, corner, readings)
            self._cell += 1
            yield
        self._cell = 0

    def _read_loop(
        self, cell: Cell, occupied: NDArray[np.bool_], corner: tuple[int, int], readings: range
    ) -> None:
        """G(H) of one cell along the field sweeps among `readings`, each from saturation."""
        schedule = self.schedule.readings
        for leg in sorted({schedule[reading].leg for reading in readings}):
            path_T = {
                reading: field_T
                for reading in readings
                if schedule[reading].leg == leg
                if (field_T := schedule[reading].field_T) is not None
            }
            if path_T:
                places, fields_T = list(path_T), list(path_T.values())
                loop_S, _ = cell.device.spin_valve.field_sweep(occupied, fields_T, (1.0, 1.0))
                self.record["field"][places] = fields_T
                self.record["field_conductance"][(*corner, places)] = loop_S

    def _read_array(self, reading: Reading) -> None:
        """Record what concerns the array as a whole: programming, maps, products."""
        index = self._readings
        conductance_S = self.record["conductance"][..., index]
        crossbar, scale_V = self.inputs.crossbar, self.inputs.conductance.nonlinearity
        if reading.kind == "program":
            assert reading.cell is not None
            if reading.pulse == 0:
                self._applied, self._reached = 0, False
            target = reading.target
            if target is not None:
                distance_S = abs(conductance_S[reading.cell] - target.conductance_S)
                self._reached |= bool(distance_S <= target.tolerance * target.conductance_S)
                self.record["target_reached"][index] = self._reached
            self.record["pulses_applied"][index] = self._applied
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

    def _empty_record(self, rows: int) -> dict[str, NDArray[Any]]:
        device = self.array.cells[0].device
        extent = {
            "row": rows,
            "column": self._columns,
            "reading": len(self.schedule.readings),
            "layer": device.lattice.n_layers,
            "snapshot": len(self._snapshots),
            "oxygen": int(np.count_nonzero(device.occupied_at_start)),
        }
        return {
            item.name: np.full(
                [extent[dimension] for dimension in item.dimensions], item.missing, item.dtype
            )
            for item in observables(self.inputs)
        }
