"""Searches of `kmc_oxy.fit` at equal numbers of evaluations, printed as a Markdown table.

    python scripts/bench/searches.py [--evaluations 100 200 400] [--repeats 20] [--only train ...]
        [--population 8]
    python scripts/bench/searches.py --screen 2 [--evaluations 60 120 240] [--members 6]

The problems are cheap stand-ins for a fit: `sphere`, the valley of `rosenbrock`, `train` (three
parameters of a curve, one of them hardly felt, and noise that is common to all points), `bound`
(optimum on bounds, half of the cube infeasible) and `wells` (many local minima). The figure is the
median, and in brackets the upper quartile, over repeats with other starts and seeds, of the cost
without noise of the point that the search calls best, above the lowest cost. The last column has
the time of the searches themselves, the cheap costs included.

With ``--screen`` every search runs twice on the problems that have members: with all of them, and
with a first look on so many of them (`fit.screening`). Both stop after as many members as the given
number of evaluations has without screening. The figure is the same, and a further column has the
share of members that screening spared a set. In `train` all points have the same noise, in `own
noise` each has its own beside it, as where hops differ from set to set.

Another problem is a `Problem` in a call of `compare`: its function takes a generation, so that it
may evaluate the points at once, in parallel or from a store.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kmc_oxy.fit.evaluation import costs_and_errors
from kmc_oxy.fit.screening import kept_sets, ranked_behind
from kmc_oxy.fit.search import SEARCHES, Search, SearchSettings

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Problem:
    """Something to search for.

    Parameters
    ----------
    name : str
    dimensions : int
    costs : callable
        Costs, shape (k,), of a generation of points, shape (k, d), with the number of members and
        the seed of the repeat; inf for infeasible points.
    exact : callable, optional
        Cost of one point by which the result is judged, 0 at the optimum. By default that which the
        search has seen.
    residuals : callable, optional
        Residuals of members, shape (k, members, n), of a generation of points, with the same
        arguments as `costs`.
    """

    name: str
    dimensions: int
    costs: Callable[[Array, int, int], Array]
    exact: Callable[[Array], float] | None = None
    residuals: Callable[[Array, int, int], Array] | None = None


def each(function: Callable[[Array], float]) -> Callable[[Array, int, int], Array]:
    """Costs of a generation from a function of one point without noise."""
    return lambda points, members, seed: np.array([function(point) for point in points])


def sphere(point: Array) -> float:
    return float(((point - 0.3) ** 2).sum())


def rosenbrock(point: Array) -> float:
    x = 4 * point - 2
    return float((100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum())


def bound(point: Array) -> float:
    """The infeasible half is that above the diagonal plane, on which the optimum lies."""
    optimum = np.array([0.0, 1.0, 0.3, 0.7])
    return float(((point - optimum) ** 2).sum()) if point.sum() <= 2.0 + 1e-9 else math.inf


def wells(point: Array) -> float:
    """Rastrigin's function with seven minima along each axis."""
    x = 7 * (point - 0.4)
    return float((x**2 + 3 * (1 - np.cos(2 * math.pi * x))).sum())


NUMBER = np.arange(1, 51)
TRUE = np.array([0.6, 0.3, 0.5])


def curve(point: Array) -> Array:
    saturation = 1 - np.exp(-NUMBER / (5 + 40 * point[1]))
    return 3 * np.exp(point[0]) * saturation + 0.2 * point[2] * np.log(NUMBER)


def train(point: Array) -> float:
    return float(((curve(point) - curve(TRUE)) ** 2).mean())


def walks(rng: np.random.Generator, members: int) -> Array:
    return np.cumsum(0.05 * rng.standard_normal((members, len(NUMBER))), axis=1)


def same_walks(points: Array, members: int, seed: int) -> Array:
    """Residuals of members that walk at random about the curve, in the same way at all points."""
    noise = walks(np.random.default_rng([seed, members]), members)
    distances = np.array([curve(point) - curve(TRUE) for point in points])
    return (distances[:, None] + noise) / math.sqrt(len(NUMBER))


def own_walks(points: Array, members: int, seed: int) -> Array:
    """The same with a second walk, another one at each point."""
    own = [
        walks(np.random.default_rng([seed, *point.view(np.uint32)]), members) for point in points
    ]
    return same_walks(points, members, seed) + np.array(own) / math.sqrt(len(NUMBER))


def noisy_train(points: Array, members: int, seed: int) -> Array:
    return whole_costs(same_walks(points, members, seed))[0]


def whole_costs(residuals: Array) -> tuple[Array, Array]:
    return costs_and_errors(residuals, np.zeros(len(residuals)))


PROBLEMS = (
    Problem("sphere", 6, each(sphere)),
    Problem("rosenbrock", 5, each(rosenbrock)),
    Problem("train", 3, noisy_train, train, same_walks),
    Problem("bound", 4, each(bound)),
    Problem("wells", 3, each(wells)),
)


def run(search: Search, problem: Problem, seed: int) -> None:
    """Let a search go on to its end."""
    while not search.finished:
        points = search.ask()
        search.tell(points, problem.costs(points, search.members, seed))


#: Only for comparisons with and without screening.
OWN_NOISE = Problem("own noise", 3, lambda *of: whole_costs(own_walks(*of))[0], train, own_walks)


def run_screened(
    search: Search, problem: Problem, seed: int, screen: int, limit: int
) -> tuple[int, int]:
    """Let a search go on until it has used so many members; 0 for a screen means none.

    Returns
    -------
    sets, members : int
        How many it has used.
    """
    assert problem.residuals is not None
    sets, used = 0, 0
    while not search.finished and used < limit:
        points = search.ask()
        residuals = problem.residuals(points, search.members, seed)
        costs, _ = whole_costs(residuals)
        count = np.full(len(points), search.members)
        if 0 < screen < search.members:
            first, first_errors = whole_costs(residuals[:, :screen])
            count[:] = screen
            count[kept_sets(first, first_errors, screen)] = search.members
            costs = ranked_behind(costs, first, count == screen)
        search.tell(points, costs)
        sets, used = sets + len(points), used + int(count.sum())
    return sets, used


def compare_screening(
    problems: Sequence[Problem], budgets: Sequence[int], repeats: int, screen: int, members: int
) -> None:
    """Print the table with and without screening.

    Parameters
    ----------
    problems : sequence of Problem
        That have `residuals`.
    budgets : sequence of int
        Numbers of evaluations with all members.
    repeats : int
        Starts and seeds, the same for all searches.
    screen, members : int
        Of the first look, and all.
    """
    print("| problem | evaluations | search | all members | screened | spared |")
    print("|---|---|---|---|---|---|")
    for problem in problems:
        for budget in budgets:
            for name, kind in SEARCHES.items():
                cells, sets, used = [], 0, 0
                for looked in (0, screen):
                    found = []
                    for seed in range(repeats):
                        start = np.random.default_rng(seed).random(problem.dimensions)
                        settings = SearchSettings(
                            2 * budget * members, members=members, most_members=members
                        )
                        search = kind(start, seed, settings)
                        spent = run_screened(search, problem, seed, looked, budget * members)
                        if looked:
                            sets, used = sets + spent[0], used + spent[1]
                        assert problem.exact is not None
                        found.append(problem.exact(search.best[0]))
                    cells.append("{:.2g} ({:.2g})".format(*np.quantile(found, [0.5, 0.75])))
                print(
                    f"| {problem.name} | {budget} | {name} | {' | '.join(cells)} | "
                    f"{1 - used / (sets * members):.0%} |",
                    flush=True,
                )


def compare(
    problems: Sequence[Problem],
    budgets: Sequence[int],
    repeats: int,
    population: int | None = None,
    members: int = 8,
) -> None:
    """Print the table.

    Parameters
    ----------
    problems : sequence of Problem
    budgets : sequence of int
        Numbers of evaluations.
    repeats : int
        Starts and seeds, the same for all searches.
    population : int, optional
        Points of a generation.
    members : int
        For problems that have some.
    """
    names = " | ".join(SEARCHES)
    print(f"| problem | parameters | evaluations | {names} | ms an evaluation |")
    print("|---|---|---|" + "---|" * len(SEARCHES) + "---|")
    for problem in problems:
        for budget in budgets:
            cells, times = [], []
            for kind in SEARCHES.values():
                found, began = [], time.process_time()
                for seed in range(repeats):
                    start = np.random.default_rng(seed).random(problem.dimensions)
                    settings = SearchSettings(
                        budget, population=population, members=members, most_members=members
                    )
                    search = kind(start, seed, settings)
                    run(search, problem, seed)
                    point, cost = search.best
                    found.append(problem.exact(point) if problem.exact else cost)
                cells.append("{:.2g} ({:.2g})".format(*np.quantile(found, [0.5, 0.75])))
                times.append(1000 * (time.process_time() - began) / (budget * repeats))
            print(
                f"| {problem.name} | {problem.dimensions} | {budget} | {' | '.join(cells)} | "
                f"{' / '.join(f'{spent:.2g}' for spent in times)} |",
                flush=True,
            )


def main() -> None:
    made = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    made.add_argument("--evaluations", type=int, nargs="+", default=[100, 200, 400])
    made.add_argument("--repeats", type=int, default=20)
    made.add_argument("--population", type=int)
    made.add_argument("--only", nargs="+", choices=[problem.name for problem in PROBLEMS])
    made.add_argument("--screen", type=int, help="members of a first look")
    made.add_argument("--members", type=int, default=8)
    asked = made.parse_args()
    if asked.screen:
        problems = [*(each for each in PROBLEMS if each.residuals), OWN_NOISE]
        compare_screening(problems, asked.evaluations, asked.repeats, asked.screen, asked.members)
        return
    chosen = [problem for problem in PROBLEMS if not asked.only or problem.name in asked.only]
    compare(chosen, asked.evaluations, asked.repeats, asked.population, asked.members)


if __name__ == "__main__":
    main()
