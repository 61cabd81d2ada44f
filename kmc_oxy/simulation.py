"""One task: the device of one member at one point of the scan, driven through its schedule.

The run is a generator that yields after every kernel call, so that the caller decides when to
log, to checkpoint or to stop; between two yields the whole state can be saved, and a simulation
built from it goes on bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kmc_oxy.device import CrossPoint
from kmc_oxy.engine import Engine
from kmc_oxy.protocol import Hold, Reading, Schedule
from kmc_oxy.schema import Input


@dataclass(frozen=True)
class Observable:
    """A recorded quantity.

    Parameters
    ----------
    name : str
        Of the dataset.
    dimensions : tuple of str
        Besides point and member.
    unit : str
        As written in the dataset's attribute; "1" for a pure number.
    long_name : str
    dtype : type
    """

    name: str
    dimensions: tuple[str, ...]
    unit: str
    long_name: str
    dtype: type = np.float64

    @property
    def missing(self) -> float | int:
        """The value that stands where there is no reading: NaN, or -1 for counts."""
        return np.nan if self.dtype is np.float64 else -1


CELL_READING = ("row", "column", "reading")

#: What a simulation records.
OBSERVABLES = (
    Observable(
        "conductance",
        CELL_READING,
        "S",
        "low-bias conductance, parallel magnetisations",
    ),
    Observable(
        "magnetoresistance",
        CELL_READING,
        "1",
        "(G_P - G_AP)/G_AP, signed",
    ),
    Observable("oxygen_organic", CELL_READING, "1", "number of oxygens in Gaq3", np.int64),
    Observable("profile", (*CELL_READING, "layer"), "1", "occupied fraction of the layer"),
    Observable("hops", CELL_READING, "1", "hops since the protocol began", np.int64),
    Observable(
        "oxygen_site",
        ("row", "column", "snapshot", "oxygen"),
        "1",
        "sites of the oxygens, site = (layer*ny + y)*nx + x",
        np.int32,
    ),
)


def observables(inputs: Input) -> tuple[Observable, ...]:
    """The entries of `OBSERVABLES` that the input asks for."""
    unwanted = set()
    if not inputs.output.profile:
        unwanted.add("profile")
    if inputs.output.snapshots == "none":
        unwanted.add("oxygen_site")
    return tuple(item for item in OBSERVABLES if item.name not in unwanted)


def snapshot_readings(inputs: Input, readings: int) -> list[int]:
    """Indices of the readings at which the places of all oxygens are stored."""
    if inputs.output.snapshots == "none":
        return []
    if inputs.output.snapshots == "ends":
        return sorted({0, readings - 1})
    return list(range(readings))


@dataclass
class Cell:
    """One junction of the array: its device and the engine that moves its oxygens."""

    device: CrossPoint
    engine: Engine


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
            self.cells = [Cell(device, device.engine(point, tolerance)) for device in devices]
            self.record = self._empty_record(rows)
            self._operation = 0
            self._readings = 0
            self._cell = 0
            self._begun = False
            return
        self.cells = [
            Cell(device, Engine.from_state(device.landscape, engine_state))
            for device, engine_state in zip(devices, _state["engines"], strict=True)
        ]
        self.record = {name: array.copy() for name, array in _state["record"].items()}
        self._operation = _state["operation"]
        self._readings = _state["readings"]
        self._cell = _state["cell"]
        self._begun = _state["begun"]

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
            "engines": [cell.engine.state_dict() for cell in self.cells],
            "record": {name: array.copy() for name, array in self.record.items()},
            "operation": self._operation,
            "readings": self._readings,
            "cell": self._cell,
            "begun": self._begun,
        }

    @property
    def done(self) -> bool:
        """Whether the whole schedule has been carried out."""
        return self._operation == len(self.schedule.operations)

    @property
    def time_s(self) -> float:
        """Physical time reached by the cell in progress (s)."""
        return float(self.cells[min(self._cell, len(self.cells) - 1)].engine.time_s)

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
            if isinstance(operation, Reading):
                self._read()
            else:
                yield from self._hold(operation)
            self._operation += 1

    def _hold(self, hold: Hold) -> Iterator[None]:
        """Advance every cell through one hold, one cell after the other."""
        voltages_V = self._cell_voltages(hold)
        while self._cell < len(self.cells):
            cell = self.cells[self._cell]
            if not self._begun:
                if hold.edge:
                    cell.engine.set_potential(
                        cell.device.potential_per_volt * voltages_V[self._cell]
                    )
                cell.engine.begin(hold.duration_s, hold.resolution_s)
                self._begun = True
            while not cell.engine.step():
                yield
            self._begun = False
            self._cell += 1
            yield
        self._cell = 0

    def _cell_voltages(self, hold: Hold) -> NDArray[np.float64]:
        """Voltage across each cell, shape (cells,), V: lines without resistance, all driven."""
        return np.full(len(self.cells), hold.voltage_V)

    def _read(self) -> None:
        """Write one reading of every cell into the record."""
        snapshot = self._snapshots.get(self._readings)
        for index, cell in enumerate(self.cells):
            corner = divmod(index, self._columns)
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
            }
            for name, value in values.items():
                if name in self.record:
                    self.record[name][(*corner, self._readings)] = value
            if snapshot is not None:
                self.record["oxygen_site"][(*corner, snapshot)] = np.flatnonzero(occupied)
        self._readings += 1

    def _empty_record(self, rows: int) -> dict[str, NDArray[Any]]:
        device = self.cells[0].device
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
