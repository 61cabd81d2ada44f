"""Numbers that all ranks of an MPI job share, by one-sided communication.

They lie in a window of rank 0, which computes like every other rank: nobody serves anybody.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Places of the integers in the window, in units of 8 bytes; the sums follow.
NEXT, STOP, FAILURES = range(3)
INTEGERS = 3


class Board:
    """A counter, a request to stop, a count of failures, and sums over ranks.

    Creating and closing it is collective; everything else is called by a rank when it likes.

    Parameters
    ----------
    world : mpi4py.MPI.Comm
    sums : int
        How many sums.
    """

    def __init__(self, world: Any, sums: int) -> None:
        from mpi4py import MPI

        self._mpi = MPI
        self._n_sums = sums
        bytes_there = 8 * (INTEGERS + sums) if world.rank == 0 else 0
        self._window = MPI.Win.Allocate(bytes_there, 8, comm=world)
        self._window.Lock_all()
        if world.rank == 0:
            self._window.tomemory()[:] = bytes(bytes_there)
            self._window.Sync()
        world.Barrier()

    def close(self) -> None:
        """Free the window."""
        self._window.Unlock_all()
        self._window.Free()

    def claim(self) -> int:
        """The next number: 0, 1, 2, ... over all ranks."""
        return self._count(NEXT)

    def claimed(self) -> int:
        """How many numbers have been claimed."""
        return int(self._read(NEXT, 1, np.dtype(np.int64), self._mpi.INT64_T)[0])

    def fail(self) -> int:
        """Announce a failure; 0 for the first one of the job."""
        return self._count(FAILURES)

    def ask_to_stop(self, reason: int) -> None:
        """Ask all ranks to stop, for a reason that is a positive number; the largest stands."""
        value = np.array([reason], dtype=np.int64)
        kind = self._mpi.INT64_T
        self._window.Accumulate((value, kind), 0, (STOP, 1, kind), self._mpi.MAX)
        self._window.Flush(0)

    def heard(self) -> tuple[int, int]:
        """The reason to stop, 0 if there is none, and the number of failures."""
        stop, failures = self._read(STOP, 2, np.dtype(np.int64), self._mpi.INT64_T)
        return int(stop), int(failures)

    def add(self, values: NDArray[np.float64]) -> None:
        """Add to the sums, shape (sums,)."""
        place = (INTEGERS, self._n_sums, self._mpi.DOUBLE)
        self._window.Accumulate(values, 0, place, self._mpi.SUM)
        self._window.Flush(0)

    def sums(self) -> NDArray[np.float64]:
        """The sums as they are now, shape (sums,)."""
        return self._read(INTEGERS, self._n_sums, np.dtype(np.float64), self._mpi.DOUBLE)

    def _count(self, place: int) -> int:
        before, kind = np.zeros(1, dtype=np.int64), self._mpi.INT64_T
        one = np.ones_like(before)
        self._window.Fetch_and_op((one, kind), (before, kind), 0, place, self._mpi.SUM)
        self._window.Flush(0)
        return int(before[0])

    def _read(self, place: int, count: int, dtype: np.dtype[Any], kind: Any) -> NDArray[Any]:
        found = np.zeros(count, dtype=dtype)
        self._window.Get_accumulate(
            (np.zeros_like(found), kind), (found, kind), 0, (place, count, kind), self._mpi.NO_OP
        )
        self._window.Flush(0)
        return found
