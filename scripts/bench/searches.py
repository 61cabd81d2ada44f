"""Searches of `kmc_oxy.fit` at equal numbers of evaluations, printed as a Markdown table.

    python scripts/bench/searches.py [--evaluations 100 200 400] [--repeats 20] [--only train ...]
        [--population 8]

The problems are cheap stand-ins for a fit: `sphere`, the valley of `rosenbrock`, `train` (three
parameters of a curve, one of them hardly felt, and noise that is common to all points), `bound`
(optimum on bounds, half of the cube infeasible) and `wells` (many local minima). The figure is the
median, and in brackets the upper quartile, over repeats with other starts and seeds, of the cost
without noise of the point that the search calls best, above the lowest cost. The last column has
the time of the searches themselves, the cheap costs included.

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
    """

    name: str
    dimensions: int
    costs: Callable[[Array, int, int], Array]
    exact: Callable[[Array], float] | None = None


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


def noisy_train(points: Array, members: int, seed: int) -> Array:
    """The mean over members of a random walk about the curve, the same walks at all points."""
    rng = np.random.default_rng([seed, members])
    walk = np.cumsum(0.05 * rng.standard_normal((members, len(NUMBER))), axis=1).mean(axis=0)
    return np.array([((curve(point) + walk - curve(TRUE)) ** 2).mean() for point in points])


PROBLEMS = (
    Problem("sphere", 6, each(sphere)),
    Problem("rosenbrock", 5, each(rosenbrock)),
    Problem("train", 3, noisy_train, train),
    Problem("bound", 4, each(bound)),
    Problem("wells", 3, each(wells)),
)


def run(search: Search, problem: Problem, seed: int) -> None:
    """Let a search go on to its end."""
    while not search.finished:
        points = search.ask()
        search.tell(points, problem.costs(points, search.members, seed))


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
    asked = made.parse_args()
    chosen = [problem for problem in PROBLEMS if not asked.only or problem.name in asked.only]
    compare(chosen, asked.evaluations, asked.repeats, asked.population)


if __name__ == "__main__":
    main()
