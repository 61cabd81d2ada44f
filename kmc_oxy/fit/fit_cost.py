"""Expected cost of a fit, from the runs at its start."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from kmc_oxy.execution import core_time_s, estimate
from kmc_oxy.fit.fit_session import sets_after_search
from kmc_oxy.fit.generation import GenerationPlan
from kmc_oxy.fit.loading import LoadedFit
from kmc_oxy.fit.parameters import start_point
from kmc_oxy.fit.search import population_of

#: Largest number of runs of a set whose hops are estimated; their mean stands for the others.
SAMPLED_RUNS = 8


@dataclass(frozen=True)
class FitCost:
    """Expected cost of a fit, from the fewest to the most members.

    Parameters
    ----------
    tasks_of_set : int
        Tasks of a parameter set, a member: points of all runs.
    tasks, hops, core_time_s : (float, float)
        Of the whole fit, if the search keeps its first number of members and leaves out as many
        sets as `screening` allows, and if it has the largest number from the beginning and leaves
        out none. Intervals and check have the largest number in both.
    memory_bytes : float
        Memory of one process, roughly.
    """

    tasks_of_set: int
    tasks: tuple[int, int]
    hops: tuple[float, float]
    core_time_s: tuple[float, float]
    memory_bytes: float


def fit_cost(fit: LoadedFit) -> FitCost:
    """Estimate the cost of a fit.

    Parameters
    ----------
    fit : LoadedFit

    Returns
    -------
    FitCost
    """
    settings = fit.model.search
    start = start_point(fit.parameters)[None, :]
    count = min(len(fit.runs), SAMPLED_RUNS)
    sampled = sorted({round(run) for run in np.linspace(0, len(fit.runs) - 1, count)})
    costs = [
        estimate(
            GenerationPlan(
                dataclasses.replace(fit, runs=(fit.runs[run],)), start, range(1), settings.seed
            )
        )
        for run in sampled
    ]
    points = GenerationPlan(fit, start, range(1), settings.seed).n_points
    factor = points / sum(cost.tasks for cost in costs)
    hops = factor * sum(cost.hops for cost in costs)
    seconds = factor * sum(core_time_s(cost) for cost in costs)
    last = sets_after_search(fit)
    least = float(settings.members)
    if settings.screen is not None and settings.screen < settings.members:
        sets = population_of(settings.population, len(fit.parameters))
        least -= (settings.members - settings.screen) * (sets // 2) / sets
    few, many = (
        round(settings.evaluations * of_search + last * settings.most_members)
        for of_search in (least, settings.most_members)
    )
    return FitCost(
        tasks_of_set=points,
        tasks=(few * points, many * points),
        hops=(few * hops, many * hops),
        core_time_s=(few * seconds, many * seconds),
        memory_bytes=max(cost.memory_bytes for cost in costs),
    )
