r"""Search of the unit cube [0, 1]^d for the point of lowest cost, a generation of points at a time.

A search knows nothing of devices and files. `ask` gives the next generation, the caller evaluates
it in whatever way and order, and `tell` returns the costs. The same (start, seed, settings) and the
same costs give the same points in any process, so an interrupted search is resumed by `replay` of
the generations that were recorded, and no state of a library is stored.

**Members.** The cost of a stochastic simulator is a mean over members of an ensemble. Few members
suffice as long as the points of a generation differ by more than the noise of their costs. When the
costs of the better half of a generation span less than `WITHIN_NOISE` standard errors, they can no
longer be ranked, and `members` doubles. All points of a generation have the same members, so that
each ranking is of one cost function; only the cost function of the next generation differs. Points
that are left out after a first look come with costs above all others (`screening`), and the
better half of a generation is never left out.

**Infeasible points** have the cost inf. They are ranked behind all others, by their distance to the
nearest feasible point, which leads the search back.
"""

from __future__ import annotations

import importlib
import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

#: The better half of a generation is within the noise if its costs span fewer standard errors.
WITHIN_NOISE = 2.0
#: Generations within the noise at the largest number of members after which a descent ends.
#: One may be so by chance.
GENERATIONS_WITHIN_NOISE = 3
#: Points that differ by less are the same in a replay: another processor rounds otherwise.
ROUNDING = 1e-9


class ReplayError(ValueError):
    """Recorded generations are not those that the search asks for."""


@dataclass(frozen=True)
class SearchSettings:
    """What a search does, beside its start and seed.

    Parameters
    ----------
    evaluations : int
        Budget of points; a search never asks for more.
    population : int, optional
        Points of a generation. By default 4 + 3 ln d, rounded down.
    step : float
        Initial standard deviation of CMA-ES along each axis of the cube.
    smallest_step : float
        A descent of CMA-ES ends when its standard deviation along every axis is smaller.
    restarts : int
        Largest number of restarts of CMA-ES.
    members, most_members : int
        Members of the first generation, and their largest number.
    """

    evaluations: int
    population: int | None = None
    step: float = 0.25
    smallest_step: float = 1e-3
    restarts: int = 3
    members: int = 1
    most_members: int = 1

    def __post_init__(self) -> None:
        for name in ("evaluations", "members"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"The '{name}' parameter must be at least 1. Got {getattr(self, name)} instead."
                )
        if self.population is not None and self.population < 4:
            raise ValueError(
                f"The 'population' parameter must be at least 4. Got {self.population} instead."
            )
        if self.most_members < self.members:
            raise ValueError(
                f"The 'most_members' parameter must be at least 'members', {self.members}. "
                f"Got {self.most_members} instead."
            )
        if not 0 < self.smallest_step < self.step <= 0.5:
            raise ValueError(
                "The 'step' parameter must be above 'smallest_step' and at most 0.5. "
                f"Got {self.step} and {self.smallest_step} instead."
            )
        if self.restarts < 0:
            raise ValueError(
                f"The 'restarts' parameter must not be negative. Got {self.restarts} instead."
            )


@dataclass(frozen=True, eq=False)
class Generation:
    """Points and what they cost.

    Parameters
    ----------
    points : ndarray, shape (k, d)
    costs : ndarray, shape (k,)
        inf for an infeasible point.
    errors : ndarray, shape (k,), optional
        Standard errors of the costs.
    """

    points: Array
    costs: Array
    errors: Array | None = None


def population_of(population: int | None, dimensions: int) -> int:
    """Points of a generation.

    Parameters
    ----------
    population : int or None
        As in `SearchSettings`.
    dimensions : int
        Number of parameters.
    """
    return population or int(4 + 3 * math.log(dimensions))


class Search(ABC):
    """A search of the unit cube: `ask`, `tell`, and what was found.

    Parameters
    ----------
    start : array_like, shape (d,)
        First guess, in the cube. It is the first point that is asked for.
    seed : int
        Not negative, below 2^32.
    settings : SearchSettings

    Attributes
    ----------
    members : int
        Members with which the next generation is to be evaluated.
    why_finished : str
        Empty while the search goes on.

    Raises
    ------
    ValueError
        If `start` is not a point of the cube, or the budget holds no generation.
    ModuleNotFoundError
        If the library of the search is not installed.
    """

    def __init__(self, start: ArrayLike, seed: int, settings: SearchSettings) -> None:
        self.start = np.array(start, dtype=np.float64)
        if self.start.ndim != 1 or not self.start.size:
            raise ValueError(
                f"The 'start' parameter must be one point. Got shape {self.start.shape} instead."
            )
        if not np.all((self.start >= 0) & (self.start <= 1)):
            raise ValueError(f"The 'start' parameter must lie in [0, 1]. Got {self.start} instead.")
        if not 0 <= seed < 2**32:
            raise ValueError(f"The 'seed' parameter must lie in [0, 2^32). Got {seed} instead.")
        self.settings = settings
        self.seed = seed
        self.members = settings.members
        self.why_finished = ""
        self._population = population_of(settings.population, self.start.size)
        self._asked: Array | None = None
        self._told = 0
        self._best = (self.start, math.inf)
        self._members_of_best = 0
        self._within_noise = 0
        if settings.evaluations < self._population:
            raise ValueError(
                "The 'evaluations' parameter must be at least the points of one generation, "
                f"{self._population}. Got {settings.evaluations} instead."
            )

    @property
    def finished(self) -> bool:
        """Whether there is no further generation."""
        return bool(self.why_finished)

    @property
    def best(self) -> tuple[Array, float]:
        """Point of lowest cost, shape (d,), and its cost; the start and inf if none is feasible.

        Costs of different numbers of members are not comparable, and of many points with few
        members the lowest cost is a lucky one: those with most members count.
        """
        return self._best

    def ask(self) -> Array:
        """The next generation, shape (k, d). The same until it is told.

        Raises
        ------
        RuntimeError
            If the search is finished.
        """
        if self.finished:
            raise RuntimeError(f"The search is finished: {self.why_finished}.")
        if self._asked is None:
            self._asked = self._draw()
        return self._asked.copy()

    def tell(self, points: ArrayLike, costs: ArrayLike, errors: ArrayLike | None = None) -> None:
        """Costs of the generation that was asked for.

        Parameters
        ----------
        points : array_like, shape (k, d)
            As `ask` gave them.
        costs : array_like, shape (k,)
            inf for an infeasible point.
        errors : array_like, shape (k,), optional
            Standard error of each cost due to the finite ensemble. If all points have the same
            members, that of its difference from the lowest cost, which is what ranks them. Without
            errors the number of members stays as it is.

        Raises
        ------
        RuntimeError
            If no generation was asked for.
        ValueError
            If the points are not those of `ask`, the costs are not one a point, or a cost is NaN or
            -inf.
        """
        asked = self._asked
        if asked is None:
            raise RuntimeError("No generation was asked for.")
        given = np.asarray(points, dtype=np.float64)
        if given.shape != asked.shape or not np.allclose(given, asked, rtol=0, atol=ROUNDING):
            raise ValueError("The 'points' parameter must be the generation that was asked for.")
        cost = np.array(costs, dtype=np.float64)
        if cost.shape != asked.shape[:1] or np.any(np.isnan(cost) | (cost == -math.inf)):
            raise ValueError(
                f"The 'costs' parameter must hold {len(asked)} numbers or inf. Got {cost} instead."
            )
        self._asked = None
        self._told += len(asked)
        self._note_best(asked, cost)
        if errors is not None:
            self._note_noise(cost, np.asarray(errors, dtype=np.float64))
        self._learn(asked, cost)
        if not self.finished and self._told + self._population > self.settings.evaluations:
            self.why_finished = (
                f"{self._told} of {self.settings.evaluations} evaluations are made, and the next "
                f"generation would have {self._population}"
            )

    def _note_best(self, points: Array, costs: Array) -> None:
        lowest = int(np.argmin(costs))
        if not math.isfinite(costs[lowest]) or self.members < self._members_of_best:
            return
        if self.members > self._members_of_best or costs[lowest] < self._best[1]:
            self._best = points[lowest].copy(), float(costs[lowest])
            self._members_of_best = self.members

    def _note_noise(self, costs: Array, errors: Array) -> None:
        """Double the members if the better half of a generation cannot be ranked."""
        better = np.argsort(costs, kind="stable")[: (len(costs) + 1) // 2]
        if not np.all(np.isfinite(costs[better])):
            self._within_noise = 0
            return
        if np.ptp(costs[better]) >= WITHIN_NOISE * np.median(errors[better]):
            self._within_noise = 0
        elif self.members < self.settings.most_members:
            self.members = min(2 * self.members, self.settings.most_members)
        else:
            self._within_noise += 1

    @abstractmethod
    def _draw(self) -> Array:
        """The next generation, shape (k, d)."""

    @abstractmethod
    def _learn(self, points: Array, costs: Array) -> None:
        """Take in the costs of a generation; may set `why_finished`."""


class CmaSearch(Search):
    """CMA-ES (Hansen 2016, arXiv:1604.00772) with restarts, by the library cma.

    A descent ends by one of the library's criteria, by a step below `smallest_step`, or when
    `GENERATIONS_WITHIN_NOISE` generations with the largest number of members could not be ranked.
    The next one starts with twice the population (Auger and Hansen 2005,
    doi 10.1109/CEC.2005.1554902) and the first number of members, from a point drawn uniformly.
    Until a feasible point is found, every generation is drawn around a new such point.
    """

    def __init__(self, start: ArrayLike, seed: int, settings: SearchSettings) -> None:
        super().__init__(start, seed, settings)
        self._library = _library("cma", "kmc_oxy[fit]")
        self._random = np.random.Generator(np.random.PCG64DXSM(np.random.SeedSequence(seed)))
        self._restarts = 0
        self._descend(self.start)

    def _descend(self, start: Array) -> None:
        """Begin a descent."""
        self._feasible = np.empty((0, start.size))
        # The library does not support one dimension: a second one that costs nothing is added.
        unused = max(0, 2 - start.size)
        options = {
            "bounds": [0, 1],
            "popsize": self._population,
            "tolx": self.settings.smallest_step,
            # By default the library seeds and uses the global generator of NumPy.
            "randn": lambda *shape: self._random.standard_normal(shape),
            "seed": math.nan,
            # No files, in particular no options read from a file of the current folder.
            "signals_filename": None,
            "verb_log": 0,
            "verb_disp": 0,
            "verbose": -9,
        }
        with warnings.catch_warnings():
            # It warns of its own defaults.
            warnings.simplefilter("ignore")
            first = np.append(start, np.full(unused, 0.5))
            self._strategy = self._library.CMAEvolutionStrategy(first, self.settings.step, options)
        self._first: Array | None = first

    def _draw(self) -> Array:
        self._drawn = np.array(self._strategy.ask(), dtype=np.float64)
        if self._first is not None:
            # The library accepts points that it did not draw.
            self._drawn[0] = self._first
            self._first = None
        return self._drawn[:, : self.start.size]

    def _learn(self, points: Array, costs: Array) -> None:
        self._feasible = np.concatenate([self._feasible, points[np.isfinite(costs)]])
        if not len(self._feasible):
            self._descend(self._random.random(self.start.size))
            return
        ranked = _with_penalties(points, costs, self._feasible)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._strategy.tell(list(self._drawn), list(ranked))
            ended = bool(self._strategy.stop())
        if ended or self._within_noise >= GENERATIONS_WITHIN_NOISE:
            self._restart()

    def _restart(self) -> None:
        if self._restarts == self.settings.restarts:
            self.why_finished = f"converged, {self._restarts} restarts included"
            return
        self._restarts += 1
        self._population *= 2
        self.members = self.settings.members
        self._within_noise = 0
        self._descend(self._random.random(self.start.size))


class TpeSearch(Search):
    """Tree-structured Parzen estimator (Bergstra et al. 2011), by the library optuna.

    A Bayesian search: it models the densities of good and of bad points of the whole history, in
    which costs of different numbers of members stand side by side. It ends with its budget.
    """

    def __init__(self, start: ArrayLike, seed: int, settings: SearchSettings) -> None:
        super().__init__(start, seed, settings)
        optuna = _library("optuna", "kmc_oxy[fit]")
        uniform = optuna.distributions.FloatDistribution(0.0, 1.0)
        self._axes = {f"x{axis}": uniform for axis in range(self.start.size)}
        verbosity = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        # `constant_liar` keeps the points of a generation apart: none of them has a cost yet.
        sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)
        self._study = optuna.create_study(sampler=sampler)
        optuna.logging.set_verbosity(verbosity)
        self._study.enqueue_trial(dict(zip(self._axes, map(float, self.start), strict=True)))

    def _draw(self) -> Array:
        self._trials = [self._study.ask(self._axes) for _ in range(self._population)]
        return np.array([[trial.params[axis] for axis in self._axes] for trial in self._trials])

    def _learn(self, points: Array, costs: Array) -> None:
        for trial, cost in zip(self._trials, costs, strict=True):
            self._study.tell(trial, float(cost))


#: The searches by name.
SEARCHES: dict[str, type[Search]] = {"cma-es": CmaSearch, "tpe": TpeSearch}


def replay(search: Search, generations: Iterable[Generation]) -> None:
    """Bring a new search to where another stood, from what that one asked and was told.

    Parameters
    ----------
    search : Search
        New, with start, seed and settings of the other.
    generations : iterable of Generation
        In their order. Points may differ by rounding (`ROUNDING`) from those that are asked for.

    Raises
    ------
    ReplayError
        If the search asks for other points than those that were recorded: its start, seed, settings
        or library is another one, or the record was changed.
    """
    for number, generation in enumerate(generations, 1):
        if search.finished:
            raise ReplayError(
                f"Generation {number} is recorded, but the search is finished before it: "
                f"{search.why_finished}."
            )
        asked = search.ask()
        if generation.points.shape != asked.shape:
            raise ReplayError(
                f"Generation {number} is recorded with shape {generation.points.shape}, but the "
                f"search asks for {asked.shape}."
            )
        apart = np.abs(generation.points - asked).max()
        if not apart <= ROUNDING:
            raise ReplayError(
                f"Generation {number} is recorded with other points than the search asks for; they "
                f"differ by up to {apart:.2g}. Start, seed, settings and library must be those of "
                "the recorded search."
            )
        search.tell(asked, generation.costs, generation.errors)


def _with_penalties(points: Array, costs: Array, feasible: Array) -> Array:
    """Costs in which infeasible points rank last, by their distance to a feasible one.

    Parameters
    ----------
    points : ndarray, shape (k, d)
    costs : ndarray, shape (k,)
    feasible : ndarray, shape (n, d)
        Feasible points so far, at least one.
    """
    finite = np.isfinite(costs)
    if finite.all():
        return costs
    known = costs[finite]
    # Only ranks count, and without a feasible point in the generation any level will do.
    worst = known.max() if known.size else 0.0
    span = np.ptp(known) if known.size else 0.0
    apart = np.linalg.norm(points[~finite, None] - feasible, axis=-1).min(axis=1)
    ranked = costs.copy()
    ranked[~finite] = worst + (span or 1.0) * (1 + apart)
    return ranked


def _library(name: str, requirement: str) -> Any:
    """A library that is not installed with kmc_oxy."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise ModuleNotFoundError(
            f"This search needs the library {name}: pip install '{requirement}'", name=name
        ) from None
