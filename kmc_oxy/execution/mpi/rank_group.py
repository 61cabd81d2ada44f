"""Ranks that run the cells of one array together.

Every rank goes through the stretches of its cells at its own pace and then meets the others, in
one non-blocking reduction that carries what all have to know: wishes to stop or save, steps left,
costs, and the conductances that the circuit needs. All ranks draw the same conclusions from it.
Cells go from rank to rank, and to the first for a checkpoint, as messages.

- A rank that has come to the end of a stretch waits at the meeting. One that has several cells
  left sees that from a counter in a window of the first rank, comes to the meeting early, and
  gives cells away.
- After each stretch the costs of the cells so far tell whether some should change hands.

None of this has a trace in the results: a cell's future is all in its state.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kmc_oxy.execution.mpi.job_control import LISTEN_S, Crew
from kmc_oxy.execution.mpi.shared_counters import Board
from kmc_oxy.process import Interrupted
from kmc_oxy.simulation import Alone, Array, Meeting, Pause, moves_worth_making

#: Seconds between two looks at whether other ranks wait.
LOOK_S = 0.01
#: For how long a rank is left alone after a meeting that changed nothing.
QUIET_S = 0.5
#: Costs older than about this, per rank, count half and less.
MEMORY_S = 1.0
#: Messages: what comes from the first rank, cells that change hands, what goes to the first.
FROM_FIRST, MOVED, TO_FIRST = range(3)


class Team:
    """The ranks of a team, and how they talk.

    Creating and closing it is collective.

    Parameters
    ----------
    crew : Crew
        All ranks of the job.
    comm : mpi4py.MPI.Comm
        Those of the team.
    idle : callable
        Called now and then while waiting.
    """

    def __init__(self, crew: Crew, comm: Any, idle: Callable[[], None]) -> None:
        from mpi4py import MPI

        self._any_source = MPI.ANY_SOURCE
        self._crew = crew
        self._comm = comm
        self._idle = idle
        self._board = Board(comm, 0)
        self.rank, self.size = int(comm.rank), int(comm.size)
        self.meetings = 0
        self._pending: Any = None
        self._sends: list[Any] = []
        self._next_s = 0.0

    def fail(self) -> None:
        """Announce that this rank will come to no meeting any more."""
        self._board.fail()

    def somebody_waits(self) -> bool:
        """Whether another rank has come to the meeting that is next for this one."""
        return self._board.claimed() > self.meetings * self.size

    def wait(self, done: Callable[[], bool]) -> None:
        """Wait for others of the team.

        Raises
        ------
        Interrupted
            If one has failed.
        """
        self._crew.wait(done, self._look)

    def _look(self) -> None:
        self._idle()
        now = time.monotonic()
        if now >= self._next_s:
            self._next_s = now + LISTEN_S
            if self._board.heard()[1]:
                raise Interrupted

    def sum(self, values: Array) -> Array:
        """Sum over all ranks; each calls this once for each meeting."""
        self._board.claim()
        self._begin_sum(values)
        self.wait(self._pending[0].Test)
        return self._end_sum()

    def _begin_sum(self, values: Array) -> None:
        self.meetings += 1
        total = np.empty_like(values)
        # The buffers must live as long as the request.
        self._pending = (self._comm.Iallreduce(values, total), values, total)

    def _end_sum(self) -> Array:
        total: Array = self._pending[2]
        self._pending = None
        return total

    def send(self, value: Any, rank: int, kind: int) -> None:
        """Begin to send a value; `sent` waits for the end."""
        self._sends.append(self._comm.issend(value, rank, kind))

    def sent(self) -> None:
        """Wait until everything that was sent has been received."""
        self.wait(self._all_received)
        self._sends = []

    def _all_received(self) -> bool:
        return all([request.Test() for request in self._sends])

    def receive(self, kind: int) -> Any:
        """Wait for a value of a kind, from whichever rank."""
        found = []

        def has_come() -> bool:
            message = self._comm.improbe(self._any_source, kind)
            if message is not None:
                found.append(message.recv())
            return bool(found)

        self.wait(has_come)
        return found[0]

    def from_first(self, values: Callable[[], list[Any]]) -> Any:
        """A value for each rank from the first one, which calls `values`."""
        if self.rank > 0:
            return self.receive(FROM_FIRST)
        own, *others = values()
        for rank, value in enumerate(others, start=1):
            self.send(value, rank, FROM_FIRST)
        self.sent()
        return own

    def share(self, cells: int) -> Share:
        """This rank's share of an array of that many cells, not fewer than ranks."""
        return Share(self, cells)

    def close(self, meetings: int, length: int) -> None:
        """Complete what an early end has left unfinished, and free everything.

        Every rank of the team must have given up waiting.

        Parameters
        ----------
        meetings : int
            Meetings that one rank at least has come to.
        length : int
            Of the values summed at the last of them.
        """
        if self.meetings < meetings:
            self._begin_sum(np.zeros(length))
        if self._pending is not None:
            self._pending[0].Wait()
        # A message that nobody waits for any more: received, until nobody sends.
        barrier = None
        while barrier is None or not barrier.Test():
            message = self._comm.improbe()
            if message is not None:
                message.recv()
            elif barrier is None and self._all_received():
                barrier = self._comm.Ibarrier()
        self._board.close()
        self._comm.Free()

    @property
    def length(self) -> int:
        """Of the values of a sum that is not complete; 0 if there is none."""
        return 0 if self._pending is None else len(self._pending[1])


class Share(Alone):
    """One rank's share of the cells of an array.

    Parameters
    ----------
    team : Team
    cells : int
    """

    def __init__(self, team: Team, cells: int) -> None:
        super().__init__(cells)
        self._team = team
        self.is_first = team.rank == 0
        self._owner: NDArray[np.intp] = np.arange(cells) * team.size // cells
        # Of the cells of this rank, since the last meeting.
        self._spent_s = np.zeros(cells)
        self._building_s = np.zeros(cells)
        # Of all cells, the same on every rank.
        self._stretch_s = np.zeros(cells)
        self._lately_s = np.zeros(cells)
        self._built_s = 0.0
        self._built = 0
        self._next_s = 0.0

    def owns(self, cell: int) -> bool:
        return self._is_owned_by(self._team.rank, cell)

    def _is_owned_by(self, rank: int, cell: int) -> bool:
        return bool(self._owner[cell] == rank)

    def hand_out(
        self, load: Callable[[], Any], part: Callable[[Any, Callable[[int], bool]], Any]
    ) -> Any:
        def parts() -> list[Any]:
            whole, ranks = load(), range(self._team.size)
            if whole is None:
                return [None for _ in ranks]
            return [part(whole, partial(self._is_owned_by, rank)) for rank in ranks]

        return self._team.from_first(parts)

    def built(self, cell: int, cpu_s: float) -> None:
        self._building_s[cell] += cpu_s

    def spent(self, cell: int, cpu_s: float) -> None:
        self._spent_s[cell] += cpu_s

    def is_waited_for(self, steps: int, steps_left: Callable[[], Mapping[int, int]]) -> bool:
        now = time.monotonic()
        if now < self._next_s:
            return False
        waited_for = self._team.somebody_waits()
        # Where the first rank must be in an MPI call for it, a look may take its time.
        took_s = time.monotonic() - now
        self._next_s = now + max(LOOK_S, 20 * took_s)
        if not waited_for:
            return False
        left = steps_left()
        # As if there were one other rank, with nothing to do.
        mine = list(left)
        spent_s = (self._stretch_s + self._spent_s)[mine]
        rest_s = _rest_s(steps, np.array(list(left.values()), dtype=float), spent_s)
        return bool(self._moves(rest_s, np.zeros(len(mine), dtype=np.intp), 2))

    def meet(
        self,
        pause: Pause,
        steps: int,
        steps_left: Mapping[int, int],
        conductance_S: Mapping[int, float],
    ) -> Meeting:
        total = self._team.sum(
            np.concatenate(
                [
                    [pause == Pause.STOP, pause == Pause.SAVE],
                    self._building_s,
                    self._scattered(steps_left),
                    self._spent_s,
                    self._scattered(conductance_S),
                ]
            )
        )
        self._spent_s[:] = 0.0
        self._building_s[:] = 0.0
        stop, save = total[:2]
        building_s, left, spent_s, everywhere_S = total[2:].reshape(4, self.cells)
        self._built_s += building_s.sum()
        self._built += int(np.count_nonzero(building_s))
        self._stretch_s += spent_s
        moves = [] if stop else self._moves_now(steps, left)
        for cell, _, rank in moves:
            self._owner[cell] = rank
        return Meeting(
            Pause.STOP if stop else Pause.SAVE if save else Pause.NO,
            int(left.sum()),
            everywhere_S,
            tuple(moves),
        )

    def _moves_now(self, steps: int, left: Array) -> list[tuple[int, int, int]]:
        """Who takes over which cell after this meeting."""
        if left.any():
            rest_s = _rest_s(steps, left, self._stretch_s)
            moves = self._moves(rest_s, self._owner, self._team.size)
            self._next_s = time.monotonic() + (0.0 if moves else QUIET_S)
            return moves
        self._lately_s += self._stretch_s
        self._stretch_s[:] = 0.0
        moves = self._moves(self._lately_s, self._owner, self._team.size)
        if moves:
            self._lately_s[:] = 0.0
        elif self._lately_s.sum() > MEMORY_S * self._team.size:
            self._lately_s /= 2
        return moves

    def _moves(
        self, load_s: Array, owner: NDArray[np.intp], ranks: int
    ) -> list[tuple[int, int, int]]:
        # To move a cell costs about as much as to build it.
        move_s = self._built_s / self._built if self._built else 0.0
        return moves_worth_making(owner, load_s, ranks, move_s)

    def _scattered(self, values: Mapping[int, float]) -> Array:
        """Values of this rank's cells, zero at the others."""
        scattered = np.zeros(self.cells)
        scattered[list(values)] = list(values.values())
        return scattered

    def move(
        self, meeting: Meeting, give: Callable[[int], Any], take: Callable[[int, Any], None]
    ) -> None:
        rank = self._team.rank
        for cell, old, new in meeting.moves:
            if old == rank:
                self._team.send((cell, give(cell)), new, MOVED)
        for _, _, new in meeting.moves:
            if new == rank:
                take(*self._team.receive(MOVED))
        self._team.sent()

    def collect(self, mine: Callable[[], dict[int, Any]]) -> dict[int, Any]:
        if self.is_first:
            found: dict[int, Any] = {}
            for _ in range(self._team.size - 1):
                found |= self._team.receive(TO_FIRST)
            return found
        self._team.send(mine(), 0, TO_FIRST)
        self._team.sent()
        return {}


def _rest_s(steps: int, left: Array, spent_s: Array) -> Array:
    """What the rest of a stretch will cost, by what each cell's steps have cost in it."""
    done = steps - left
    known = done > 0
    # As long as no cell has a step behind it they count the same, and much.
    step_s = np.full(left.size, spent_s[known].sum() / done.sum() if known.any() else 1.0)
    step_s[known] = spent_s[known] / done[known]
    return left * step_s
