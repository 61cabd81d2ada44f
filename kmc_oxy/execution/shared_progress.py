"""Progress of a run over all of its processes, summed in shared counters."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from kmc_oxy.execution.progress import Progress
from kmc_oxy.execution.task_order import TaskOrder, task_cost
from kmc_oxy.execution.tasks import Plan, Task
from kmc_oxy.simulation import Simulation

#: Seconds between two updates of the sums by a process, and between two reports of the first.
UPDATE_INTERVAL_S = 0.5
#: Number of sums over processes: finished tasks, hops, cost of the work done, physical time.
N_SUMS = 4


class Sums(Protocol):
    """Sums over all processes of a run, which each of them may add to at any time."""

    def add_to_sums(self, values: NDArray[np.float64]) -> None:
        """Add to the sums, shape (N_SUMS,)."""

    def sums(self) -> NDArray[np.float64]:
        """Return the present sums, shape (N_SUMS,)."""


class SharedProgressCounter:
    """Adds the progress of this process to the sums of all, and reports these in the first.

    Parameters
    ----------
    counters : Sums
        Of all processes.
    plan : Plan
    tasks : TaskOrder
        Tasks of this session.
    costs : sequence of float
        Relative cost of each point.
    report : callable or None
        Called with the `Progress` in the first process; None in the others.
    """

    def __init__(
        self,
        counters: Sums,
        plan: Plan,
        tasks: TaskOrder,
        costs: Sequence[float],
        report: Callable[[Progress], None] | None,
    ) -> None:
        self._counters = counters
        self._plan = plan
        self._tasks = tasks.unfinished
        self._costs = costs
        self._report = report
        self._cost = tasks.cost
        self._duration_s = tasks.duration_s
        self._began_s = time.monotonic()
        self._next_report_s = 0.0
        self._next_update_s = 0.0
        self._task: Task | None = None
        self._simulation: Simulation | None = None
        self._hops_before = 0
        # What this process has added to the sums for the task in progress.
        self._added: NDArray[np.float64] = np.zeros(N_SUMS)

    def begin_task(self, task: Task) -> None:
        """Set the task in progress.

        Parameters
        ----------
        task : Task
        """
        self._task = task
        self._simulation = None
        self._added = np.zeros(N_SUMS)

    def update(self, simulation: Simulation) -> None:
        """Add the progress of the task in progress to the sums, if it is due.

        Parameters
        ----------
        simulation : Simulation
        """
        if self._simulation is None:
            self._simulation = simulation
            self._hops_before = simulation.hops
        now_s = time.monotonic()
        if now_s >= self._next_update_s:
            self._next_update_s = now_s + UPDATE_INTERVAL_S
            self._add_to_sums(finished=0)
            self.report_if_due()

    def finish_task(self, *, is_root: bool) -> None:
        """Add the finished task to the sums.

        Parameters
        ----------
        is_root : bool
            Whether this process is the root of its group: a shared task is counted once.
        """
        self._add_to_sums(finished=int(is_root))

    def _add_to_sums(self, finished: int) -> None:
        if self._task is None:
            return
        values = np.array([finished, 0, 0, 0], dtype=np.float64)
        # There is none of a task that failed when its device was made.
        if self._simulation is not None:
            fraction = 1.0 if finished else self._simulation.fraction
            values[1] = self._simulation.hops - self._hops_before
            values[2] = fraction * task_cost(self._costs, self._task)
            values[3] = self._simulation.time_s
        self._counters.add_to_sums(values - self._added)
        self._added = values

    def report_if_due(self) -> None:
        """Report the sums in the first process at intervals, except for the end of the run."""
        now_s = time.monotonic()
        if now_s < self._next_report_s:
            return
        self._next_report_s = now_s + UPDATE_INTERVAL_S
        if self._report is None:
            return
        progress = self._progress(now_s)
        # The end is reported once, by `report_end`.
        if progress.done < progress.tasks:
            self._report(progress)

    def report_end(self) -> None:
        """Report the sums in the first process."""
        if self._report is not None:
            self._report(self._progress(time.monotonic()))

    def _progress(self, now_s: float) -> Progress:
        finished, hops, cost, time_s = self._counters.sums()
        done = self._plan.n_tasks - self._tasks + int(finished)
        return Progress(
            tasks=self._plan.n_tasks,
            done=done,
            fraction=1.0 if done == self._plan.n_tasks else min(1.0, cost / self._cost),
            hops=int(hops),
            elapsed_s=now_s - self._began_s,
            time_s=time_s,
            duration_s=self._duration_s,
        )
