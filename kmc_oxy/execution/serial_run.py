"""Running the tasks of a run in one process."""

from __future__ import annotations

from collections.abc import Callable

from kmc_oxy.execution.progress import Progress, ProgressCounter
from kmc_oxy.execution.task_run import CHECKPOINT_INTERVAL_S, RunSession, run_task
from kmc_oxy.execution.tasks import Plan
from kmc_oxy.process import Interrupted
from kmc_oxy.storage import TaskArchiver, WorkFolder, max_single_files


def run_serial(
    plan: Plan,
    work: WorkFolder,
    *,
    stop: Callable[[], bool] = lambda: False,
    report_progress: Callable[[Progress], None] = lambda progress: None,
    checkpoint_interval_s: float = CHECKPOINT_INTERVAL_S,
) -> None:
    """Run every task that is not finished, one after the other.

    Parameters
    ----------
    plan : Plan
    work : WorkFolder
        Locked, begun or resumed for this plan.
    stop : callable
        Returns whether to stop; called between kernel calls.
    report_progress : callable
        Called with the `Progress` after each kernel call and each task; must be fast.
    checkpoint_interval_s : float
        Wall-clock seconds between two checkpoints of a task.

    Raises
    ------
    Interrupted
        If `stop` returned True; finished tasks and a checkpoint are on disk.
    StoreError
        If a file cannot be written.
    """
    session = RunSession(plan, work, work.manifest().seed, stop, checkpoint_interval_s)
    finished = work.finished()
    counter = ProgressCounter(plan, plan.n_tasks - len(finished), report_progress)
    archiver = TaskArchiver(work.archive, max_single_files(plan.n_tasks, processes=1))
    archiver.add(*work.unarchived())
    for task in plan.tasks():
        if task.index in finished:
            continue
        if stop():
            raise Interrupted
        run_task(session, task, on_progress=counter.update)
        archiver.add(task.index)
        counter.finish_task()
