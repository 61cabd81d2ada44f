"""Control of an MPI job: phases that all ranks complete together, stop requests and failures."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import TypeVar

from mpi4py import MPI

from kmc_oxy.execution.mpi.shared_counters import SharedCounters
from kmc_oxy.process import Interrupted, StopRequest

#: Seconds between two checks for stop requests and failures of other ranks.
POLL_INTERVAL_S = 0.1
#: Longest and shortest sleep between two checks of a rank that waits for others.
LONGEST_SLEEP_S = 0.02
SHORTEST_SLEEP_S = 2e-5
#: Seconds after a failure within which every rank must end; then the job is aborted.
ABORT_TIMEOUT_S = 5.0

Result = TypeVar("Result")
#: Prints an error for the user and returns the exit code.
ErrorReporter = Callable[[Exception], int]


class JobTerminated(Exception):
    """The job has ended early on all ranks, and the reason has been printed.

    Attributes
    ----------
    exit_code : int
        The same on every rank.
    """

    def __init__(self, exit_code: int) -> None:
        self.exit_code = exit_code
        super().__init__(f"ended with exit code {exit_code}")


class JobControl:
    """Takes all ranks of a job through the same phases, and ends them together after a failure.

    Parameters
    ----------
    world : mpi4py.MPI.Intracomm
        All ranks.
    counters : SharedCounters
        Of all ranks.
    local_stop : StopRequest
        Signals received by this rank; they stop every rank.
    report_error : callable
        Prints an error for the user and returns the exit code. Called on one rank only.
    """

    def __init__(
        self,
        world: MPI.Intracomm,
        counters: SharedCounters,
        local_stop: StopRequest,
        report_error: ErrorReporter,
    ) -> None:
        self.world = world
        self.counters = counters
        self._local_stop = local_stop
        self._report_error = report_error
        self._stop_signal = 0
        self._forwarded = False
        self._failure_s: float | None = None
        self._next_poll_s = 0.0

    def stop_requested(self) -> bool:
        """Whether to stop, because a rank received a signal or failed."""
        received = self._local_stop.received
        if received is not None and not self._forwarded:
            self.counters.request_stop(int(received))
            self._forwarded = True
            self._next_poll_s = 0.0
        now_s = time.monotonic()
        if now_s >= self._next_poll_s:
            self._next_poll_s = now_s + POLL_INTERVAL_S
            self._stop_signal, failures = self.counters.stop_signal_and_failures()
            if failures and self._failure_s is None:
                self._failure_s = now_s
        return self._stop_signal > 0 or self._failure_s is not None

    def run_phase(
        self,
        action: Callable[[], Result] | None,
        on_wait: Callable[[], None] = lambda: None,
    ) -> Result | None:
        """Call an action, and return when every rank has returned from its own. Collective.

        Parameters
        ----------
        action : callable or None
            What this rank does in the phase, without collective calls over all ranks; None if
            nothing.
        on_wait : callable
            Called from time to time while waiting for other ranks.

        Returns
        -------
        object
            What the action returned; None without an action.

        Raises
        ------
        JobTerminated
            On every rank, if the action failed or was interrupted on any rank.
        """
        result, interrupted, code = None, False, 0
        try:
            if action is not None:
                result = action()
        except Interrupted:
            interrupted = self.stop_requested()
        except Exception as error:
            # Only the first failure is printed: later ones may be consequences of it.
            if self.counters.add_failure() == 0:
                code = self._report_error(error)
        self.wait_until(self.world.Ibarrier().Test, on_wait)
        codes, interruptions = zip(*self.world.allgather((code, interrupted)), strict=True)
        if any(codes):
            raise JobTerminated(max(codes))
        if any(interruptions):
            number = self.counters.stop_signal_and_failures()[0] or signal.SIGTERM
            stopped = Interrupted(f"stopped by {signal.Signals(number).name}")
            code = self._report_error(stopped) if self.world.rank == 0 else 0
            raise JobTerminated(self.world.bcast(code))
        return result

    def wait_until(self, done: Callable[[], bool], on_wait: Callable[[], None]) -> None:
        """Wait for other ranks without occupying the core, and keep checking for stop requests.

        Aborts the job if it takes longer than `ABORT_TIMEOUT_S` after a failure.

        Parameters
        ----------
        done : callable
            Whether the wait is over.
        on_wait : callable
            Called from time to time.
        """
        began_s = time.monotonic()
        while not done():
            self.stop_requested()
            on_wait()
            now_s = time.monotonic()
            if self._failure_s is not None and now_s > self._failure_s + ABORT_TIMEOUT_S:
                self.world.Abort(1)
            # The sleep grows with the wait, so the delay is about a tenth of it.
            time.sleep(min(LONGEST_SLEEP_S, max(SHORTEST_SLEEP_S, (now_s - began_s) / 10)))
