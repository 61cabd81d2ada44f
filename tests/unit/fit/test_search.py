"""Searches of the unit cube on functions with known minima."""

import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from kmc_oxy.fit.search import (
    SEARCHES,
    CmaSearch,
    Generation,
    ReplayError,
    SearchSettings,
    TpeSearch,
    _with_penalties,
    replay,
)

pytest.importorskip("cma")
pytest.importorskip("optuna")

SETTINGS = SearchSettings(evaluations=400)


def sphere(point):
    return float(((point - 0.3) ** 2).sum())


def rosenbrock(point):
    """The minimum is 0 at 0.75 in all coordinates."""
    x = 4 * point - 2
    return float((100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum())


def run(search, function, generations=math.inf, errors=None):
    """Let a search go on; the generations that it made."""
    made = []
    while not search.finished and len(made) < generations:
        points = search.ask()
        costs = np.array([function(point) for point in points])
        search.tell(points, costs, errors and np.full(len(costs), errors))
        made.append(Generation(points, costs, errors and np.full(len(costs), errors)))
    return made


def evaluations(generations):
    return sum(len(each.points) for each in generations)


@pytest.mark.parametrize("dimensions", [1, 2, 6])
def test_sphere(dimensions):
    search = CmaSearch(np.full(dimensions, 0.8), 1, SETTINGS)
    made = run(search, sphere)
    assert 380 < evaluations(made) <= 400
    np.testing.assert_allclose(search.best[0], 0.3, atol=0.01)
    assert search.best[1] == min(each.costs.min() for each in made)


def test_rosenbrock_in_five_dimensions():
    search = CmaSearch(np.full(5, 0.3), 1, replace(SETTINGS, evaluations=5000, smallest_step=1e-5))
    run(search, rosenbrock)
    np.testing.assert_allclose(search.best[0], 0.75, atol=1e-3)


def test_optimum_on_bounds():
    optimum = np.array([0.0, 1.0, 0.3])
    search = CmaSearch(np.full(3, 0.5), 1, SETTINGS)
    made = run(search, lambda point: float(((point - optimum) ** 2).sum()))
    np.testing.assert_allclose(search.best[0], optimum, atol=1e-3)
    assert all(np.all((each.points >= 0) & (each.points <= 1)) for each in made)


@pytest.mark.parametrize("method", SEARCHES)
def test_the_first_point_is_the_start_and_every_point_is_in_the_cube(method):
    start = [0.0, 0.2, 1.0]
    search = SEARCHES[method](start, 1, SearchSettings(evaluations=60, population=6))
    made = run(search, sphere)
    np.testing.assert_array_equal(made[0].points[0], start)
    assert [each.points.shape for each in made] == [(6, 3)] * 10
    assert all(np.all((each.points >= 0) & (each.points <= 1)) for each in made)


def test_tree_estimator_finds_the_region():
    search = TpeSearch(np.full(3, 0.8), 1, SearchSettings(evaluations=100))
    run(search, sphere)
    assert search.best[1] < 0.01


def test_noisy_function():
    noise = np.random.default_rng(2)
    search = CmaSearch(np.full(4, 0.8), 1, replace(SETTINGS, restarts=0))
    run(search, lambda point: sphere(point) + 0.01 * noise.standard_normal(), errors=0.01)
    assert sphere(search.best[0]) < 0.02
    assert search.why_finished == "converged, 0 restarts included"


@pytest.mark.parametrize("method", SEARCHES)
def test_infeasible_region(method):
    """The minimum is on the boundary of a corner with 3 % of the volume."""
    search = SEARCHES[method](np.full(2, 0.9), 1, SETTINGS)
    run(search, lambda point: sphere(point) if point.max() < 0.17 else math.inf)
    np.testing.assert_allclose(search.best[0], 0.17, atol=0.02)


@pytest.mark.parametrize("method", SEARCHES)
def test_nothing_is_feasible(method):
    search = SEARCHES[method]([0.5, 0.5], 1, SearchSettings(evaluations=60))
    run(search, lambda point: math.inf)
    np.testing.assert_array_equal(search.best[0], [0.5, 0.5])
    assert search.best[1] == math.inf and "60 of 60 evaluations" in search.why_finished


def test_a_generation_without_feasible_points_leads_back():
    search = CmaSearch(np.full(3, 0.5), 1, SETTINGS)
    turn = 0

    def once_infeasible(point):
        nonlocal turn
        turn += 1
        return math.inf if 14 < turn <= 28 else sphere(point)  # the third and fourth generation

    run(search, once_infeasible)
    np.testing.assert_allclose(search.best[0], 0.3, atol=0.01)


def test_infeasible_points_rank_last_by_distance():
    points = np.array([[0.1, 0.1], [0.9, 0.9], [0.2, 0.1], [0.5, 0.1]])
    costs = np.array([5.0, math.inf, 3.0, math.inf])
    ranked = _with_penalties(points, costs, points[[0, 2]])
    np.testing.assert_array_equal(np.argsort(ranked), [2, 0, 3, 1])
    nothing = _with_penalties(points, np.full(4, math.inf), points[:1])
    np.testing.assert_array_equal(np.argsort(nothing), [0, 2, 3, 1])


def test_restarts_double_the_population_and_find_the_lower_minimum():
    def two_wells(point):
        lower = 3 * ((point - 0.85) ** 2).sum() - 0.5
        return float(min(((point - 0.2) ** 2).sum(), lower))

    single = CmaSearch([0.2, 0.2], 1, SearchSettings(evaluations=2000, step=0.1, restarts=0))
    assert len({len(each.points) for each in run(single, two_wells)}) == 1
    assert single.best[1] == pytest.approx(0, abs=1e-3)
    search = CmaSearch([0.2, 0.2], 1, SearchSettings(evaluations=9000, step=0.1, restarts=4))
    sizes = [len(each.points) for each in run(search, two_wells)]
    assert sorted(set(sizes)) == [6, 12, 24, 48, 96]
    assert search.best[1] == pytest.approx(-0.5, abs=1e-2)
    assert search.why_finished == "converged, 4 restarts included"


def test_members_double_where_costs_cannot_be_ranked():
    settings = SearchSettings(evaluations=2000, members=4, most_members=12, restarts=0)
    search = CmaSearch(np.full(3, 0.8), 1, settings)
    seen, spans = [], []
    while not search.finished:
        seen.append(search.members)
        points = search.ask()
        costs = np.array([sphere(point) for point in points])
        spans.append(np.ptp(np.sort(costs)[:4]))
        errors = np.full(len(costs), 0.01 / math.sqrt(search.members))
        search.tell(points, costs, errors)
    assert sorted(set(seen)) == [4, 8, 12] and seen == sorted(seen)
    for now, then, span in zip(seen, seen[1:], spans, strict=False):
        within = span < 2 * 0.01 / math.sqrt(now)
        assert (then > now) == (within and now < 12)
    assert search.why_finished.startswith("converged")
    # The best is one with most members, even if one of fewer had a lower cost.
    assert search.best[1] <= 0.01


def test_best_is_of_most_members():
    search = CmaSearch([0.5, 0.5], 1, SearchSettings(evaluations=100, members=1, most_members=2))
    points = search.ask()
    search.tell(points, [1.0, 1.1, 1.2, 1.3, 1.4, 1.5], np.ones(6))
    assert search.members == 2 and search.best[1] == 1.0
    points = search.ask()
    search.tell(points, [8.0, 7.0, 20.0, 30.0, 40.0, 50.0], np.ones(6))
    assert search.best[1] == 7.0
    np.testing.assert_array_equal(search.best[0], points[1])


@pytest.mark.parametrize("method", SEARCHES)
@pytest.mark.parametrize("known", [0, 1, 7, 20])
def test_replay_continues_as_if_not_interrupted(method, known):
    """Restarts and members included."""
    settings = SearchSettings(
        evaluations=300, members=2, most_members=8, smallest_step=0.05, restarts=5
    )
    whole = SEARCHES[method]([0.4, 0.6], 5, settings)
    made = run(whole, sphere, 25, errors=0.001)
    search = SEARCHES[method]([0.4, 0.6], 5, settings)
    replay(search, made[:known])
    rest = run(search, sphere, len(made) - known, errors=0.001)
    assert len(rest) == len(made) - known
    for after, before in zip(rest, made[known:], strict=True):
        np.testing.assert_array_equal(after.points, before.points)
    assert search.members == whole.members and search.best[1] == whole.best[1]
    if method == "cma-es":
        assert len({len(each.points) for each in made}) > 1


def test_replay_in_another_process():
    code = (
        "import numpy as np; from kmc_oxy.fit.search import *; np.random.seed(7)\n"
        "search = CmaSearch([0.4, 0.6], 5, SearchSettings(evaluations=100))\n"
        "for _ in range(5):\n"
        "    points = search.ask(); search.tell(points, ((points - 0.3) ** 2).sum(axis=1))\n"
        "print(search.ask().tobytes().hex())"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    search = CmaSearch([0.4, 0.6], 5, SearchSettings(evaluations=100))
    for _ in range(5):
        points = search.ask()
        search.tell(points, ((points - 0.3) ** 2).sum(axis=1))
    assert found.stdout.strip() == search.ask().tobytes().hex()


@pytest.mark.parametrize("method", SEARCHES)
def test_replay_of_what_was_not_asked(method):
    def fresh(**changed):
        return SEARCHES[method]([0.4, 0.6], 5, replace(SearchSettings(evaluations=60), **changed))

    made = run(fresh(), sphere, 8)
    points = made[4].points.copy()
    points[1, 0] += 1e-6
    moved = [*made[:4], replace(made[4], points=points)]
    with pytest.raises(ReplayError, match=r"Generation 5 .* differ by up to 1e-06"):
        replay(fresh(), moved)
    costs = -made[3].costs
    with pytest.raises(ReplayError, match=r"Generation \d+ is recorded with other points"):
        replay(fresh(), [*made[:3], replace(made[3], costs=costs), *made[4:]])
    with pytest.raises(ReplayError, match=r"Generation 1 .* shape \(6, 2\), .* \(8, 2\)"):
        replay(fresh(population=8), made)
    with pytest.raises(ReplayError, match=r"Generation 3 .* finished before it"):
        replay(fresh(evaluations=12), made)


@pytest.mark.parametrize("method", SEARCHES)
def test_nothing_outside_is_disturbed(method, tmp_path, monkeypatch, capfd):
    """Neither the global generator of NumPy nor files, and two searches do not disturb another."""
    monkeypatch.chdir(tmp_path)
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    alone = run(SEARCHES[method]([0.4, 0.6], 5, SETTINGS), sphere, 6)
    one, two = (SEARCHES[method]([0.4, 0.6], 5, SETTINGS) for _ in range(2))
    for expected in alone:
        for search in (one, two):
            points = search.ask()
            np.testing.assert_array_equal(points, expected.points)
            search.tell(points, expected.costs)
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_order_of_calls():
    search = CmaSearch([0.4, 0.6], 5, SearchSettings(evaluations=6))
    with pytest.raises(RuntimeError, match="No generation was asked for"):
        search.tell(np.zeros((6, 2)), np.zeros(6))
    points = search.ask()
    np.testing.assert_array_equal(search.ask(), points)
    with pytest.raises(ValueError, match="that was asked for"):
        search.tell(points + 0.01, np.zeros(6))
    for costs in (np.zeros(5), np.full(6, math.nan), np.full(6, -math.inf)):
        with pytest.raises(ValueError, match="6 numbers or inf"):
            search.tell(points, costs)
    search.tell(points, np.arange(6))
    with pytest.raises(RuntimeError, match=r"finished: 6 of 6 evaluations are made"):
        search.ask()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"evaluations": 0}, "'evaluations'"),
        ({"population": 3}, "'population'"),
        ({"members": 4}, "'most_members'"),
        ({"step": 0.6}, "'step'"),
        ({"smallest_step": 0.4}, "'step'"),
        ({"restarts": -1}, "'restarts'"),
    ],
)
def test_settings_out_of_range(changed, message):
    with pytest.raises(ValueError, match=message):
        replace(SETTINGS, **changed)


@pytest.mark.parametrize(
    ("start", "seed", "budget", "message"),
    [
        ([0.5, 1.2], 1, 100, "'start'"),
        ([0.5, math.nan], 1, 100, "'start'"),
        ([], 1, 100, "'start'"),
        ([0.5], -1, 100, "'seed'"),
        ([0.5, 0.5], 1, 5, "'evaluations'.*generation, 6"),
    ],
)
def test_arguments_out_of_range(start, seed, budget, message):
    with pytest.raises(ValueError, match=message):
        CmaSearch(start, seed, SearchSettings(evaluations=budget))


@pytest.mark.parametrize(
    ("method", "library", "requirement"),
    [("cma-es", "cma", r"'kmc_oxy\[fit\]'"), ("tpe", "optuna", r"'kmc_oxy\[fit\]'")],
)
def test_library_that_is_not_installed(method, library, requirement, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ModuleNotFoundError, match=f"needs the library {library}: .*{requirement}"):
        SEARCHES[method]([0.5], 1, SETTINGS)
