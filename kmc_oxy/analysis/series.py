"""Series of readings: the trains, relaxations and sweeps of a run.

A leg is one execution of one protocol step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from kmc_oxy.inputs import at_point
from kmc_oxy.inputs.schema import Input
from kmc_oxy.protocol import Reading, Schedule, flatten

#: Largest number of values read at once for a table or a figure.
MAX_VALUES = 4_000_000

Kind = Literal["train", "relax", "sweep", "single", "program", "map", "field", "product"]
#: Steps that determine the kind of their legs. Legs of other steps are classified by readings.
KIND_OF_STEP: dict[str, Kind] = {
    "program": "program",
    "map": "map",
    "field_sweep": "field",
    "vector_matrix": "product",
}


class Datasets(Protocol):
    """The datasets of a run: those of an output file, or held in memory."""

    @property
    def resolved(self) -> Mapping[str, Any]:
        """The input with every key, before its scan is expanded."""

    def __getitem__(self, name: str) -> Any:
        """A dataset, which takes NumPy's indices."""

    def shape(self) -> dict[str, int]:
        """Length of every dimension."""

    def scan(self) -> dict[str, NDArray[Any]]:
        """Value of each scanned key at every point."""


@dataclass(frozen=True, eq=False)
class Leg:
    """Readings of one execution of one step, at one point of the scan.

    Parameters
    ----------
    point, step, number : int
        Point of the scan, index of the step, and number of executions before.
    kind : str
        ``train``: the pulse number rises from reading to reading at one voltage;
        ``sweep``: the voltage changes; ``relax``: only time passes; ``single``: one reading;
        ``program``, ``map``, ``field`` and ``product``: the steps of these names.
    step_kind : str
        Kind of the step as in the input, such as ``pulse``; of a step inside a `repeat`, its own.
    readings : slice
        Its readings among those of the point.
    time_s, pulse, voltage_V : ndarray, shape (n,)
        Time since the leg began; number of the pulse; nominal voltage of the last pulse at the
        cells that it is applied to.
    cell : (int, int) or None
        Cell that is programmed.
    target_S : float or None
        Target of a write-verify.
    field_T : ndarray or None
        Magnetic field of each reading of a field sweep.
    """

    point: int
    step: int
    number: int
    kind: Kind
    step_kind: str
    readings: slice
    time_s: NDArray[np.float64]
    pulse: NDArray[np.int64]
    voltage_V: NDArray[np.float64]
    cell: tuple[int, int] | None = None
    target_S: float | None = None
    field_T: NDArray[np.float64] | None = None

    def values(self, file: Datasets, name: str, row: int = 0, column: int = 0) -> NDArray[Any]:
        """An observable of one cell during this leg, shape (members, n).

        Of a very large ensemble only the first members, `MAX_VALUES` values at most.
        """
        members = slice(max(1, MAX_VALUES // self.pulse.size))
        found: NDArray[Any] = file[name][self.point, members, row, column, self.readings]
        return found

    def array_values(self, file: Datasets, name: str) -> NDArray[Any]:
        """An observable of every cell during this leg, shape (members, rows, columns, n).

        Of a very large ensemble only the first members, `MAX_VALUES` values at most.
        """
        cells = int(np.prod(file[name].shape[2:4]))
        members = slice(max(1, MAX_VALUES // (cells * self.pulse.size)))
        found: NDArray[Any] = file[name][self.point, members, :, :, self.readings]
        return found


def legs(file: Datasets, point: int) -> Iterator[Leg]:
    """The legs of one point of the scan, in order.

    Parameters
    ----------
    file : Datasets
    point : int

    Yields
    ------
    Leg
    """
    schedule = flatten(at_point(Input.model_validate(file.resolved), point).protocol)
    yield from legs_of_schedule(schedule, point)


def legs_of_schedule(schedule: Schedule, point: int = 0) -> Iterator[Leg]:
    """The legs of a flattened protocol, in order.

    Parameters
    ----------
    schedule : Schedule
    point : int
        Point of the scan that the schedule belongs to.

    Yields
    ------
    Leg
    """
    number, step, pulse = (schedule.per_reading(name) for name in ("leg", "step", "pulse"))
    time_s, voltage_V = (schedule.per_reading(name) for name in ("leg_time_s", "voltage_V"))
    if not number.size:
        return
    edges = np.flatnonzero(np.diff(number)) + 1
    for start, stop in zip([0, *edges], [*edges, number.size], strict=True):
        readings = slice(int(start), int(stop))
        reading = schedule.readings[start]
        field_T = None
        if reading.kind == "field_sweep":
            fields = (schedule.readings[k].field_T for k in range(readings.start, readings.stop))
            field_T = np.array(list(fields), dtype=np.float64)
        yield Leg(
            point=point,
            step=int(step[start]),
            number=int(number[start]),
            kind=_kind(reading, pulse[readings], voltage_V[readings]),
            step_kind=reading.kind,
            readings=readings,
            time_s=time_s[readings],
            pulse=pulse[readings],
            voltage_V=voltage_V[readings],
            cell=reading.cell,
            target_S=reading.target.conductance_S if reading.target else None,
            field_T=field_T,
        )


def _kind(reading: Reading, pulse: NDArray[np.int64], voltage_V: NDArray[np.float64]) -> Kind:
    if reading.kind in KIND_OF_STEP:
        return KIND_OF_STEP[reading.kind]
    if pulse.size < 2:
        return "single"
    is_constant = not np.any(np.diff(voltage_V[pulse > 0]))
    if np.all(np.diff(pulse) == 1) and is_constant:
        return "train"
    return "sweep" if np.any(np.diff(voltage_V)) else "relax"
