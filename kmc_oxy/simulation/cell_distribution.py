"""Which process runs which cells of an array, and what the processes exchange.

Between two synchronisation points every cell runs through its steps without the others
(`execution_plan`). At a synchronisation point the processes agree on what to do next, exchange
conductances and may move cells. The class here is for one process that runs all cells;
`kmc_oxy.execution.mpi` has the one for several.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: A cell is moved only if that lowers the largest load by more than this fraction of the mean.
MIN_LOAD_REDUCTION = 0.05


class Pause(IntEnum):
    """What a process requests between two kernel calls; the largest request applies to all."""

    NO = 0
    SAVE = 1
    STOP = 2


class CellMove(NamedTuple):
    """A cell that another process takes over.

    Parameters
    ----------
    cell : int
    source, target : int
        The processes that run it before and after the move.
    """

    cell: int
    source: int
    target: int


@dataclass(frozen=True, eq=False)
class SyncResult:
    """What all processes know after a synchronisation point.

    Parameters
    ----------
    pause : Pause
        What all processes do next.
    steps_left : int
        Steps left to the end of the segment, all cells together.
    conductance_S : ndarray, shape (cells,)
        Conductances as measured last (S).
    moves : tuple of CellMove
        Cells to be moved now.
    """

    pause: Pause
    steps_left: int
    conductance_S: Array
    moves: tuple[CellMove, ...] = ()


class CellDistribution:
    """One process that runs all cells; base class for several processes.

    Parameters
    ----------
    cells : int
        Number of cells of the array.

    Attributes
    ----------
    cells : int
    is_root : bool
        Whether this process reads and writes the files.
    is_shared : bool
        Whether other processes run cells too.
    """

    is_root = True
    is_shared = False

    def __init__(self, cells: int) -> None:
        self.cells = cells

    def owns(self, cell: int) -> bool:
        """Whether this process runs a cell.

        Parameters
        ----------
        cell : int

        Returns
        -------
        bool
        """
        return True

    def scatter(
        self, load: Callable[[], Any], select: Callable[[Any, Callable[[int], bool]], Any]
    ) -> Any:
        """Load a state on the root process and give each process what its cells need.

        Parameters
        ----------
        load : callable
            Called on the root process. It may return None, which all processes then get.
        select : callable
            Called on the root process with what was loaded and with the function `owns` of a
            process; returns the part for that process.

        Returns
        -------
        object
            What `load` returned (one process), or what `select` returned for this process.
        """
        return load()

    def record_build_time(self, cell: int, cpu_s: float) -> None:
        """Record the processor time (s) of building a cell.

        Parameters
        ----------
        cell : int
        cpu_s : float
        """

    def record_step_time(self, cell: int, cpu_s: float) -> None:
        """Record the processor time (s) of a kernel call or a reading of a cell.

        Parameters
        ----------
        cell : int
        cpu_s : float
        """

    def should_rebalance(self, steps: int, steps_left: Callable[[], Mapping[int, int]]) -> bool:
        """Whether an idle process could take over cells of this one before their segment ends.

        Parameters
        ----------
        steps : int
            Number of steps of the segment.
        steps_left : callable
            Returns the number of steps left of each cell of this process.

        Returns
        -------
        bool
        """
        return False

    def synchronize(
        self,
        pause: Pause,
        steps: int,
        steps_left: Mapping[int, int],
        conductance_S: Mapping[int, float],
    ) -> SyncResult:
        """Exchange requests, progress and conductances with all processes. Collective.

        Parameters
        ----------
        pause : Pause
            What this process requests.
        steps : int
            Number of steps of the segment.
        steps_left : mapping of int to int
            Steps left of each cell of this process.
        conductance_S : mapping of int to float
            Conductance (S) of each cell of this process.

        Returns
        -------
        SyncResult
            The same on all processes.
        """
        return SyncResult(pause, sum(steps_left.values()), np.array(list(conductance_S.values())))

    def move_cells(
        self,
        moves: Sequence[CellMove],
        remove: Callable[[int], Any],
        insert: Callable[[int, Any], None],
    ) -> None:
        """Move cells between processes. Collective.

        Parameters
        ----------
        moves : sequence of CellMove
            As in the last `SyncResult`.
        remove : callable
            Removes a cell from this process and returns its state.
        insert : callable
            Inserts a cell with its state into this process.
        """

    def gather(self, local: Callable[[], dict[int, Any]]) -> dict[int, Any]:
        """Gather values of cells on the root process. Collective.

        Parameters
        ----------
        local : callable
            Returns the values of the cells of this process; not called on the root process.

        Returns
        -------
        dict of int
            Values of the cells of all other processes; empty except on the root process.
        """
        return {}


def balancing_moves(
    owner: NDArray[np.intp], load_s: Array, processes: int, move_s: float
) -> list[CellMove]:
    """Find moves of cells that even out the loads of the processes.

    Greedy: from the process with the largest load to that with the smallest, the cell whose load is
    nearest to half the difference.

    Parameters
    ----------
    owner : ndarray of int, shape (cells,)
        Process that runs each cell.
    load_s : ndarray, shape (cells,)
        Processor time of each cell (s).
    processes : int
    move_s : float
        Processor time of moving a cell (s).

    Returns
    -------
    list of CellMove
        Each lowers the load of the process with the largest by more than `move_s` and by more than
        `MIN_LOAD_REDUCTION` of the mean load.
    """
    new_owner = owner.copy()
    load = np.bincount(owner, load_s, processes)
    least_gain_s = max(move_s, MIN_LOAD_REDUCTION * load.mean())
    while True:
        high, low = int(load.argmax()), int(load.argmin())
        gap_s = load[high] - load[low]
        candidates = np.flatnonzero(
            (new_owner == high) & (load_s > least_gain_s) & (gap_s - load_s > least_gain_s)
        )
        if not candidates.size:
            break
        cell = int(candidates[np.abs(load_s[candidates] - gap_s / 2).argmin()])
        new_owner[cell] = low
        load[high] -= load_s[cell]
        load[low] += load_s[cell]
    return [
        CellMove(int(cell), int(owner[cell]), int(new_owner[cell]))
        for cell in np.flatnonzero(new_owner != owner)
    ]
