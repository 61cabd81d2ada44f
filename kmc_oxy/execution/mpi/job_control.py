"""The ranks of a job, which go through the same phases and end together."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import Any, TypeVar

from kmc_oxy.execution.mpi.shared_counters import Board
from kmc_oxy.process import Interrupted, StopRequest

#: Seconds between two looks at whether another rank wants to stop.
LISTEN_S = 0.1
#: Longest and shortest sleep between two looks of a rank that waits for others.
WAIT_S = 0.02
SHORTEST_WAIT_S = 2e-5
#: How long the others may take to keep what they have after a rank has failed.
GRACE_S = 5.0

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
        self.wait(self.world.Ibarrier().Test, idle)
        codes, interruptions = zip(*self.world.allgather((code, interrupted)), strict=True)
        if any(codes):
            raise Ended(max(codes))
        if any(interruptions):
            reason = self.board.heard()[0] or signal.SIGTERM
            stopped = Interrupted(f"stopped by {signal.Signals(reason).name}")
            code = self._complain(stopped) if self.world.rank == 0 else 0
            raise Ended(self.world.bcast(code))
        return result

    def wait(self, done: Callable[[], bool], idle: Callable[[], None]) -> None:
        """Wait for other ranks; signals are heard, and the core is left to others.

        Parameters
        ----------
        done : callable
            Whether the wait is over.
        idle : callable
            Called now and then.
        """
        began = time.monotonic()
        while not done():
            self.stop()
            idle()
            now = time.monotonic()
            if self._failed_s is not None and now > self._failed_s + GRACE_S:
                self.world.Abort(1)
            # What takes long may be noticed late; what is short must not.
            time.sleep(min(WAIT_S, max(SHORTEST_WAIT_S, (now - began) / 10)))
