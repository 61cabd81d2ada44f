"""A schedule as the steps that every cell goes through, in stretches.

Within a *stretch* no cell needs to know of the others. It ends where the conductances of all cells
are needed: for the circuit, for a reading of the whole array, or for the next pulse of a
write-verify. Without any of these the whole schedule is one stretch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kmc_oxy.inputs.schema import Input
from kmc_oxy.protocol import Drive, Hold, Reading, Schedule
from kmc_oxy.simulation.cells import GATHER, Gather, Interval, Lines
from kmc_oxy.simulation.readings import Recorder, take_all_cells


@dataclass(frozen=True, eq=False)
class ReadCell:
    """A cell is read, for one reading of the schedule or several at once.

    Parameters
    ----------
    readings : range
    pulse_V : ndarray, shape (rows, columns)
        Cell voltages at the end of the last pulse.
    """

    readings: range
    pulse_V: NDArray[np.float64]


class Measure:
    """The conductance of a cell is measured."""


Step = Interval | ReadCell | Measure


class Script:
    """Plans one stretch after the other, always ahead of the cells.

    Parameters
    ----------
    inputs : Input
    schedule : Schedule
    tolerance_V : float
        Of the voltage at a cell (`array.voltage_tolerance_V`).
    recorder : Recorder
        Gets what is read of the array as a whole.
    state : mapping, optional
        A `state_dict` to go on from.

    Attributes
    ----------
    steps : list of Step
        The present stretch.
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
        self._operations = schedule.operations
        self._recorder = recorder
        self._lines = Lines(inputs, tolerance_V)
        self._operation = 0
        self._readings = 0
        self._is_read = False  # by every cell, what is to be read now
        self._applied = 0
        self._reached = False
        self._verified_S = np.nan
        self._pulse_V: NDArray[np.float64] = np.zeros(self._lines.shape)
        if state is not None:
            self._restore(state)
        self._rest = self._write()
        self._plan()

    def state_dict(self) -> dict[str, Any]:
        """What it takes to plan the present stretch again."""
        return dict(self._start)

    def _restore(self, state: Mapping[str, Any]) -> None:
        self._lines.restore(state["lines"])
        self._operation = state["operation"]
        self._readings = state["readings"]
        self._is_read = state["is_read"]
        self._applied = state["applied"]
        self._reached = state["reached"]
        self._verified_S = state["verified_S"]
        self._pulse_V = state["pulse_V"].copy()

    @property
    def is_last(self) -> bool:
        """Whether nothing comes after the present stretch."""
        return self._operation == len(self._operations)

    def fraction(self, steps: float) -> float:
        """Share of the schedule's operations done after that many steps of the stretch."""
        before = int(self._start["operation"])
        of_stretch = steps / len(self.steps) if self.steps else 1.0
        return (before + (self._operation - before) * of_stretch) / len(self._operations)

    def go_on(self, conductance_S: NDArray[np.float64]) -> None:
        """Plan the next stretch from the conductances at the end of the present one.

        Parameters
        ----------
        conductance_S : ndarray, shape (cells,)
        """
        self._lines.learn(conductance_S)
        self._plan()

    def _plan(self) -> None:
        self._start: dict[str, Any] = {
            "lines": self._lines.state_dict(),
            "operation": self._operation,
            "readings": self._readings,
            "is_read": self._is_read,
            "applied": self._applied,
            "reached": self._reached,
            "verified_S": self._verified_S,
            "pulse_V": self._pulse_V.copy(),
        }
        self.steps: list[Step] = []
        for step in self._rest:
            if isinstance(step, Gather):
                # Who has just been read has been measured.
                if not self.steps or not isinstance(self.steps[-1], ReadCell):
                    self.steps.append(Measure())
                break
            self.steps.append(step)

    def _write(self) -> Iterator[Step | Gather]:
        """What comes next for every cell; where it says `GATHER` nobody can go on alone."""
        while not self.is_last:
            operation = self._operations[self._operation]
            if isinstance(operation, Hold):
                yield from self._hold(operation)
                self._operation += 1
                continue
            readings = self._readings_now()
            if not self._is_read:
                yield ReadCell(range(self._readings, self._readings + len(readings)), self._pulse_V)
                self._is_read = True
                if take_all_cells(readings):
                    yield GATHER
            for reading in readings:
                self._read_array(reading)
                self._readings += 1
            self._operation += len(readings)
            self._is_read = False

    def _hold(self, hold: Hold) -> Iterator[Interval | Gather]:
        """Drive the array for the duration of a hold."""
        lines = self._drive(hold).lines(self._crossbar)
        yield from self._lines.hold(*lines, hold.duration_s, hold.resolution_s)
        if hold.is_pulse and not (hold.target and self._reached):
            self._applied += 1
            self._pulse_V = self._lines.cell_voltage_V

    def _drive(self, hold: Hold) -> Drive:
        """What a hold applies; a write-verify decides by its last reading."""
        target = hold.target
        if target is None:
            return hold.drive
        if self._reached:
            return target.waiting
        return target.raising if self._verified_S < target.conductance_S else target.lowering

    def _readings_now(self) -> list[Reading]:
        """The readings from the present operation to the next hold: all of one state."""
        found: list[Reading] = []
        for operation in self._operations[self._operation :]:
            if isinstance(operation, Hold):
                break
            found.append(operation)
        return found

    def _read_array(self, reading: Reading) -> None:
        """Record what concerns the array as a whole."""
        conductance_S = self._lines.conductance_S
        if reading.kind == "program":
            assert reading.cell is not None
            if reading.pulse == 0:
                self._applied, self._reached = 0, False
            target = reading.target
            if target is not None:
                self._verified_S = float(conductance_S[reading.cell])
                distance_S = abs(self._verified_S - target.conductance_S)
                self._reached |= bool(distance_S <= target.tolerance * target.conductance_S)
            self._recorder.read_program(
                self._readings, self._applied, None if target is None else self._reached
            )
        self._recorder.read_array(self._readings, reading, conductance_S)
