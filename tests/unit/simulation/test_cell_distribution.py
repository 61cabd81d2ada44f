"""Which cells change hands between processes."""

import numpy as np
import pytest

from kmc_oxy.simulation import Alone, Pause, moves_worth_making
from kmc_oxy.simulation.cell_distribution import WORTH_MOVING


def after(owner, load_s, processes, move_s=0.0):
    moves = moves_worth_making(np.array(owner), np.array(load_s, dtype=float), processes, move_s)
    now = np.array(owner)
    for cell, old, new in moves:
        assert now[cell] == old != new
        now[cell] = new
    assert len({cell for cell, _, _ in moves}) == len(moves)
    return now, np.bincount(now, load_s, processes)


@pytest.mark.parametrize("processes", [2, 3, 5, 12])
def test_loads_become_even(processes):
    """No process is left with more than a cell above another, or with nothing at all."""
    rng = np.random.default_rng(processes)
    for _ in range(200):
        load_s = rng.exponential(1.0, 12)
        owner = np.arange(12) * processes // 12
        now, loads = after(owner, load_s, processes)
        assert set(now) == set(range(processes))
        before = np.bincount(owner, load_s, processes)
        assert loads.max() <= before.max()
        heaviest = load_s[now == loads.argmax()]
        gap = loads.max() - loads.min()
        worth = WORTH_MOVING * loads.mean()
        assert len(heaviest) == 1 or all(
            min(cell, gap - cell) <= worth * (1 + 1e-9) for cell in heaviest
        )


def test_a_programmed_cell_and_its_mates_are_spread():
    """The columns of a 4 x 3 array by turns, and a V/2 write in the middle one."""
    load_s = [3, 9, 2, 16, 9, 16, 3, 17, 3, 2, 17, 3]
    _, loads = after(np.arange(12) % 2, load_s, 2)
    assert loads.max() < 1.05 * loads.mean()


def test_what_is_not_worth_it_stays():
    owner, load_s = np.array([0, 0, 0, 1]), np.array([1.0, 1.0, 1.0, 1.0])
    assert moves_worth_making(owner, load_s, 2, move_s=0.0) == [(0, 0, 1)]
    assert moves_worth_making(owner, load_s, 2, move_s=1.0) == []
    assert moves_worth_making(owner, np.array([1.0, 1.0, 0.05, 2.0]), 2, move_s=0.0) == []
    # Without any load there is nothing to gain.
    assert moves_worth_making(owner, np.zeros(4), 2, move_s=0.0) == []


def test_alone_everything_is_here():
    share = Alone(3)
    assert share.is_first and all(share.owns(cell) for cell in range(3))
    meeting = share.meet(Pause.SAVE, 5, {0: 1, 1: 0, 2: 4}, {0: 1e-9, 1: 2e-9, 2: 3e-9})
    assert (meeting.pause, meeting.steps_left, meeting.moves) == (Pause.SAVE, 5, ())
    assert meeting.conductance_S.tolist() == [1e-9, 2e-9, 3e-9]
    assert share.hand_out(lambda: "all", lambda state, owns: "a part") == "all"
