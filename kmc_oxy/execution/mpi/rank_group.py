"""Communication between the ranks that run the cells of one array together.

All waits are non-blocking: a rank that waits keeps checking for stop requests and for failures of
the others. A rank that fails takes part in no further reduction. The others then stop waiting, and
`RankGroup.close` completes the pending operations before MPI ends.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from mpi4py import MPI

from kmc_oxy.execution.mpi.job_control import POLL_INTERVAL_S, JobControl
from kmc_oxy.execution.mpi.shared_counters import SharedCounters
from kmc_oxy.process import Interrupted
from kmc_oxy.simulation import Array

#: Message tags: a value for a rank from the root, a cell that moves, values for the root.
TAG_SCATTER, TAG_CELL, TAG_GATHER = range(3)


class RankGroup:
    """The ranks that run one task together; rank 0 of the group is its root.

    Creating and closing it is collective over the group.

    Parameters
    ----------
    job : JobControl
        All ranks of the job.
    comm : mpi4py.MPI.Intracomm
        The ranks of the group.
    on_wait : callable
        Called from time to time while waiting.

    Attributes
    ----------
    rank, size : int
        Of this process in the group.
    reductions : int
        Number of reductions that this rank has begun.
    """

    def __init__(self, job: JobControl, comm: MPI.Intracomm, on_wait: Callable[[], None]) -> None:
        self._job = job
        self._comm = comm
        self._on_wait = on_wait
        # Counts the ranks that have arrived at a reduction, and the failures in the group.
        self._counters = SharedCounters(comm, 0)
        self.rank, self.size = comm.rank, comm.size
        self.reductions = 0
        # Request, send buffer and receive buffer: the buffers must live as long as the request.
        self._pending: tuple[MPI.Request, Array, Array] | None = None
        self._sends: list[MPI.Request] = []
        self._next_poll_s = 0.0

    def announce_failure(self) -> None:
        """Tell the others that this rank will take part in no further reduction."""
        self._counters.add_failure()

    def others_waiting(self) -> bool:
        """Whether another rank has arrived at the next reduction of this one."""
        return self._counters.counter() > self.reductions * self.size

    def wait_until(self, done: Callable[[], bool]) -> None:
        """Wait for other ranks of the group.

        Parameters
        ----------
        done : callable
            Whether the wait is over.

        Raises
        ------
        Interrupted
            If another rank of the group has failed.
        """
        self._job.wait_until(done, self._poll)

    def _poll(self) -> None:
        self._on_wait()
        now_s = time.monotonic()
        if now_s >= self._next_poll_s:
            self._next_poll_s = now_s + POLL_INTERVAL_S
            if self._counters.stop_signal_and_failures()[1]:
                raise Interrupted

    def allreduce_sum(self, values: Array) -> Array:
        """Sum arrays over all ranks of the group. Collective.

        Parameters
        ----------
        values : ndarray

        Returns
        -------
        ndarray
            The same on all ranks.

        Raises
        ------
        Interrupted
            If another rank of the group has failed.
        """
        self._counters.fetch_and_increment()
        request, total = self._begin_sum(values)
        self.wait_until(request.Test)
        self._pending = None
        return total

    def _begin_sum(self, values: Array) -> tuple[MPI.Request, Array]:
        self.reductions += 1
        total = np.empty_like(values)
        request = self._comm.Iallreduce(values, total)
        self._pending = (request, values, total)
        return request, total

    def send(self, value: object, rank: int, tag: int) -> None:
        """Begin to send a value; `wait_for_sends` completes it.

        Parameters
        ----------
        value : object
            Anything that can be pickled.
        rank : int
            Destination.
        tag : int
            Message tag.
        """
        self._sends.append(self._comm.issend(value, rank, tag))

    def wait_for_sends(self) -> None:
        """Wait until everything sent has been received.

        Raises
        ------
        Interrupted
            If another rank of the group has failed.
        """
        self.wait_until(self._all_received)
        self._sends = []

    def _all_received(self) -> bool:
        return all([request.Test() for request in self._sends])

    def receive(self, tag: int) -> Any:
        """Wait for a message from any rank.

        Parameters
        ----------
        tag : int
            Message tag.

        Returns
        -------
        object
            The value sent.

        Raises
        ------
        Interrupted
            If another rank of the group has failed.
        """
        received: list[Any] = []

        def has_arrived() -> bool:
            message = self._comm.improbe(MPI.ANY_SOURCE, tag)
            if message is not None:
                received.append(message.recv())
            return bool(received)

        self.wait_until(has_arrived)
        return received[0]

    def scatter(self, values: Callable[[], list[Any]]) -> Any:
        """Send a value from the root to each rank. Collective.

        Parameters
        ----------
        values : callable
            Called on the root only; returns the values in the order of the ranks.

        Returns
        -------
        object
            The value for this rank.

        Raises
        ------
        Interrupted
            If another rank of the group has failed.
        """
        if self.rank > 0:
            return self.receive(TAG_SCATTER)
        own, *others = values()
        for rank, value in enumerate(others, start=1):
            self.send(value, rank, TAG_SCATTER)
        self.wait_for_sends()
        return own

    def close(self, reductions: int, length: int) -> None:
        """Complete pending communication after an early end, and free the communicator. Collective.

        No rank of the group may be waiting any more.

        Parameters
        ----------
        reductions : int
            Largest number of reductions that a rank has begun.
        length : int
            Number of values summed in the last of them.
        """
        if self.reductions < reductions:
            self._begin_sum(np.zeros(length))
        if self._pending is not None:
            self._pending[0].Wait()
        # Receive the messages that no rank waits for any more, until no rank has one to send.
        barrier = None
        while barrier is None or not barrier.Test():
            message = self._comm.improbe()
            if message is not None:
                message.recv()
            elif barrier is None and self._all_received():
                barrier = self._comm.Ibarrier()
        self._counters.close()
        self._comm.Free()

    @property
    def pending_length(self) -> int:
        """Number of values of the reduction that is not complete; 0 if there is none."""
        return 0 if self._pending is None else len(self._pending[1])
