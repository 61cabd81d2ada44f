"""Running the tasks of a run in a pool of processes on this machine, without MPI.

Each worker takes its next task by incrementing a shared counter, as the ranks of an MPI job do
(`mpi.parallel_run`), and writes the same files. The first process computes nothing: it reports
progress, forwards stop requests, and notices workers that end.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnContext, SpawnProcess
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kmc_oxy.execution.cost import relative_cost
from kmc_oxy.execution.progress import Progress
from kmc_oxy.execution.shared_progress import N_SUMS, SharedProgressCounter
from kmc_oxy.execution.task_order import TaskOrder
from kmc_oxy.execution.task_run import RunSession, run_task
from kmc_oxy.execution.tasks import Plan
from kmc_oxy.process import Interrupted, StopRequest, one_thread_a_process
from kmc_oxy.storage import TaskArchiver, WorkFolder, max_single_files

#: Seconds between two looks at the workers and at stop requests.
POLL_INTERVAL_S = 0.1
#: Seconds after a failure within which every worker must end; then it is killed.
KILL_TIMEOUT_S = 5.0


class WorkerError(Exception):
    """A worker ended before its tasks; the message is for the user."""


def run_in_pool(
    plan: Plan,
    work: WorkFolder,
    processes: int,
    *,
    stop: Callable[[], bool] = lambda: False,
    report_progress: Callable[[Progress], None] = lambda progress: None,
) -> None:
    """Run every task that is not finished.

    Parameters
    ----------
    plan : Plan
    work : WorkFolder
        Locked, begun or resumed for this plan.
    processes : int
        Largest number of workers.
    stop : callable
        Returns whether to stop; called several times a second.
    report_progress : callable
        Called with the `Progress` of all workers.

    Raises
    ------
    Interrupted
        If `stop` returned True or a worker was asked to stop; finished tasks and a checkpoint of
        each other one are on disk.
    WorkerError
        If a worker was killed. Nothing finished is lost.
    Exception
        The first one of a worker.
    """
    finished, started = work.finished(), work.started()
    costs = [relative_cost(plan, point) for point in range(plan.n_points)]
    tasks = TaskOrder(plan, costs, finished, started)
    workers = min(processes, tasks.unfinished)
    shared = _Shared(multiprocessing.get_context("spawn"), workers)
    counter = SharedProgressCounter(shared, plan, tasks, costs, report_progress)
    if workers:
        assignment = _Assignment(
            plan, work.output, work.manifest().seed, frozenset(finished), frozenset(started), costs
        )
        archiver = TaskArchiver(work.archive, max_single_files(plan.n_tasks, workers))
        archiver.add(*work.unarchived())
        _Pool(assignment, shared, workers).run(stop, counter.report_if_due)
    counter.report_end()


class _Shared:
    """Numbers shared by all processes of a pool.

    Parameters
    ----------
    context : SpawnContext
    workers : int
    """

    def __init__(self, context: SpawnContext, workers: int) -> None:
        self.context = context
        self._position = context.Value("q", 0)
        # No locks: a worker that is killed would keep them. Each has its own row of sums.
        self._stop = context.RawValue("i", 0)
        self._rows = context.RawArray("d", workers * N_SUMS)
        self._row = 0

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if key != "context"}

    def of_worker(self, row: int) -> _Shared:
        """The numbers as a worker uses them, which adds to its own row."""
        self._row = row
        return self

    def next_position(self) -> int:
        """0, 1, 2, ... over all workers."""
        with self._position.get_lock():
            position = int(self._position.value)
            self._position.value += 1
        return position

    def request_stop(self, signal_number: int) -> None:
        """Ask all workers to stop; -1 after a failure."""
        self._stop.value = self._stop.value or signal_number

    def stop_signal(self) -> int:
        """The signal of the stop request; 0 if there is none."""
        return int(self._stop.value)

    def add_to_sums(self, values: NDArray[np.float64]) -> None:
        """Add to the sums of this worker, shape (N_SUMS,)."""
        self._table()[self._row] += values

    def sums(self) -> NDArray[np.float64]:
        """Return the present sums over all workers, shape (N_SUMS,)."""
        found: NDArray[np.float64] = self._table().sum(axis=0)
        return found

    def _table(self) -> NDArray[np.float64]:
        return np.frombuffer(self._rows, dtype=np.float64).reshape(-1, N_SUMS)


@dataclass(frozen=True)
class _Assignment:
    """What every worker is told."""

    plan: Plan
    output: Path
    seed: int
    finished: frozenset[int]
    started: frozenset[int]
    costs: Sequence[float]


class _Pool:
    """The workers, from their start to their end.

    Parameters
    ----------
    assignment : _Assignment
    shared : _Shared
    workers : int
    """

    def __init__(self, assignment: _Assignment, shared: _Shared, workers: int) -> None:
        self._shared = shared
        self._workers: list[tuple[SpawnProcess, Connection]] = []
        one_thread_a_process(os.environ)
        for number in range(workers):
            receiver, sender = shared.context.Pipe(duplex=False)
            process = shared.context.Process(
                target=_work,
                args=(assignment, shared, number, workers, os.getpid(), sender),
                name=f"worker {number + 1} of {workers}",
                daemon=True,
            )
            # Blocked until the worker has its handlers; in the first process they come later.
            signal.pthread_sigmask(signal.SIG_BLOCK, StopRequest.SIGNALS)
            try:
                process.start()
            finally:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, StopRequest.SIGNALS)
            # Only the worker holds its end, so that its death is seen.
            sender.close()
            self._workers.append((process, receiver))

    def run(self, stop: Callable[[], bool], on_wait: Callable[[], None]) -> None:
        """Wait until all workers have ended; raises what ended them early."""
        error: Exception | None = None
        deadline_s = float("inf")
        running = dict(self._workers)
        try:
            while running:
                wait([process.sentinel for process in running], timeout=POLL_INTERVAL_S)
                for process in [process for process in running if not process.is_alive()]:
                    found = _end_of(process, running.pop(process))
                    if found is not None and error is None:
                        error, deadline_s = found, time.monotonic() + KILL_TIMEOUT_S
                        self._shared.request_stop(-1)
                if stop():
                    self._shared.request_stop(signal.SIGTERM)
                if time.monotonic() > deadline_s:
                    break
                on_wait()
        finally:
            for process in running:
                process.kill()
                process.join()
        if error is not None:
            raise error
        number = self._shared.stop_signal()
        if number:
            raise Interrupted(f"stopped by {signal.Signals(number).name}")


def _end_of(process: SpawnProcess, receiver: Connection) -> Exception | None:
    """What ended a worker early; None if it did all that it was asked to do."""
    process.join()
    with contextlib.suppress(EOFError), receiver:
        # Closed without a word by a worker that was killed.
        found: Exception | None = receiver.recv()
        return found
    code = process.exitcode or 0
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
    return WorkerError(
        f"{process.name} (process {process.pid}) {how}: no finished task is lost; run the same "
        "line again, with fewer processes (-j) if the memory was not enough"
    )


def _work(
    assignment: _Assignment,
    shared: _Shared,
    number: int,
    workers: int,
    parent: int,
    sender: Connection,
) -> None:
    """Take tasks and run them until none is left, in a worker."""
    error: Exception | None = None
    try:
        with StopRequest().active() as stop:
            # SIGINT stays blocked: a terminal sends it to all, and the first process passes it on.
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGUSR1})
            _run_tasks(
                assignment,
                shared.of_worker(number),
                partial(_must_stop, shared, stop, parent),
                max_single_files(assignment.plan.n_tasks, workers),
            )
    except Interrupted:
        pass
    except Exception as found:
        error = found
    with contextlib.suppress(BrokenPipeError):
        sender.send(error)


def _must_stop(shared: _Shared, stop: StopRequest, parent: int) -> bool:
    if stop.received is not None:
        shared.request_stop(int(stop.received))
    # Without the first process nobody assembles the output, or hears of a signal.
    return shared.stop_signal() != 0 or os.getppid() != parent


def _run_tasks(
    assignment: _Assignment, shared: _Shared, stop: Callable[[], bool], limit: int
) -> None:
    plan = assignment.plan
    work = WorkFolder(assignment.output)
    work.join()
    try:
        session = RunSession(plan, work, assignment.seed, stop)
        tasks = TaskOrder(plan, assignment.costs, assignment.finished, assignment.started)
        counter = SharedProgressCounter(shared, plan, tasks, assignment.costs, None)
        archiver = TaskArchiver(work.archive, limit)
        while not stop() and (position := shared.next_position()) < tasks.positions:
            task = tasks.task_at(position)
            if task is None:
                continue
            counter.begin_task(task)
            run_task(session, task, on_progress=counter.update)
            counter.finish_task(is_root=True)
            archiver.add(task.index)
    finally:
        work.release()
