"""Numbers shared by all ranks of an MPI communicator, accessed by one-sided communication.

They are stored in a window on rank 0. Rank 0 computes like every other rank and answers no
messages.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

#: Offsets of the integers in the window, in units of 8 bytes; the sums follow.
COUNTER, STOP_SIGNAL, FAILURES = range(3)
N_INTEGERS = 3


class SharedCounters:
    """A counter, a stop request, a number of failures, and sums over ranks.

    Creating and closing it is collective. Every other method can be called by any rank at any
    time.

    Parameters
    ----------
    comm : mpi4py.MPI.Intracomm
    sums : int
        Number of sums.
    """

    def __init__(self, comm: MPI.Intracomm, sums: int) -> None:
        self._n_sums = sums
        n_bytes = 8 * (N_INTEGERS + sums) if comm.rank == 0 else 0
        self._window = MPI.Win.Allocate(n_bytes, 8, comm=comm)
        self._window.Lock_all()
        if comm.rank == 0:
            self._window.tomemory()[:] = bytes(n_bytes)
            self._window.Sync()
        comm.Barrier()

    def close(self) -> None:
        """Free the window. Collective."""
        self._window.Unlock_all()
        self._window.Free()

    def fetch_and_increment(self) -> int:
        """Increment the counter.

        Returns
        -------
        int
            Its value before: 0, 1, 2, ... over all ranks.
        """
        return self._fetch_and_add_one(COUNTER)

    def counter(self) -> int:
        """Return the value of the counter."""
        return int(self._read(COUNTER, 1, np.dtype(np.int64), MPI.INT64_T)[0])

    def add_failure(self) -> int:
        """Increment the number of failures.

        Returns
        -------
        int
            Its value before: 0 for the first failure.
        """
        return self._fetch_and_add_one(FAILURES)

    def request_stop(self, signal_number: int) -> None:
        """Ask all ranks to stop.

        Parameters
        ----------
        signal_number : int
            The signal received; positive. Of several requests the largest number is kept.
        """
        value = np.array([signal_number], dtype=np.int64)
        datatype = MPI.INT64_T
        self._window.Accumulate((value, datatype), 0, (STOP_SIGNAL, 1, datatype), MPI.MAX)
        self._window.Flush(0)

    def stop_signal_and_failures(self) -> tuple[int, int]:
        """Return the signal of the stop request (0 if there is none) and the number of failures."""
        signal_number, failures = self._read(STOP_SIGNAL, 2, np.dtype(np.int64), MPI.INT64_T)
        return int(signal_number), int(failures)

    def add_to_sums(self, values: NDArray[np.float64]) -> None:
        """Add to the sums.

        Parameters
        ----------
        values : ndarray, shape (sums,)
        """
        target = (N_INTEGERS, self._n_sums, MPI.DOUBLE)
        self._window.Accumulate(values, 0, target, MPI.SUM)
        self._window.Flush(0)

    def sums(self) -> NDArray[np.float64]:
        """Return the present sums, shape (sums,)."""
        return self._read(N_INTEGERS, self._n_sums, np.dtype(np.float64), MPI.DOUBLE)

    def _fetch_and_add_one(self, offset: int) -> int:
        before, datatype = np.zeros(1, dtype=np.int64), MPI.INT64_T
        one = np.ones_like(before)
        self._window.Fetch_and_op((one, datatype), (before, datatype), 0, offset, MPI.SUM)
        self._window.Flush(0)
        return int(before[0])

    def _read(
        self, offset: int, count: int, dtype: np.dtype[Any], datatype: MPI.Datatype
    ) -> NDArray[Any]:
        result = np.zeros(count, dtype=dtype)
        self._window.Get_accumulate(
            (np.zeros_like(result), datatype),
            (result, datatype),
            0,
            (offset, count, datatype),
            MPI.NO_OP,
        )
        self._window.Flush(0)
        return result
