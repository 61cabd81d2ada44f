"""Running the tasks of a run on all ranks of an MPI job.

Each rank, the first included, takes its next task by incrementing a shared counter. Tasks are
ordered by their estimated cost, the longest first. Results and checkpoints are files of the tasks,
so the output depends neither on the number of ranks nor on which rank ran which task. If there are
fewer tasks than ranks, each task is run by a group of ranks that share the cells of its array.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
from mpi4py import MPI

from kmc_oxy.execution.cost import relative_cost
from kmc_oxy.execution.mpi.distributed_cells import DistributedCells
from kmc_oxy.execution.mpi.job_control import ErrorReporter, JobControl, JobTerminated
from kmc_oxy.execution.mpi.rank_group import RankGroup
from kmc_oxy.execution.mpi.shared_counters import SharedCounters
from kmc_oxy.execution.output_assembly import assemble
from kmc_oxy.execution.progress import Progress
from kmc_oxy.execution.shared_progress import N_SUMS, SharedProgressCounter
from kmc_oxy.execution.task_order import TaskOrder
from kmc_oxy.execution.task_run import RunSession, run_task
from kmc_oxy.execution.tasks import Plan, Task
from kmc_oxy.process import Interrupted, StopRequest
from kmc_oxy.simulation import CellDistribution
from kmc_oxy.storage import TaskArchiver, WorkFolder, max_single_files


def run_parallel(
    world: MPI.Intracomm,
    begin: Callable[[], tuple[Plan, WorkFolder] | None],
    *,
    stop: StopRequest,
    report_progress: Callable[[Progress], None],
    report_error: ErrorReporter,
    finish: Callable[[Plan, WorkFolder], None] | None = None,
) -> bool:
    """Begin or resume a run, run all of its tasks, and write its output. Collective.

    Parameters
    ----------
    world : mpi4py.MPI.Intracomm
        All ranks of the job.
    begin : callable
        Called on rank 0: reads the input and locks the work folder; returns None if the run is
        complete.
    stop : StopRequest
        With its signal handlers installed.
    report_progress : callable
        Called on rank 0 with the `Progress` of all ranks.
    report_error : callable
        Prints an error for the user and returns the exit code. Called on one rank only.
    finish : callable, optional
        Called on rank 0 when all tasks are finished, in place of `assemble`.

    Returns
    -------
    bool
        Whether there was a run; False if `begin` returned None.

    Raises
    ------
    JobTerminated
        On every rank, if the run failed or was interrupted; the reason has been printed.
    """
    try:
        counters = SharedCounters(world, N_SUMS)
        try:
            job = JobControl(world, counters, stop, report_error)
            found = _run(job, begin, report_progress, finish)
        except JobTerminated:
            counters.close()
            raise
        counters.close()
        return found
    except JobTerminated:
        raise
    except BaseException as error:
        # An unexpected error outside the phases: other ranks may wait anywhere.
        code = report_error(error) if isinstance(error, Exception) else 1
        world.Abort(code)
        raise


@dataclass(frozen=True)
class _InitialState:
    """State of a run at the start of a session, found by rank 0 and sent to all ranks."""

    plan: Plan
    output: Path
    seed: int
    finished: frozenset[int]
    started: frozenset[int]
    unarchived: frozenset[int]

    @classmethod
    def of(cls, plan: Plan, work: WorkFolder) -> _InitialState:
        return cls(
            plan=plan,
            output=work.output,
            seed=work.manifest().seed,
            finished=frozenset(work.finished()),
            started=frozenset(work.started()),
            unarchived=frozenset(work.unarchived()),
        )


def _run(
    job: JobControl,
    begin: Callable[[], tuple[Plan, WorkFolder] | None],
    report_progress: Callable[[Progress], None],
    finish: Callable[[Plan, WorkFolder], None] | None,
) -> bool:
    is_first = job.world.rank == 0
    begun = job.run_phase(begin if is_first else None)
    initial: _InitialState | None = job.world.bcast(_InitialState.of(*begun) if begun else None)
    if initial is None:
        return False
    plan, work = begun or (initial.plan, WorkFolder(initial.output))
    session = RunSession(plan, work, initial.seed, job.stop_requested)
    try:
        job.run_phase(None if is_first else work.join)
        costs = _costs(job, plan)
        tasks = TaskOrder(plan, costs, initial.finished, initial.started)
        counter = SharedProgressCounter(
            job.counters, plan, tasks, costs, report_progress if is_first else None
        )
        with _rank_groups(job, plan, tasks, counter.report_if_due) as membership:
            queue = _TaskQueue(job, tasks, membership) if membership else None
            job.run_phase(
                partial(_run_tasks, session, queue, initial, counter) if queue else None,
                counter.report_if_due,
            )
        if not is_first:
            # Rank 0 removes the folder in the next phase.
            work.release()

        def complete() -> None:
            counter.report_end()
            if finish is None:
                assemble(plan, work, mpi_size=job.world.size, stop=job.stop_requested)
            else:
                finish(plan, work)

        job.run_phase(complete if is_first else None)
    finally:
        work.release()
    return True


def _costs(job: JobControl, plan: Plan) -> list[float]:
    """Relative cost of every point, each estimated by one rank. Collective."""
    rank, size = job.world.rank, job.world.size
    points = range(rank, plan.n_points, size)
    local = job.run_phase(lambda: [relative_cost(plan, point) for point in points])
    costs = np.empty(plan.n_points)
    for other, values in enumerate(job.world.allgather(local)):
        costs[other::size] = values
    return [float(cost) for cost in costs]


@dataclass(frozen=True)
class _Membership:
    """The group of ranks that a rank belongs to.

    Parameters
    ----------
    index : int
        Index of the group.
    groups : int
        Number of groups.
    group : RankGroup or None
        None if the rank is the only one of its group.
    """

    index: int
    groups: int
    group: RankGroup | None

    @property
    def is_root(self) -> bool:
        """Whether the rank is the root of its group."""
        return self.group is None or self.group.rank == 0


@contextlib.contextmanager
def _rank_groups(
    job: JobControl, plan: Plan, tasks: TaskOrder, on_wait: Callable[[], None]
) -> Iterator[_Membership | None]:
    """Divide the ranks into groups if there are fewer tasks than ranks. Collective.

    Yields None on a rank for which there is no cell. At the end of the block no rank may be
    running a task.
    """
    world = job.world
    groups = min(tasks.unfinished, world.size)
    if groups in (0, world.size):
        yield _Membership(world.rank, world.size, None)
        return
    cells = min(plan.cells(task.point) for task in tasks)  # fewer tasks than ranks
    index = world.rank * groups // world.size
    # Rank within the group: the first rank of group i is i * size / groups, rounded up.
    is_needed = world.rank - -(-index * world.size // groups) < cells
    comm = cast(MPI.Intracomm, world.Split(index if is_needed else groups, world.rank))
    group = RankGroup(job, comm, on_wait) if is_needed and comm.size > 1 else None
    if group is None:
        comm.Free()
    try:
        yield _Membership(index, groups, group) if is_needed else None
    except JobTerminated:
        _close_groups(job, index, group)
        raise
    _close_groups(job, index, group)


def _close_groups(job: JobControl, index: int, group: RankGroup | None) -> None:
    """Close all groups. Collective over all ranks of the job."""
    own = (index, group.reductions, group.pending_length) if group else (index, 0, 0)
    of_group = [other[1:] for other in job.world.allgather(own) if other[0] == index]
    if group:
        group.close(*max(of_group))


class _TaskQueue:
    """The tasks of a session, each taken by one group of ranks.

    Parameters
    ----------
    job : JobControl
    tasks : TaskOrder
        In the order in which they are taken.
    membership : _Membership
        Of this rank.
    """

    def __init__(self, job: JobControl, tasks: TaskOrder, membership: _Membership) -> None:
        self._job = job
        self._tasks = tasks
        self.membership = membership

    def next_task(self) -> Task | None:
        """The next task for the group of this rank; None if there is none left.

        Collective over the group. Raises Interrupted if the job is to stop.
        """
        group = self.membership.group
        if group is None:
            position = self._take_position()
        else:
            position = group.scatter(lambda: [self._take_position()] * group.size)
        if position is None:
            raise Interrupted
        return self._tasks.task_at(position) if position < self._tasks.positions else None

    def _take_position(self) -> int | None:
        """The next position with a task; None if the job is to stop."""
        while not self._job.stop_requested():
            position = self._job.counters.fetch_and_increment()
            if position >= self._tasks.positions or self._tasks.task_at(position):
                return position
        return None


def _run_tasks(
    session: RunSession,
    queue: _TaskQueue,
    initial: _InitialState,
    counter: SharedProgressCounter,
) -> None:
    """Run tasks from the queue until none is left. Collective over the group of this rank."""
    membership = queue.membership
    group = membership.group
    distribute = partial(DistributedCells, group) if group else CellDistribution
    limit = max_single_files(session.plan.n_tasks, membership.groups)
    archiver = TaskArchiver(session.work.archive, limit)
    try:
        if membership.is_root:
            archiver.add(*sorted(initial.unarchived)[membership.index :: membership.groups])
        while (task := queue.next_task()) is not None:
            counter.begin_task(task)
            run_task(session, task, on_progress=counter.update, distribute=distribute)
            counter.finish_task(is_root=membership.is_root)
            if membership.is_root:
                archiver.add(task.index)
    except Exception as error:
        if group and not isinstance(error, Interrupted):
            group.announce_failure()
        raise
