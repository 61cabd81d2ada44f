"""Who runs which cells of an array: one process all of them, or several some each.

A cell is told its next steps, goes through them by itself, and then all cells meet. What has to
be agreed on between processes is agreed on there; here is what it is if there is only one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Smallest share of a process's load that is worth moving a cell for.
WORTH_MOVING = 0.05


class Pause(IntEnum):
    """What is wanted between two kernel calls; the largest wish of all processes is done."""

    NO = 0
    SAVE = 1
    STOP = 2


@dataclass(frozen=True, eq=False)
class Meeting:
    """What all processes know after they have met.

    Parameters
    ----------
    pause : Pause
    steps_left : int
        Of all cells together, to the end of the stretch.
    conductance_S : ndarray, shape (cells,)
        As measured last.
    moves : tuple of (int, int, int)
        Cells that change hands: cell, from, to.
    """

    pause: Pause
    steps_left: int
    conductance_S: Array
    moves: tuple[tuple[int, int, int], ...] = ()


class Alone:
    """One process that runs all cells.

    Parameters
    ----------
    cells : int
        How many there are.

    Attributes
    ----------
    is_first : bool
        Whether this process keeps the files.
    """

    is_first = True

    def __init__(self, cells: int) -> None:
        self.cells = cells

    def owns(self, cell: int) -> bool:
        """Whether this process runs a cell."""
        return True

    def hand_out(
        self, load: Callable[[], Any], part: Callable[[Any, Callable[[int], bool]], Any]
    ) -> Any:
        """What the first process loads; a part of it for each that needs no more.

        Parameters
        ----------
        load : callable
            Called on the first process; None is handed out as it is.
        part : callable
            Called with what was loaded and with a function that tells whose cells the part is for.
        """
        return load()

    def built(self, cell: int, cpu_s: float) -> None:
        """Take note of what it has cost to build a cell."""

    def spent(self, cell: int, cpu_s: float) -> None:
        """Take note of what a cell has cost."""

    def is_waited_for(self, steps: int, steps_left: Callable[[], Mapping[int, int]]) -> bool:
        """Whether others wait who could take over some of the cells that have steps left.

        Parameters as in `meet`.
        """
        return False

    def meet(
        self,
        pause: Pause,
        steps: int,
        steps_left: Mapping[int, int],
        conductance_S: Mapping[int, float],
    ) -> Meeting:
        """Meet all other processes.

        Parameters
        ----------
        pause : Pause
            What this process wants.
        steps : int
            Of the whole stretch.
        steps_left, conductance_S : mapping of int to number
            Of the cells of this process.
        """
        return Meeting(pause, sum(steps_left.values()), np.array(list(conductance_S.values())))

    def move(
        self, meeting: Meeting, give: Callable[[int], Any], take: Callable[[int, Any], None]
    ) -> None:
        """Let cells change hands: `give` gives one away, `take` takes one over."""

    def collect(self, mine: Callable[[], dict[int, Any]]) -> dict[int, Any]:
        """What the other processes say of their cells, on the first process."""
        return {}


def moves_worth_making(
    owner: NDArray[np.intp], load_s: Array, processes: int, move_s: float
) -> list[tuple[int, int, int]]:
    """Cells to be moved so that no process has much more to do than another.

    Parameters
    ----------
    owner : ndarray of int, shape (cells,)
        Process that has the cell.
    load_s : ndarray, shape (cells,)
        What the cell costs.
    processes : int
    move_s : float
        What it costs to move a cell.

    Returns
    -------
    list of (int, int, int)
        Cell, from, to. Each move brings the heaviest process down by more than `move_s` and by
        more than `WORTH_MOVING` of the mean load.
    """
    at_last = owner.copy()
    load = np.bincount(owner, load_s, processes)
    worth_s = max(move_s, WORTH_MOVING * load.mean())
    while True:
        high, low = int(load.argmax()), int(load.argmin())
        gap_s = load[high] - load[low]
        there = np.flatnonzero((at_last == high) & (load_s > worth_s) & (gap_s - load_s > worth_s))
        if not there.size:
            break
        cell = int(there[np.abs(load_s[there] - gap_s / 2).argmin()])
        at_last[cell] = low
        load[high] -= load_s[cell]
        load[low] += load_s[cell]
    return [
        (int(cell), int(owner[cell]), int(at_last[cell]))
        for cell in np.flatnonzero(at_last != owner)
    ]
