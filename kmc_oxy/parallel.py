"""The tasks of a run over all ranks of an MPI job, the first included.

Each rank takes the next task, the longest first, off one counter that all share; results and
checkpoints are files of the tasks, so that neither the number of ranks nor who did what leaves
a trace in the output.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from kmc_oxy.assembly import assemble
from kmc_oxy.board import Board
from kmc_oxy.ensemble import Plan, Progress, Task, run_task
from kmc_oxy.estimate import longest_first, relative_cost, task_cost
from kmc_oxy.inputs import LoadedInput
from kmc_oxy.packs import Packer, single_files
from kmc_oxy.signals import Interrupted, StopRequest
from kmc_oxy.simulation import Simulation
from kmc_oxy.workdir import WorkFolder

#: Seconds between two looks at whether another rank wants to stop.
LISTEN_S = 0.1
#: Seconds between two reports of a rank's progress to the first.
REPORT_S = 0.5
#: Longest sleep between two looks of a rank that waits for others.
WAIT_S = 0.02
#: How long the others may take to keep what they have after a rank has failed.
GRACE_S = 5.0
#: What the ranks sum up: finished tasks, hops, cost done, physical time.
SUMS = 4

Result = TypeVar("Result")
Complain = Callable[[Exception], int]


class Ended(Exception):
    """The job has ended early on all ranks, and the user has been told.

    Attributes
    ----------
    code : int
        Exit code, the same on every rank.
    """

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(f"ended with exit code {code}")


class Crew:
    """All ranks going through the same phases, and ending together whatever happens to one.

    Parameters
    ----------
    world : mpi4py.MPI.Comm
    board : Board
    local_stop : StopRequest
        Signals that this rank has received; they stop every rank.
    complain : callable
        Tells the user of an error, and gives the exit code. Called on one rank only.
    """

    def __init__(
        self, world: Any, board: Board, local_stop: StopRequest, complain: Complain
    ) -> None:
        self.world = world
        self.board = board
        self._local_stop = local_stop
        self._complain = complain
        self._reason = 0
        self._passed_on = False
        self._failed_s: float | None = None
        self._next_s = 0.0

    def stop(self) -> bool:
        """Whether to stop, because of a signal to any rank or a failure of one."""
        received = self._local_stop.received
        if received is not None and not self._passed_on:
            self.board.ask_to_stop(int(received))
            self._passed_on = True
            self._next_s = 0.0
        now = time.monotonic()
        if now >= self._next_s:
            self._next_s = now + LISTEN_S
            self._reason, failures = self.board.heard()
            if failures and self._failed_s is None:
                self._failed_s = now
        return self._reason > 0 or self._failed_s is not None

    def together(
        self,
        action: Callable[[], Result] | None,
        idle: Callable[[], None] = lambda: None,
    ) -> Result | None:
        """Carry out an action, and come back when every rank has carried out its own.

        Parameters
        ----------
        action : callable or None
            What this rank has to do, without any collective call; None if nothing.
        idle : callable
            Called now and then while waiting for others.

        Raises
        ------
        Ended
            On every rank, if the action failed or was interrupted on any.
        """
        result, interrupted, code = None, False, 0
        try:
            if action is not None:
                result = action()
        except Interrupted:
            interrupted = self.stop()
        except Exception as error:
            # The first failure is the cause; what follows from it is not worth a line.
            if self.board.fail() == 0:
                code = self._complain(error)
        self._wait(idle)
        codes, interruptions = zip(*self.world.allgather((code, interrupted)), strict=True)
        if any(codes):
            raise Ended(max(codes))
        if any(interruptions):
            reason = self.board.heard()[0] or signal.SIGTERM
            stopped = Interrupted(f"stopped by {signal.Signals(reason).name}")
            code = self._complain(stopped) if self.world.rank == 0 else 0
            raise Ended(self.world.bcast(code))
        return result

    def _wait(self, idle: Callable[[], None]) -> None:
        """A barrier in which a rank still hears signals, and leaves the core to others."""
        request = self.world.Ibarrier()
        pause_s = 1e-3
        while not request.Test():
            self.stop()
            idle()
            if self._failed_s is not None and time.monotonic() > self._failed_s + GRACE_S:
                self.world.Abort(1)
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, WAIT_S)


@dataclass(frozen=True)
class _Begun:
    """What rank 0 has found out and the others need."""

    loaded: LoadedInput
    output: Path
    seed: int
    finished: frozenset[int]
    started: frozenset[int]
    singles: frozenset[int]


def run_parallel(
    world: Any,
    begin: Callable[[], tuple[Plan, WorkFolder] | None],
    *,
    stop: StopRequest,
    report: Callable[[Progress], None],
    complain: Complain,
) -> None:
    """Begin or resume a run, carry out all of its tasks, and write its output.

    Parameters
    ----------
    world : mpi4py.MPI.Comm
        Every rank of it calls this function.
    begin : callable
        Called on rank 0: reads the input and locks the work folder; None if the run is complete.
    stop : StopRequest
        Listening.
    report : callable
        Called on rank 0 with the `Progress` of all ranks.
    complain : callable
        As in `Crew`.

    Raises
    ------
    Ended
        On every rank, if the run failed or was interrupted; the user has been told.
    """
    try:
        board = Board(world, SUMS)
        try:
            _run(Crew(world, board, stop, complain), begin, report)
        except Ended:
            board.close()
            raise
        board.close()
    except Ended:
        raise
    except BaseException as error:
        # Not foreseen: the ranks may be anywhere.
        code = complain(error) if isinstance(error, Exception) else 1
        world.Abort(code)


def _run(
    crew: Crew,
    begin: Callable[[], tuple[Plan, WorkFolder] | None],
    report: Callable[[Progress], None],
) -> None:
    rank, size = crew.world.rank, crew.world.size
    first = rank == 0
    begun = crew.together(begin if first else None)
    shared = crew.world.bcast(_share(*begun) if begun else None)
    if shared is None:
        return
    plan, work = begun or (Plan(shared.loaded), WorkFolder(shared.output))
    try:
        crew.together(None if first else work.join)
        mine = range(rank, plan.n_points, size)
        costs = np.empty(plan.n_points)
        gathered = crew.world.allgather(
            crew.together(lambda: [relative_cost(plan, point) for point in mine])
        )
        for other, values in enumerate(gathered):
            costs[other::size] = values
        todo = longest_first(plan, costs.tolist(), shared.finished, shared.started)
        tally = Tally(crew, plan, todo, costs.tolist(), report if first else None)
        crew.together(lambda: _work(crew, plan, work, todo, shared, tally), tally.show)
        if not first:
            # Before rank 0 removes the folder.
            work.release()

        def finish() -> None:
            tally.show(at_once=True)
            assemble(plan, work, mpi_size=size, stop=crew.stop)

        crew.together(finish if first else None)
    finally:
        work.release()


def _share(plan: Plan, work: WorkFolder) -> _Begun:
    return _Begun(
        loaded=plan.loaded,
        output=work.output,
        seed=work.manifest().seed,
        finished=frozenset(work.finished()),
        started=frozenset(work.started()),
        singles=frozenset(work.singles()),
    )


def _work(
    crew: Crew, plan: Plan, work: WorkFolder, todo: list[Task], shared: _Begun, tally: Tally
) -> None:
    """Take task after task until there are none left."""
    packer = Packer(work.pack, single_files(plan.n_tasks, crew.world.size))
    packer.add(*sorted(shared.singles)[crew.world.rank :: crew.world.size])
    while True:
        if crew.stop():
            raise Interrupted
        number = crew.board.claim()
        if number >= len(todo):
            return
        task = todo[number]
        tally.begin(task)
        run_task(plan, task, work, shared.seed, stop=crew.stop, watch=tally.watch)
        tally.finish()
        packer.add(task.index)


class Tally:
    """Adds what this rank does to the sums of all, and reports them on rank 0.

    Parameters
    ----------
    crew : Crew
    plan : Plan
    todo : list of Task
        Tasks of this session.
    costs : list of float
        Relative cost of each point.
    report : callable or None
        Called with the `Progress`; None on the other ranks.
    """

    def __init__(
        self,
        crew: Crew,
        plan: Plan,
        todo: list[Task],
        costs: list[float],
        report: Callable[[Progress], None] | None,
    ) -> None:
        self._crew = crew
        self._plan = plan
        self._todo = len(todo)
        self._costs = costs
        self._report = report
        self._cost = sum(task_cost(costs, task) for task in todo)
        self._duration_s = sum(plan.schedule(task.point).duration_s for task in todo)
        self._started = time.monotonic()
        self._next_s = 0.0
        self._task: Task | None = None
        self._simulation: Simulation | None = None
        self._hops_before = 0
        self._told: NDArray[np.float64] = np.zeros(SUMS)

    def begin(self, task: Task) -> None:
        """Take note of the task that comes next."""
        self._task = task
        self._simulation = None
        self._told = np.zeros(SUMS)

    def watch(self, simulation: Simulation) -> None:
        """Take note of a simulation that has begun or gone on."""
        if self._simulation is None:
            self._simulation = simulation
            self._hops_before = simulation.hops
        if time.monotonic() >= self._next_s:
            self._tell(0.0, simulation.fraction, simulation.time_s)
            self.show()

    def finish(self) -> None:
        """Take note that the task is finished."""
        if self._simulation is not None:
            self._tell(1.0, 1.0, self._simulation.schedule.duration_s)

    def _tell(self, done: float, fraction: float, time_s: float) -> None:
        if self._simulation is None or self._task is None:
            return
        hops = self._simulation.hops - self._hops_before
        now = np.array([done, hops, fraction * task_cost(self._costs, self._task), time_s])
        self._crew.board.add(now - self._told)
        self._told = now

    def show(self, at_once: bool = False) -> None:
        """Report the sums of all ranks on rank 0, if it is time to."""
        now = time.monotonic()
        if now < self._next_s and not at_once:
            return
        self._next_s = now + REPORT_S
        if self._report is None:
            return
        finished, hops, cost, time_s = self._crew.board.sums()
        done = self._plan.n_tasks - self._todo + int(finished)
        # The end is reported once, and not by chance while waiting.
        if done == self._plan.n_tasks and not at_once:
            return
        self._report(
            Progress(
                tasks=self._plan.n_tasks,
                done=done,
                fraction=min(1.0, cost / self._cost) if self._cost else 1.0,
                hops=int(hops),
                elapsed_s=now - self._started,
                time_s=time_s,
                duration_s=self._duration_s,
            )
        )
