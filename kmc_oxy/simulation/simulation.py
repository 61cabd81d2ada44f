"""One task: the device of one member at one point of the scan, driven through its schedule.

Within a stretch of its schedule (`execution_plan`) the cells need not know of each other. Several
processes may run some cells each (`cell_distribution`), and cells may stand at different steps.

The run is a generator that yields after every kernel call, so that the caller decides when to
log, to checkpoint or to stop; a simulation built from the state that is saved then goes on bit for
bit, with as many processes as there may be.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kmc_oxy.inputs.schema import Input
from kmc_oxy.protocol import Schedule
from kmc_oxy.simulation.cell_distribution import CellDistribution, Pause
from kmc_oxy.simulation.cells import Cell, Interval, voltage_tolerance_V
from kmc_oxy.simulation.device import CrossPoint
from kmc_oxy.simulation.execution_plan import ReadCell, Script, Step
from kmc_oxy.simulation.readings import Recorder


class Simulation:
    """The cells of one member, and how far their schedule has come.

    Parameters
    ----------
    inputs : inputs.schema.Input
        Checked input of this point of the scan.
    schedule : Schedule
        Its protocol, flattened.
    point, member : int
        Name the random streams. Quenched disorder depends on the member alone: every point of a
        scan sees the same devices.
    seed : int
    tolerance : float or None
        1/C of the rate cap; None for exact residence times.
    distribution : CellDistribution, optional
        Which cells are run in this process; all of them by default.

    Attributes
    ----------
    record : dict of ndarray
        An array per entry of `protocol.recorded_quantities.OBSERVABLES`, filled as the readings
        come. Shared among processes, it is complete on the first of them, at the end.
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
        distribution: CellDistribution | None = None,
        _state: Mapping[str, Any] | None = None,
    ) -> None:
        self.inputs = inputs
        self.schedule = schedule
        self._point, self._member, self._seed, self._tolerance = point, member, seed, tolerance
        self._n_cells = inputs.crossbar.rows * inputs.crossbar.columns
        self._distribution = distribution or CellDistribution(self._n_cells)
        self._cells = {
            index: self._cell(index, _state and _state["cells"][index])
            for index in range(self._n_cells)
            if self._distribution.owns(index)
        }
        device = next(iter(self._cells.values())).device
        self._recorder = Recorder(inputs, schedule, device)
        self.record = self._recorder.record
        for name, array in _state["record"].items() if _state else ():
            self.record[name][:] = array
        self._script = Script(
            inputs, schedule, voltage_tolerance_V(device), self._recorder,
            _state and _state["script"],
        )  # fmt: skip
        # States of the cells of other processes, on the root process while a state is saved.
        self._remote_cells: dict[int, Any] = {}
        self.done = bool(_state and _state["done"])

    def _cell(self, index: int, state: Mapping[str, Any] | None) -> Cell:
        began = time.thread_time()
        row, column = divmod(index, self.inputs.crossbar.columns)
        device = CrossPoint.build(self.inputs, self._member, row, column, self._seed)
        if state is None:
            cell = Cell(index, device, device.engine(self._point, self._tolerance))
        else:
            cell = Cell.from_state(index, device, state)
        self._distribution.record_build_time(index, time.thread_time() - began)
        return cell

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
        distribution: CellDistribution | None = None,
    ) -> Simulation:
        """The simulation that gave `state`, ready to go on; the other arguments as it had them.

        Only the distribution of the cells may be another.
        """
        return cls(
            inputs,
            schedule,
            point=point,
            member=member,
            seed=seed,
            tolerance=tolerance,
            distribution=distribution,
            _state=state,
        )

    def state_dict(self) -> dict[str, Any]:
        """Everything that `from_state` needs besides the input.

        Valid between two kernel calls. With several processes, valid on the root process and
        only where `run` yields a pause.
        """
        cells = self._remote_cells | {
            index: cell.state_dict() for index, cell in self._cells.items()
        }
        return {
            "cells": [cells[index] for index in range(self._n_cells)],
            "record": {name: array.copy() for name, array in self.record.items()},
            "done": self.done,
            "script": self._script.state_dict(),
        }

    @staticmethod
    def select_cells(state: Mapping[str, Any], owns: Callable[[int], bool]) -> dict[str, Any]:
        """Part of a `state_dict` that is enough for a process with these cells."""
        cells = [cell if owns(index) else None for index, cell in enumerate(state["cells"])]
        return {**state, "cells": cells}

    @property
    def cells(self) -> list[Cell]:
        """The cells that are run here, row by row."""
        return [self._cells[index] for index in sorted(self._cells)]

    @property
    def time_s(self) -> float:
        """Physical time reached (s): the mean over all cells, or this process's share of it."""
        return sum(cell.engine.time_s for cell in self._cells.values()) / self._n_cells

    @property
    def fraction(self) -> float:
        """Part of the schedule's operations that is done, times the part of the cells run here."""
        if self.done:
            return len(self._cells) / self._n_cells
        shares = (self._script.fraction(cell.steps) for cell in self._cells.values())
        return sum(shares) / self._n_cells

    @property
    def hops(self) -> int:
        """Hops so far, all cells run here together."""
        return sum(int(cell.engine.hops) for cell in self._cells.values())

    def run(self, wanted: Callable[[], Pause] = lambda: Pause.NO) -> Iterator[Pause]:
        """Carry out what is left of the schedule, yielding after every kernel call.

        Parameters
        ----------
        wanted : callable
            Asked after every kernel call for what this process wants.

        Yields
        ------
        Pause
            What all processes do now. If it is not `NO`, the whole state is on the first process
            until the generator goes on.
        """
        while not self.done:
            conductance_S = yield from self._carry_out(wanted)
            if self._script.is_last:
                records = self._distribution.gather(
                    lambda: {index: self._recorder.of_cell(index) for index in self._cells}
                )
                for index, values in records.items():
                    self._recorder.enter(index, values)
                self.done = True
            else:
                self._script.go_on(conductance_S)
                for cell in self._cells.values():
                    cell.steps = 0

    def _carry_out(
        self, wanted: Callable[[], Pause]
    ) -> Generator[Pause, None, NDArray[np.float64]]:
        """Bring all cells, here and elsewhere, to the end of the stretch: their conductances."""
        while True:
            pause = Pause.NO
            for _ in self._kernel_calls():
                pause = wanted()
                if pause or self._distribution.should_rebalance(
                    len(self._script.steps), self._steps_left
                ):
                    break
                yield Pause.NO
            sync = self._distribution.synchronize(
                pause,
                len(self._script.steps),
                self._steps_left(),
                {cell.index: cell.conductance_S for cell in self.cells},
            )
            if sync.steps_left or not self._script.is_last:
                self._distribution.move_cells(sync.moves, self._remove_cell, self._insert_cell)
            if sync.pause:
                remote = self._distribution.gather(
                    lambda: {index: self._cell_data(index) for index in self._cells}
                )
                for index, data in remote.items():
                    self._recorder.enter(index, data["record"])
                self._remote_cells = {index: data["cell"] for index, data in remote.items()}
                yield sync.pause
                self._remote_cells = {}
            if not sync.steps_left:
                return sync.conductance_S

    def _kernel_calls(self) -> Iterator[None]:
        """Bring the cells here to the end of the stretch, none a step ahead of another."""
        if not self._script.steps:
            return
        for number in range(min(cell.steps for cell in self.cells), len(self._script.steps)):
            step = self._script.steps[number]
            for cell in self.cells:
                while cell.steps == number:
                    began = time.thread_time()
                    if self._take_step(cell, step):
                        cell.steps += 1
                    self._distribution.record_step_time(cell.index, time.thread_time() - began)
                    yield

    def _take_step(self, cell: Cell, step: Step) -> bool:
        """Take a cell through a step, or on by a kernel call; True at the end of the step."""
        if isinstance(step, Interval):
            return cell.advance(step)
        if isinstance(step, ReadCell):
            self._recorder.read_cell(cell, step.readings, step.pulse_V)
        else:
            cell.measure()
        return True

    def _steps_left(self) -> dict[int, int]:
        return {index: len(self._script.steps) - cell.steps for index, cell in self._cells.items()}

    def _cell_data(self, index: int) -> dict[str, Any]:
        """State and readings of a cell."""
        return {"cell": self._cells[index].state_dict(), "record": self._recorder.of_cell(index)}

    def _remove_cell(self, index: int) -> dict[str, Any]:
        data = self._cell_data(index)
        del self._cells[index]
        return data

    def _insert_cell(self, index: int, data: Mapping[str, Any]) -> None:
        self._recorder.enter(index, data["record"])
        self._cells[index] = self._cell(index, data["cell"])
