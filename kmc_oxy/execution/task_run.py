"""Running one task, with checkpoints.

Whoever distributes tasks over processes needs only `Plan.tasks` and `run_task`. The results do not
depend on which process runs a task.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from kmc_oxy.execution.tasks import Plan, Task
from kmc_oxy.process import Interrupted
from kmc_oxy.simulation import CellDistribution, Pause, Simulation, TaskParameters
from kmc_oxy.storage import WorkFolder

#: Wall-clock seconds between two checkpoints of a task.
CHECKPOINT_INTERVAL_S = 30.0


@dataclass(frozen=True)
class RunSession:
    """One session of a run in this process: what all of its tasks need.

    Parameters
    ----------
    plan : Plan
    work : WorkFolder
        Locked, of this plan.
    seed : int
        Seed of the run.
    stop : callable
        Returns whether to stop; called between kernel calls.
    checkpoint_interval_s : float
        Wall-clock seconds between two checkpoints of a task.
    """

    plan: Plan
    work: WorkFolder
    seed: int
    stop: Callable[[], bool]
    checkpoint_interval_s: float = CHECKPOINT_INTERVAL_S


def run_task(
    session: RunSession,
    task: Task,
    *,
    on_progress: Callable[[Simulation], None] = lambda simulation: None,
    distribute: Callable[[int], CellDistribution] = CellDistribution,
) -> None:
    """Run a task, from its checkpoint if there is one, and save its result.

    If several ranks share a task, each of them calls this function.

    Parameters
    ----------
    session : RunSession
    task : Task
    on_progress : callable
        Called with the simulation before the first kernel call and after each one.
    distribute : callable
        Returns the distribution of the given number of cells; by default all run in this process.
        Only its root process reads and writes the files of the task.

    Raises
    ------
    Interrupted
        If `session.stop` returned True; a checkpoint is saved before.
    StoreError
        If a file cannot be written.
    RuntimeError
        If the simulation fails. A plan that keeps failures has it as the result of the task; it is
        raised all the same if several ranks share the task, since the others wait for this one.
    """
    distribution = distribute(session.plan.cells(task.point))
    try:
        _run(session, task, on_progress, distribution)
    except RuntimeError as error:
        if not session.plan.keeps_failures:
            raise
        session.work.save_task(task.index, {"failure": str(error)})
        if distribution.is_shared:
            raise


def _run(
    session: RunSession,
    task: Task,
    on_progress: Callable[[Simulation], None],
    distribution: CellDistribution,
) -> None:
    """Run a task and save its record."""
    simulation, earlier_s = _start(session, task, distribution)
    began_s = time.monotonic()

    def wall_time_s() -> float:
        return earlier_s + time.monotonic() - began_s

    on_progress(simulation)
    for pause in _kernel_calls(session, simulation):
        if pause and distribution.is_root:
            state = {"simulation": simulation.state_dict(), "wall_time_s": wall_time_s()}
            session.work.save_checkpoint(task.index, state)
        if pause is Pause.STOP:
            raise Interrupted
        on_progress(simulation)
    if distribution.is_root:
        session.work.save_task(task.index, {**simulation.record, "wall_time": wall_time_s()})


def _start(
    session: RunSession, task: Task, distribution: CellDistribution
) -> tuple[Simulation, float]:
    """The simulation of a task, new or from its checkpoint, and its wall time before (s)."""
    plan = session.plan
    parameters = TaskParameters(task.point, task.member, session.seed, plan.tolerance(task))
    inputs, schedule = plan.point(task.point), plan.schedule(task.point)
    checkpoint = distribution.scatter(
        lambda: session.work.load_checkpoint(task.index),
        lambda state, owns: {
            **state,
            "simulation": Simulation.select_cells(state["simulation"], owns),
        },
    )
    if checkpoint is None:
        return Simulation(inputs, schedule, parameters, distribution), 0.0
    simulation = Simulation.from_state(
        inputs, schedule, checkpoint["simulation"], parameters, distribution
    )
    return simulation, checkpoint["wall_time_s"]


def _kernel_calls(session: RunSession, simulation: Simulation) -> Iterator[Pause]:
    """Run a simulation to its end; requests a checkpoint at intervals and before a stop."""
    saved_s = time.monotonic()

    def request() -> Pause:
        if session.stop():
            return Pause.STOP
        is_due = time.monotonic() - saved_s >= session.checkpoint_interval_s
        return Pause.SAVE if is_due else Pause.NO

    for pause in simulation.run(request):
        if pause:
            saved_s = time.monotonic()
        yield pause
