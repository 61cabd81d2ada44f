"""Moves of cells that balance the load of the processes; a distribution over one process."""

import numpy as np
import pytest

from kmc_oxy.simulation import CellDistribution, Pause, balancing_moves
from kmc_oxy.simulation.cell_distribution import MIN_LOAD_REDUCTION


def after(owner, load_s, processes, move_s=0.0):
    moves = balancing_moves(np.array(owner), np.array(load_s, dtype=float), processes, move_s)
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
        worth = MIN_LOAD_REDUCTION * loads.mean()
        assert len(heaviest) == 1 or all(
            min(cell, gap - cell) <= worth * (1 + 1e-9) for cell in heaviest
        )


def test_a_programmed_cell_and_its_neighbours_are_spread():
    """The columns of a 4 x 3 array by turns, and a V/2 write in the middle one."""
    load_s = [3, 9, 2, 16, 9, 16, 3, 17, 3, 2, 17, 3]
    _, loads = after(np.arange(12) % 2, load_s, 2)
    assert loads.max() < 1.05 * loads.mean()


def test_moves_with_little_gain_are_not_made():
    owner, load_s = np.array([0, 0, 0, 1]), np.array([1.0, 1.0, 1.0, 1.0])
    assert balancing_moves(owner, load_s, 2, move_s=0.0) == [(0, 0, 1)]
    assert balancing_moves(owner, load_s, 2, move_s=1.0) == []
    assert balancing_moves(owner, np.array([1.0, 1.0, 0.05, 2.0]), 2, move_s=0.0) == []
    # Without any load there is nothing to gain.
    assert balancing_moves(owner, np.zeros(4), 2, move_s=0.0) == []


def test_one_process_runs_all_cells():
    distribution = CellDistribution(3)
    assert distribution.is_root and all(distribution.owns(cell) for cell in range(3))
    sync = distribution.synchronize(Pause.SAVE, 5, {0: 1, 1: 0, 2: 4}, {0: 1e-9, 1: 2e-9, 2: 3e-9})
    assert (sync.pause, sync.steps_left, sync.moves) == (Pause.SAVE, 5, ())
    assert sync.conductance_S.tolist() == [1e-9, 2e-9, 3e-9]
    assert distribution.scatter(lambda: "all", lambda state, owns: "a part") == "all"
