"""The steps of every cell, planned from the schedule in segments.

A *segment* is the part of the schedule between two synchronisation points; within it the cells are
independent. A synchronisation point is where the conductances of all cells are needed: for the
circuit, for a reading of the whole array, for the next pulse of a write-verify, or for a stop
condition. Without any of these a segment is `SEGMENT_OPERATIONS` long, so that the memory of the
plan is bounded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kmc_oxy.inputs.schema import Input
from kmc_oxy.protocol import Drive, Hold, Reading, Schedule
from kmc_oxy.simulation.cells import GATHER, CrossbarLines, Gather, Interval
from kmc_oxy.simulation.readings import Recorder, need_all_cells

#: Number of operations after which a segment ends without need.
SEGMENT_OPERATIONS = 10_000


@dataclass(frozen=True, eq=False)
class ReadCell:
    """A cell is read for one or several readings of the schedule at the same time.

    Parameters
    ----------
    readings : range
        Indices of the readings.
    pulse_V : ndarray, shape (rows, columns)
        Cell voltages at the end of the last pulse.
    """

    readings: range
    pulse_V: NDArray[np.float64]


class Measure:
    """The conductance of a cell is measured."""


class EndOfSegment:
    """Marks where a segment ends although no conductances are needed."""


CellStep = Interval | ReadCell | Measure


class ExecutionPlan:
    """Plans the steps of the cells, one segment after the other.

    Parameters
    ----------
    inputs : Input
    schedule : Schedule
    tolerance_V : float
        `cells.voltage_tolerance_V` of the devices.
    recorder : Recorder
        It gets the readings of the array as a whole.
    state : mapping, optional
        A `state_dict` to continue from.

    Attributes
    ----------
    steps : list of CellStep
        The steps of the present segment, the same for every cell.
    """

    def __init__(
        self,
        inputs: Input,
        schedule: Schedule,
        tolerance_V: float,
        recorder: Recorder,
        state: Mapping[str, Any] | None = None,
    ) -> None:
        self._crossbar = inputs.crossbar
        self._schedule = schedule
        self._operations = schedule.operations
        self._recorder = recorder
        self._lines = CrossbarLines(inputs, tolerance_V)
        self._operation = 0  # number of operations planned
        self._reading = 0  # number of readings planned
        self._cells_are_read = False  # for the readings at the present operation
        self._may_leave = False  # whether loops may be left before the present operation
        self._pulses_applied = 0
        self._target_reached = False
        self._verified_S = np.nan
        self._pulse_V: NDArray[np.float64] = np.zeros(self._lines.shape)
        if state is not None:
            self._restore(state)
        self._steps_to_plan = self._generate_steps()
        self._plan_segment()

    def state_dict(self) -> dict[str, Any]:
        """State at the start of the present segment, from which it is planned again."""
        return dict(self._segment_start)

    def _restore(self, state: Mapping[str, Any]) -> None:
        self._lines.restore(state["lines"])
        self._operation = state["operation"]
        self._reading = state["readings"]
        self._cells_are_read = state["is_read"]
        self._may_leave = state["may_leave"]
        self._pulses_applied = state["applied"]
        self._target_reached = state["reached"]
        self._verified_S = state["verified_S"]
        self._pulse_V = state["pulse_V"].copy()

    @property
    def is_last(self) -> bool:
        """Whether the present segment is the last one."""
        return self._operation == len(self._operations)

    def fraction(self, steps: float) -> float:
        """Fraction of the schedule's operations done after a number of steps of the segment.

        Parameters
        ----------
        steps : float

        Returns
        -------
        float
        """
        before = int(self._segment_start["operation"])
        of_segment = steps / len(self.steps) if self.steps else 1.0
        return (before + (self._operation - before) * of_segment) / len(self._operations)

    def next_segment(self, conductance_S: NDArray[np.float64]) -> None:
        """Plan the next segment from the conductances at the end of the present one.

        Parameters
        ----------
        conductance_S : ndarray, shape (cells,)
        """
        if self._needs_conductances:
            self._lines.set_conductances(conductance_S)
        self._plan_segment()

    def _plan_segment(self) -> None:
        self._segment_start: dict[str, Any] = {
            "lines": self._lines.state_dict(),
            "operation": self._operation,
            "readings": self._reading,
            "is_read": self._cells_are_read,
            "may_leave": self._may_leave,
            "applied": self._pulses_applied,
            "reached": self._target_reached,
            "verified_S": self._verified_S,
            "pulse_V": self._pulse_V.copy(),
        }
        self._needs_conductances = False
        self.steps: list[CellStep] = []
        for step in self._steps_to_plan:
            if isinstance(step, EndOfSegment):
                break
            if isinstance(step, Gather):
                # A reading has measured the conductance.
                if not self.steps or not isinstance(self.steps[-1], ReadCell):
                    self.steps.append(Measure())
                self._needs_conductances = True
                break
            self.steps.append(step)

    def _generate_steps(self) -> Iterator[CellStep | Gather | EndOfSegment]:
        """All steps of a cell, `GATHER` at the synchronisation points, ends of long segments."""
        while True:
            if self._may_leave:
                self._leave_loops()
            if self.is_last:
                return
            if self._operation - self._segment_start["operation"] >= SEGMENT_OPERATIONS:
                yield EndOfSegment()
            operation = self._operations[self._operation]
            if isinstance(operation, Hold):
                yield from self._hold(operation)
                self._operation += 1
                yield from self._condition()
                continue
            readings = self._readings_now()
            if not self._cells_are_read:
                yield ReadCell(range(self._reading, self._reading + len(readings)), self._pulse_V)
                self._cells_are_read = True
                if need_all_cells(readings):
                    yield GATHER
            for reading in readings:
                self._read_array(reading)
                self._reading += 1
            self._operation += len(readings)
            self._cells_are_read = False
            yield from self._condition()

    def _condition(self) -> Iterator[Gather]:
        """Ask for the conductances where loops may be left before the present operation."""
        if not self.is_last and self._schedule.exits(self._operation):
            self._may_leave = True
            yield GATHER

    def _leave_loops(self) -> None:
        """Leave out what follows in the loops whose conditions are met."""
        self._may_leave = False
        checked = -1
        # The end of a loop may be that of a repetition of another one.
        while self._operation != checked:
            checked = self._operation
            for until, operations, readings in self._schedule.exits(checked):
                if until.condition.is_met(float(self._lines.conductance_S[until.cell])):
                    self._operation, self._reading = operations, readings

    def _hold(self, hold: Hold) -> Iterator[Interval | Gather]:
        """The intervals of a hold."""
        potentials = self._drive(hold).lines(self._crossbar)
        yield from self._lines.hold(*potentials, hold.duration_s, hold.resolution_s)
        if hold.is_pulse and not (hold.target and self._target_reached):
            self._pulses_applied += 1
            self._pulse_V = self._lines.cell_voltage_V

    def _drive(self, hold: Hold) -> Drive:
        """The drive of a hold; for a write-verify it depends on the last reading."""
        target = hold.target
        if target is None:
            return hold.drive
        if self._target_reached:
            return target.waiting
        return target.raising if self._verified_S < target.conductance_S else target.lowering

    def _readings_now(self) -> list[Reading]:
        """The readings before the next hold: all of the same state."""
        found: list[Reading] = []
        for index in range(self._operation, len(self._operations)):
            operation = self._operations[index]
            if isinstance(operation, Hold) or (found and self._schedule.exits(index)):
                break
            found.append(operation)
        return found

    def _read_array(self, reading: Reading) -> None:
        """Record the quantities of the whole array."""
        conductance_S = self._lines.conductance_S
        if reading.kind == "program":
            self._read_program(reading, conductance_S)
        self._recorder.read_array(self._reading, reading, conductance_S)

    def _read_program(self, reading: Reading, conductance_S: NDArray[np.float64]) -> None:
        """Record the progress of a program step, and verify its target."""
        assert reading.cell is not None
        if reading.pulse == 0:
            self._pulses_applied, self._target_reached = 0, False
        target = reading.target
        if target is not None:
            self._verified_S = float(conductance_S[reading.cell])
            distance_S = abs(self._verified_S - target.conductance_S)
            self._target_reached |= bool(distance_S <= target.tolerance * target.conductance_S)
        self._recorder.read_program(
            self._reading, self._pulses_applied, None if target is None else self._target_reached
        )
