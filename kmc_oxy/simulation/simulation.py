"""One task: the device of one member at one point of the scan, simulated through its schedule.

Within a segment of the schedule (`execution_plan`) the cells are independent. Several processes
may run some cells each (`cell_distribution`), and the cells may be at different steps.

The run is a generator that yields after every kernel call, so that the caller decides when to
log, to save a checkpoint or to stop. A simulation made from the saved state continues with the
same results, bit for bit, with any number of processes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kmc_oxy.inputs.schema import Input
from kmc_oxy.protocol import Schedule
from kmc_oxy.simulation.cell_distribution import CellDistribution, Pause
from kmc_oxy.simulation.cells import Cell, Interval, voltage_tolerance_V
from kmc_oxy.simulation.device import CrossPoint
from kmc_oxy.simulation.execution_plan import CellStep, ExecutionPlan, ReadCell
from kmc_oxy.simulation.readings import Recorder

#: Key of the state of the execution plan in a checkpoint; part of the file format.
PLAN_KEY: Final = "script"


@dataclass(frozen=True)
class TaskParameters:
    """The parameters of a task besides its input.

    Parameters
    ----------
    point, member : int
        Point of the scan and member of the ensemble: parts of the names of the random streams.
        The quenched disorder depends on the member only, so that all points have the same devices.
    seed : int
    tolerance : float or None
        1/C of the rate cap; None for exact residence times.
    """

    point: int
    member: int
    seed: int
    tolerance: float | None


class Simulation:
    """The cells of one member, and their progress through the schedule.

    Parameters
    ----------
    inputs : inputs.schema.Input
        Checked input of this point of the scan.
    schedule : Schedule
        Its protocol, flattened.
    parameters : TaskParameters
    distribution : CellDistribution, optional
        Which cells are run in this process; all of them by default.

    Attributes
    ----------
    record : dict of ndarray
        An array per entry of `protocol.recorded_quantities.OBSERVABLES`, filled by the readings.
        With several processes it is complete on the root process, at the end.
    """

    def __init__(
        self,
        inputs: Input,
        schedule: Schedule,
        parameters: TaskParameters,
        distribution: CellDistribution | None = None,
        _state: Mapping[str, Any] | None = None,
    ) -> None:
        self.inputs = inputs
        self.schedule = schedule
        self._parameters = parameters
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
        self._plan = ExecutionPlan(
            inputs,
            schedule,
            voltage_tolerance_V(device),
            self._recorder,
            _state and _state[PLAN_KEY],
        )
        # States of the cells of other processes, on the root process while a state is saved.
        self._remote_cells: dict[int, Any] = {}
        self.done = bool(_state and _state["done"])

    def _cell(self, index: int, state: Mapping[str, Any] | None) -> Cell:
        began = time.thread_time()
        row, column = divmod(index, self.inputs.crossbar.columns)
        parameters = self._parameters
        device = CrossPoint.build(self.inputs, parameters.member, row, column, parameters.seed)
        if state is None:
            engine = device.engine(parameters.point, parameters.tolerance)
            cell = Cell(index, device, engine)
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
        parameters: TaskParameters,
        distribution: CellDistribution | None = None,
    ) -> Simulation:
        """Make the simulation that gave a state, to continue it.

        Parameters
        ----------
        inputs, schedule : Input, Schedule
            Those of the simulation that gave the state.
        state : mapping
            Its `state_dict`, or what `select_cells` took from it.
        parameters : TaskParameters
            Those of the simulation that gave the state.
        distribution : CellDistribution, optional
            May differ from that of the simulation that gave the state.

        Returns
        -------
        Simulation
        """
        return cls(inputs, schedule, parameters, distribution, _state=state)

    def state_dict(self) -> dict[str, Any]:
        """State for `from_state`.

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
            PLAN_KEY: self._plan.state_dict(),
        }

    @staticmethod
    def select_cells(state: Mapping[str, Any], owns: Callable[[int], bool]) -> dict[str, Any]:
        """Select what a process needs of a state.

        Parameters
        ----------
        state : mapping
            A `state_dict`.
        owns : callable
            Whether the process runs the cell of an index.

        Returns
        -------
        dict
            The state, with None for the cells of other processes.
        """
        cells = [cell if owns(index) else None for index, cell in enumerate(state["cells"])]
        return {**state, "cells": cells}

    @property
    def cells(self) -> list[Cell]:
        """The cells of this process, row by row."""
        return [self._cells[index] for index in sorted(self._cells)]

    @property
    def time_s(self) -> float:
        """Physical time reached (s), averaged over all cells; the part of this process."""
        return sum(cell.engine.time_s for cell in self._cells.values()) / self._n_cells

    @property
    def fraction(self) -> float:
        """Fraction of the schedule that is done, times the fraction of the cells run here."""
        if self.done:
            return len(self._cells) / self._n_cells
        shares = (self._plan.fraction(cell.steps) for cell in self._cells.values())
        return sum(shares) / self._n_cells

    @property
    def hops(self) -> int:
        """Number of hops so far of all cells of this process."""
        return sum(int(cell.engine.hops) for cell in self._cells.values())

    def run(self, request: Callable[[], Pause] = lambda: Pause.NO) -> Iterator[Pause]:
        """Run the rest of the schedule.

        Parameters
        ----------
        request : callable
            Called after every kernel call; returns what this process requests.

        Yields
        ------
        Pause
            After every kernel call: what all processes do now. If it is not `NO`, the root process
            has the whole state until the generator continues.
        """
        while not self.done:
            conductance_S = yield from self._run_segment(request)
            if self._plan.is_last:
                records = self._distribution.gather(
                    lambda: {index: self._recorder.cell_record(index) for index in self._cells}
                )
                for index, values in records.items():
                    self._recorder.set_cell_record(index, values)
                self.done = True
            else:
                self._plan.next_segment(conductance_S)
                for cell in self._cells.values():
                    cell.steps = 0

    def _run_segment(
        self, request: Callable[[], Pause]
    ) -> Generator[Pause, None, NDArray[np.float64]]:
        """Run the cells of all processes to the end of the segment; returns all conductances."""
        while True:
            pause = Pause.NO
            for _ in self._kernel_calls():
                pause = request()
                if pause or self._distribution.should_rebalance(
                    len(self._plan.steps), self._steps_left
                ):
                    break
                yield Pause.NO
            sync = self._distribution.synchronize(
                pause,
                len(self._plan.steps),
                self._steps_left(),
                {cell.index: cell.conductance_S for cell in self.cells},
            )
            if sync.steps_left or not self._plan.is_last:
                self._distribution.move_cells(sync.moves, self._remove_cell, self._insert_cell)
            if sync.pause:
                remote = self._distribution.gather(
                    lambda: {index: self._cell_data(index) for index in self._cells}
                )
                for index, data in remote.items():
                    self._recorder.set_cell_record(index, data["record"])
                self._remote_cells = {index: data["cell"] for index, data in remote.items()}
                yield sync.pause
                self._remote_cells = {}
            if not sync.steps_left:
                return sync.conductance_S

    def _kernel_calls(self) -> Iterator[None]:
        """Run the cells of this process to the end of the segment, step by step together."""
        if not self._plan.steps:
            return
        for number in range(min(cell.steps for cell in self.cells), len(self._plan.steps)):
            step = self._plan.steps[number]
            for cell in self.cells:
                while cell.steps == number:
                    began = time.thread_time()
                    if self._take_step(cell, step):
                        cell.steps += 1
                    self._distribution.record_step_time(cell.index, time.thread_time() - began)
                    yield

    def _take_step(self, cell: Cell, step: CellStep) -> bool:
        """Run a cell through a step, or one kernel call of it; True at the end of the step."""
        if isinstance(step, Interval):
            return cell.advance(step)
        if isinstance(step, ReadCell):
            self._recorder.read_cell(cell, step.readings, step.pulse_V)
        else:
            cell.measure()
        return True

    def _steps_left(self) -> dict[int, int]:
        return {index: len(self._plan.steps) - cell.steps for index, cell in self._cells.items()}

    def _cell_data(self, index: int) -> dict[str, Any]:
        """State and readings of a cell."""
        return {
            "cell": self._cells[index].state_dict(),
            "record": self._recorder.cell_record(index),
        }

    def _remove_cell(self, index: int) -> dict[str, Any]:
        data = self._cell_data(index)
        del self._cells[index]
        return data

    def _insert_cell(self, index: int, data: Mapping[str, Any]) -> None:
        self._recorder.set_cell_record(index, data["record"])
        self._cells[index] = self._cell(index, data["cell"])
