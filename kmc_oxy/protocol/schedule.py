"""The schedule: holds of constant voltage and readings, in the order of time.

It is stored as nested loops (`loops`), so that its size does not grow with the number of pulses.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kmc_oxy.inputs.schema import READ_VOLTAGE_V, Crossbar, StopCondition
from kmc_oxy.physics import programming_voltages, reading_voltages
from kmc_oxy.protocol.loops import Loop, LoopSequence, Position, seconds

LinePotentials = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True)
class Drive:
    """Voltages applied to the lines of the array.

    Parameters
    ----------
    voltage_V : float or None
        V(LSMO) - V(Co) of the selected cells; None: the reading voltage of the array.
    kind : {"all", "program", "read", "product"}
        "all": every row at `voltage_V`, every column at ground. "program": one cell selected, by
        the array's scheme. "read": the column of one cell at -`voltage_V`, all other lines at
        ground. "product": the columns at `inputs_V`, the rows at ground.
    cell : (int, int) or None
        The selected cell, for "program" and "read".
    inputs_V : tuple of float
        Potentials of the columns, for "product".
    """

    voltage_V: float | None
    kind: Literal["all", "program", "read", "product"] = "all"
    cell: tuple[int, int] | None = None
    inputs_V: tuple[float, ...] = ()

    def lines(self, crossbar: Crossbar) -> LinePotentials:
        """Potentials of the lines of an array.

        Parameters
        ----------
        crossbar : Crossbar

        Returns
        -------
        row_V, column_V : ndarray, shapes (rows,) and (columns,)
            NaN where a line floats.
        """
        rows, columns = crossbar.rows, crossbar.columns
        if self.kind == "product":
            return np.zeros(rows), np.array(self.inputs_V)
        voltage_V = crossbar.read_voltage if self.voltage_V is None else self.voltage_V
        if self.cell is None:
            return np.full(rows, voltage_V), np.zeros(columns)
        if self.kind == "program":
            return programming_voltages(crossbar.scheme, rows, columns, self.cell, voltage_V)
        return reading_voltages(rows, columns, self.cell, voltage_V)


@dataclass(frozen=True)
class Target:
    """Target of a write-verify, and the drives from which it chooses before each pulse.

    Parameters
    ----------
    conductance_S : float
        Low-bias conductance of the cell to be reached.
    tolerance : float
        Relative distance from it that counts as reached.
    raising, lowering, waiting : Drive
        Applied below the target, above it, and after it has been reached.
    """

    conductance_S: float
    tolerance: float
    raising: Drive
    lowering: Drive
    waiting: Drive


@dataclass(frozen=True)
class Hold:
    """Constant voltages on the lines for some time.

    Parameters
    ----------
    drive : Drive
        For a write-verify, the drive of its first direction; the drive applied depends on the
        conductance of the cell.
    duration_s : float
    resolution_s : float or None
        Shortest time after the edge that is resolved; None: a hundredth of the duration.
    is_pulse : bool
        Whether readings after it take it as their last pulse.
    target : Target or None
        Target of a write-verify.
    """

    is_reading: ClassVar[bool] = False

    drive: Drive
    duration_s: float
    resolution_s: float | None = None
    is_pulse: bool = False
    target: Target | None = None

    @property
    def voltage_V(self) -> float:
        """V(LSMO) - V(Co) of the selected cells, as far as it is known before the run."""
        if self.drive.inputs_V:
            return -max(self.drive.inputs_V, key=abs)
        return READ_VOLTAGE_V if self.drive.voltage_V is None else self.drive.voltage_V


@dataclass(frozen=True)
class Reading:
    """A reading of every cell; it takes no time and does not change the cells.

    Parameters
    ----------
    time_s, leg_time_s : float
        Time since the protocol began, and since the leg began: the exact sums of the durations,
        rounded once.
    step : int
        Index into the protocol's list of steps.
    leg : int
        Number of executions of steps before this one. A *leg* is one execution of one step: each
        repetition of a `repeat` gives new legs.
    pulse : int
        Number of pulses of the current train so far, 0 before the first.
    kind : str
        Kind of the step that reads: ``"train"``, ``"map"``, ...
    pulse_drive : Drive or None
        Drive of the last pulse, None before the first.
    cell : (int, int) or None
        The cell that a program step has selected.
    target : Target or None
        Target of a write-verify.
    field_T : float or None
        Magnetic field of a field sweep.
    inputs_V : tuple of float
        Voltages of the columns of a vector-matrix product.
    """

    is_reading: ClassVar[bool] = True

    time_s: float
    leg_time_s: float
    step: int
    leg: int
    pulse: int
    kind: str
    pulse_drive: Drive | None = None
    cell: tuple[int, int] | None = None
    target: Target | None = None
    field_T: float | None = None
    inputs_V: tuple[float, ...] = ()

    @property
    def voltage_V(self) -> float:
        """Nominal voltage of the last pulse at the cells selected by it; 0 before the first."""
        return (self.pulse_drive and self.pulse_drive.voltage_V) or 0.0


Operation = Hold | Reading


@dataclass(frozen=True)
class Until:
    """Condition at the end of a repetition, after which the others of its loop are left out.

    Parameters
    ----------
    condition : StopCondition
    cell : (int, int)
        The cell whose conductance is compared.
    """

    condition: StopCondition
    cell: tuple[int, int]


class Exit(NamedTuple):
    """Where a loop with a condition may be left."""

    until: Until
    operations: int  #: number of operations before the one that follows
    readings: int  #: number of readings before it


def _at(operation: Operation, position: Position) -> Operation:
    """An operation of the body of a loop at one of its repetitions."""
    if isinstance(operation, Hold):
        return operation
    return Reading(
        seconds(position.ticks),
        seconds(position.leg_ticks),
        operation.step,
        position.leg,
        position.pulse,
        operation.kind,
        operation.pulse_drive,
        operation.cell,
        operation.target,
        operation.field_T,
        operation.inputs_V,
    )


def _constant_hold(loop: Loop[Operation]) -> Hold | None:
    """The hold that a loop amounts to if the voltage never changes in it; None if it does."""
    holds = [item for item in loop.distinct() if isinstance(item, Hold)]
    if not holds or any(hold.drive != holds[0].drive for hold in holds):
        return None
    return dataclasses.replace(holds[0], duration_s=seconds(loop.count * loop.shift.ticks))


@dataclass(frozen=True, eq=False)
class Schedule:
    """Holds and readings in the order of time.

    Parameters
    ----------
    loop : Loop
        One repetition of the whole protocol.
    """

    loop: Loop[Operation]

    @cached_property
    def operations(self) -> Sequence[Operation]:
        """The holds and readings in order."""
        return LoopSequence(self.loop, "operations", _at)

    @cached_property
    def readings(self) -> Sequence[Reading]:
        """The readings in order."""
        return LoopSequence(self.loop, "readings", _at)

    def exits(self, operation: int) -> list[Exit]:
        """The loops that may be left before an operation, the innermost first.

        Parameters
        ----------
        operation : int
            Index of the operation.
        """
        return [Exit(*found) for found in self.loop.conditions_at(operation)]

    @property
    def holds(self) -> Iterator[Hold]:
        """The holds in order."""
        return (item for item in self.operations if isinstance(item, Hold))

    def sample_holds(self, repetitions: int) -> Iterator[tuple[Hold, int]]:
        """The holds of the first repetitions of every loop.

        Parameters
        ----------
        repetitions : int
            Of each loop, fewer of nested ones; the last of them stands for all others.

        Yields
        ------
        hold : Hold
            A loop without a change of voltage is given as one long hold.
        count : int
            Number of holds for which it stands.
        """
        for operation, count in self.loop.samples(repetitions, _constant_hold):
            if isinstance(operation, Hold):
                yield operation, count

    @property
    def duration_s(self) -> float:
        """Length of the whole protocol (s)."""
        return seconds(self.loop.shift.ticks)

    def per_reading(self, name: str) -> NDArray[Any]:
        """One attribute of all readings.

        Parameters
        ----------
        name : {"time_s", "leg_time_s", "step", "leg", "pulse", "voltage_V"}

        Returns
        -------
        ndarray, shape (readings,)
            Of float for a time or a voltage, of int otherwise.
        """
        dtype = float if name in ("time_s", "leg_time_s", "voltage_V") else int
        values = (getattr(reading, name) for reading in self.readings)
        return np.fromiter(values, dtype, len(self.readings))

    def nominal_voltages_V(self, crossbar: Crossbar) -> NDArray[np.float64]:
        """Nominal voltage of the last pulse at each cell, without line resistance.

        Parameters
        ----------
        crossbar : Crossbar

        Returns
        -------
        ndarray, shape (rows, columns, readings)
            In V; NaN at the cells of floating lines. For a write-verify, the voltage of its first
            direction.
        """
        voltage_V = np.zeros((crossbar.rows, crossbar.columns, len(self.readings)))
        known: dict[Drive, NDArray[np.float64]] = {}
        for index, reading in enumerate(self.readings):
            drive = reading.pulse_drive
            if drive is None:
                continue
            if drive not in known:
                row, column = drive.lines(crossbar)
                known[drive] = row[:, None] - column
            voltage_V[:, :, index] = known[drive]
        return voltage_V
