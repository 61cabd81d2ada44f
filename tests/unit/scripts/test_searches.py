"""The comparison of searches: its problems have the optimum they claim, and it prints a table."""

import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("cma")
pytest.importorskip("optuna")

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "scripts" / "bench"))

import searches  # noqa: E402


@pytest.mark.parametrize(
    ("function", "optimum"),
    [
        (searches.sphere, np.full(6, 0.3)),
        (searches.rosenbrock, np.full(5, 0.75)),
        (searches.bound, np.array([0.0, 1.0, 0.3, 0.7])),
        (searches.wells, np.full(3, 0.4)),
        (searches.train, searches.TRUE),
    ],
)
def test_lowest_cost_is_zero(function, optimum):
    assert function(optimum) == pytest.approx(0, abs=1e-12)
    points = np.random.default_rng(1).random((100, len(optimum)))
    assert min(function(point) for point in points) > 0


def test_table(capsys):
    searches.compare(searches.PROBLEMS, [20], repeats=2)
    header, rule, *rows = capsys.readouterr().out.splitlines()
    assert [row.split(" | ")[0] for row in rows] == [f"| {each.name}" for each in searches.PROBLEMS]
    assert {line.count("|") for line in (header, rule, *rows)} == {7}


def test_screening_spares_members(capsys):
    searches.compare_screening([searches.OWN_NOISE], [20], repeats=1, screen=1, members=4)
    rows = capsys.readouterr().out.splitlines()[2:]
    # Half of the sets are spared 3 of 4 members; of 7 sets, three.
    assert [row.split(" | ")[2] for row in rows] == list(searches.SEARCHES)
    assert all(row.endswith("| 32% |") for row in rows)
