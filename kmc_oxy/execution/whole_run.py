"""A run from its plan to its output in this process and its workers: `cli` and `api` call this."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from kmc_oxy.execution.cost import check_memory, memory_bytes
from kmc_oxy.execution.output_assembly import assemble
from kmc_oxy.execution.pool_run import run_in_pool
from kmc_oxy.execution.progress import Progress
from kmc_oxy.execution.serial_run import run_serial
from kmc_oxy.execution.tasks import Plan
from kmc_oxy.process import available_memory_bytes, usable_cores
from kmc_oxy.storage import WorkFolder, begin_or_resume

log = logging.getLogger(__name__)


def useful_processes(plan: Plan, output: Path, *, fresh: bool = False) -> int:
    """Number of processes on this machine that a run can use.

    Parameters
    ----------
    plan : Plan
    output : Path
    fresh : bool
        Whether the run begins again.

    Returns
    -------
    int
        One for each core that may be used, but not more than there are tasks and memory for; 1 if
        there is nothing to compute.
    """
    if output.exists() and not fresh and not WorkFolder(output).exists():
        return 1
    most = min(plan.n_tasks, usable_cores())
    return max(1, int(min(most, available_memory_bytes() / memory_bytes(plan)))) if most > 1 else 1


def begin(
    plan: Plan, output: Path, *, ranks: int = 1, fresh: bool = False, memory_check: bool = True
) -> WorkFolder | None:
    """Begin or resume a run and lock its work folder.

    Parameters
    ----------
    plan : Plan
    output : Path
    ranks : int
        Number of MPI ranks, over which the cells of an array are distributed.
    fresh : bool
        Begin again, whatever was computed before.
    memory_check : bool
        Refuse a run that needs more memory than is available.

    Returns
    -------
    WorkFolder or None
        None if the run is complete.

    Raises
    ------
    MemoryNeedError, StoreError
    """
    if memory_check:
        check_memory(plan, ranks)
    work = begin_or_resume(output, plan.identity, fresh=fresh)
    if work is None:
        log.info("%s is complete already (--fresh computes it again)", output)
        return None
    log.info(
        "%d tasks, %d of them finished before; seed %d; results in %s",
        plan.n_tasks,
        len(work.finished()),
        work.manifest().seed,
        output,
    )
    return work


def complete(
    plan: Plan,
    work: WorkFolder,
    *,
    processes: int,
    stop: Callable[[], bool],
    report_progress: Callable[[Progress], None],
) -> None:
    """Compute what is left of a run and write its output.

    Parameters
    ----------
    plan : Plan
    work : WorkFolder
        As `begin` returned it; released at the end.
    processes : int
        1 for this process alone; more for a pool of workers.
    stop : callable
        Returns whether to stop.
    report_progress : callable
        Called with the `Progress`.

    Raises
    ------
    Interrupted
        If `stop` returned True; the run can be resumed.
    StoreError, RuntimeError, WorkerError
        If it fails.
    """
    try:
        if processes > 1:
            log.info("%d processes", processes)
            run_in_pool(plan, work, processes, stop=stop, report_progress=report_progress)
        else:
            run_serial(plan, work, stop=stop, report_progress=report_progress)
        assemble(plan, work, mpi_size=processes, stop=stop)
    finally:
        work.release()
