"""The cells of one array distributed over the ranks of a group, with dynamic load balancing.

At each synchronisation point one non-blocking sum over the group carries requests to stop or save,
steps left, costs and conductances. Every term but one is zero, so the sums are exact, and all ranks
draw the same conclusions from them. Cells move between ranks, and to the root for a checkpoint, as
messages.

- A rank at the end of its segment waits at the synchronisation point. A rank with several cells
  left polls a shared counter for waiting ranks, synchronises early and gives cells away.
- After each segment the costs of the cells so far decide whether moving some is worth it.

Which rank runs a cell does not change the results: the state of a cell contains everything that
determines its future.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kmc_oxy.execution.mpi.rank_group import TAG_CELL, TAG_GATHER, RankGroup
from kmc_oxy.simulation import (
    Array,
    CellDistribution,
    CellMove,
    Pause,
    SyncResult,
    balancing_moves,
)

#: Seconds between two checks for waiting ranks.
POLL_WAITING_S = 0.01
#: Seconds without such checks after a synchronisation that moved no cell.
REBALANCE_PAUSE_S = 0.5
#: Costs are halved when they exceed this many seconds per rank, so that recent ones count most.
COST_MEMORY_S = 1.0


class DistributedCells(CellDistribution):
    """The cells of one array that this rank of a group runs.

    Parameters
    ----------
    group : RankGroup
    cells : int
        Number of cells of the array; not less than the number of ranks.
    """

    is_shared = True

    def __init__(self, group: RankGroup, cells: int) -> None:
        super().__init__(cells)
        self._group = group
        self.is_root = group.rank == 0
        self._owner: NDArray[np.intp] = np.arange(cells) * group.size // cells
        # Costs of this rank's cells since the last synchronisation.
        self._step_s = np.zeros(cells)
        self._build_s = np.zeros(cells)
        # Costs of all cells, in the present segment and recently; the same on every rank.
        self._segment_s = np.zeros(cells)
        self._recent_s = np.zeros(cells)
        self._total_build_s = 0.0
        self._builds = 0
        self._next_poll_s = 0.0

    def owns(self, cell: int) -> bool:
        """Whether this rank runs a cell."""
        return self._is_owned_by(self._group.rank, cell)

    def _is_owned_by(self, rank: int, cell: int) -> bool:
        return bool(self._owner[cell] == rank)

    def scatter(
        self, load: Callable[[], Any], select: Callable[[Any, Callable[[int], bool]], Any]
    ) -> Any:
        """Load a state on the root rank and send each rank what its cells need."""

        def parts() -> list[Any]:
            whole, ranks = load(), range(self._group.size)
            if whole is None:
                return [None for _ in ranks]
            return [select(whole, partial(self._is_owned_by, rank)) for rank in ranks]

        return self._group.scatter(parts)

    def record_build_time(self, cell: int, cpu_s: float) -> None:
        """Record the processor time (s) of building a cell."""
        self._build_s[cell] += cpu_s

    def record_step_time(self, cell: int, cpu_s: float) -> None:
        """Record the processor time (s) of a kernel call or a reading of a cell."""
        self._step_s[cell] += cpu_s

    def should_rebalance(self, steps: int, steps_left: Callable[[], Mapping[int, int]]) -> bool:
        """Whether a rank waits that could take over cells of this one."""
        now_s = time.monotonic()
        if now_s < self._next_poll_s:
            return False
        waiting = self._group.others_waiting()
        # With some MPI libraries a poll is slow, because it completes only while the root is in
        # an MPI call. Then poll less often.
        took_s = time.monotonic() - now_s
        self._next_poll_s = now_s + max(POLL_WAITING_S, 20 * took_s)
        if not waiting:
            return False
        left = steps_left()
        # Estimate for two ranks: this one and an idle one.
        own = list(left)
        spent_s = (self._segment_s + self._step_s)[own]
        remaining_s = _remaining_s(steps, np.array(list(left.values()), dtype=float), spent_s)
        return bool(self._moves(remaining_s, np.zeros(len(own), dtype=np.intp), 2))

    def synchronize(
        self,
        pause: Pause,
        steps: int,
        steps_left: Mapping[int, int],
        conductance_S: Mapping[int, float],
    ) -> SyncResult:
        """Exchange requests, progress and conductances with all ranks of the group. Collective."""
        total = self._group.allreduce_sum(
            np.concatenate(
                [
                    [pause == Pause.STOP, pause == Pause.SAVE],
                    self._build_s,
                    self._of_all_cells(steps_left),
                    self._step_s,
                    self._of_all_cells(conductance_S),
                ]
            )
        )
        self._step_s[:] = 0.0
        self._build_s[:] = 0.0
        stop, save = total[:2]
        build_s, left, step_s, all_conductance_S = total[2:].reshape(4, self.cells)
        self._total_build_s += build_s.sum()
        self._builds += int(np.count_nonzero(build_s))
        self._segment_s += step_s
        moves = [] if stop else self._moves_after(steps, left)
        for cell, _, rank in moves:
            self._owner[cell] = rank
        return SyncResult(
            Pause.STOP if stop else Pause.SAVE if save else Pause.NO,
            int(left.sum()),
            all_conductance_S,
            tuple(moves),
        )

    def _moves_after(self, steps: int, left: Array) -> list[CellMove]:
        """Moves after a synchronisation, in the middle or at the end of a segment."""
        if left.any():
            remaining_s = _remaining_s(steps, left, self._segment_s)
            moves = self._moves(remaining_s, self._owner, self._group.size)
            self._next_poll_s = time.monotonic() + (0.0 if moves else REBALANCE_PAUSE_S)
            return moves
        self._recent_s += self._segment_s
        self._segment_s[:] = 0.0
        moves = self._moves(self._recent_s, self._owner, self._group.size)
        if moves:
            self._recent_s[:] = 0.0
        elif self._recent_s.sum() > COST_MEMORY_S * self._group.size:
            self._recent_s /= 2
        return moves

    def _moves(self, load_s: Array, owner: NDArray[np.intp], ranks: int) -> list[CellMove]:
        # Moving a cell costs about as much as building it.
        move_s = self._total_build_s / self._builds if self._builds else 0.0
        return balancing_moves(owner, load_s, ranks, move_s)

    def _of_all_cells(self, values: Mapping[int, float]) -> Array:
        """Values of this rank's cells, zero for all other cells."""
        everywhere = np.zeros(self.cells)
        everywhere[list(values)] = list(values.values())
        return everywhere

    def move_cells(
        self,
        moves: Sequence[CellMove],
        remove: Callable[[int], Any],
        insert: Callable[[int, Any], None],
    ) -> None:
        """Move cells between ranks as messages. Collective."""
        rank = self._group.rank
        for cell, source, target in moves:
            if source == rank:
                self._group.send((cell, remove(cell)), target, TAG_CELL)
        for _, _, target in moves:
            if target == rank:
                insert(*self._group.receive(TAG_CELL))
        self._group.wait_for_sends()

    def gather(self, local: Callable[[], dict[int, Any]]) -> dict[int, Any]:
        """Gather values of cells on the root rank. Collective."""
        if self.is_root:
            gathered: dict[int, Any] = {}
            for _ in range(self._group.size - 1):
                gathered |= self._group.receive(TAG_GATHER)
            return gathered
        self._group.send(local(), 0, TAG_GATHER)
        self._group.wait_for_sends()
        return {}


def _remaining_s(steps: int, left: Array, spent_s: Array) -> Array:
    """Cost of the rest of a segment, estimated from the cost of each cell's steps so far."""
    done = steps - left
    known = done > 0
    # Until a cell has done a step its cost is unknown: take the mean of the others, or 1 s a step.
    step_s = np.full(left.size, spent_s[known].sum() / done.sum() if known.any() else 1.0)
    step_s[known] = spent_s[known] / done[known]
    remaining_s: Array = left * step_s
    return remaining_s
