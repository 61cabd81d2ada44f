"""The tasks of a run over all ranks of an MPI job, the first included.

Each rank takes the next task, the longest first, off one counter that all share; results and
checkpoints are files of the tasks, so that neither the number of ranks nor who did what leaves
a trace in the output. If there are fewer tasks than ranks, each is taken by a team of ranks, who
share the cells of its array.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kmc_oxy.execution.assembly import assemble
from kmc_oxy.execution.cost import longest_first, relative_cost, task_cost
from kmc_oxy.execution.mpi.job_control import Complain, Crew, Ended
from kmc_oxy.execution.mpi.rank_group import Team
from kmc_oxy.execution.mpi.shared_counters import Board
from kmc_oxy.execution.progress import Progress
from kmc_oxy.execution.serial_run import run_task
from kmc_oxy.execution.tasks import Plan, Task
from kmc_oxy.inputs import LoadedInput
from kmc_oxy.process import Interrupted, StopRequest
from kmc_oxy.simulation import Alone, Simulation
from kmc_oxy.storage import Packer, WorkFolder, single_files

#: Seconds between two reports of a rank's progress to the first.
REPORT_S = 0.5
#: What the ranks sum up: finished tasks, hops, cost done, physical time.
SUMS = 4


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
        with _team(crew, plan, todo, tally.show) as place:
            crew.together(
                lambda: _work(crew, plan, work, todo, shared, tally, place) if place else None,
                tally.show,
            )
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


@dataclass(frozen=True)
class _Place:
    """Where a rank belongs.

    Parameters
    ----------
    number, teams : int
        Of its team, and how many teams there are.
    team : Team or None
        None if it is the whole team.
    """

    number: int
    teams: int
    team: Team | None


@contextlib.contextmanager
def _team(
    crew: Crew, plan: Plan, todo: list[Task], idle: Callable[[], None]
) -> Iterator[_Place | None]:
    """Make teams if there are fewer tasks than ranks; None for a rank that has nothing to do.

    Collective. At the end every rank must be out of its tasks.
    """
    world = crew.world
    teams = min(len(todo), world.size)
    if teams in (0, world.size):
        yield _Place(world.rank, world.size, None)
        return
    cells = min(plan.cells(task.point) for task in todo)
    number = world.rank * teams // world.size
    # The first rank of the team has the smallest number that gives the same quotient.
    is_needed = world.rank - -(-number * world.size // teams) < cells
    comm = world.Split(number if is_needed else teams, world.rank)
    team = Team(crew, comm, idle) if is_needed and comm.size > 1 else None
    if team is None:
        comm.Free()
    try:
        yield _Place(number, teams, team) if is_needed else None
    except Ended:
        _dissolve(crew, number, team)
        raise
    _dissolve(crew, number, team)


def _dissolve(crew: Crew, number: int, team: Team | None) -> None:
    """Close all teams."""
    mine = (number, team.meetings, team.length) if team else (number, 0, 0)
    reached = [other[1:] for other in crew.world.allgather(mine) if other[0] == number]
    if team:
        team.close(*max(reached))


def _work(
    crew: Crew,
    plan: Plan,
    work: WorkFolder,
    todo: list[Task],
    shared: _Begun,
    tally: Tally,
    place: _Place,
) -> None:
    """Take task after task until there are none left."""
    team = place.team
    is_first = team is None or team.rank == 0
    packer = Packer(work.pack, single_files(plan.n_tasks, place.teams))
    if is_first:
        packer.add(*sorted(shared.singles)[place.number :: place.teams])

    def next_number() -> int | None:
        return None if crew.stop() else crew.board.claim()

    try:
        while True:
            if team is None:
                number = next_number()
            else:
                number = team.from_first(lambda: [next_number()] * team.size)
            if number is None:
                raise Interrupted
            if number >= len(todo):
                return
            task = todo[number]
            tally.begin(task)
            run_task(
                plan, task, work, shared.seed,
                stop=crew.stop, watch=tally.watch, share_of=team.share if team else Alone,
            )  # fmt: skip
            tally.finish(is_first)
            if is_first:
                packer.add(task.index)
    except Exception as error:
        if team and not isinstance(error, Interrupted):
            team.fail()
        raise


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
        self._next_tell_s = 0.0
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
        now = time.monotonic()
        if now >= self._next_tell_s:
            self._next_tell_s = now + REPORT_S
            self._tell(0.0, simulation.fraction, simulation.time_s)
            self.show()

    def finish(self, counts: bool) -> None:
        """Take note that the task is finished; it counts for one rank of a team only."""
        if self._simulation is not None:
            self._tell(float(counts), self._simulation.fraction, self._simulation.time_s)

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
                fraction=1.0 if done == self._plan.n_tasks else min(1.0, cost / self._cost),
                hops=int(hops),
                elapsed_s=now - self._started,
                time_s=time_s,
                duration_s=self._duration_s,
            )
        )
