"""What the runs of a generation gave: residuals and costs of its sets.

A generation that is screened has two looks. The records of a set are joined, not its residuals:
some quantities belong to the whole ensemble. Sets that got no second look keep what the first gave.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from kmc_oxy.execution import MemoryOutput
from kmc_oxy.fit.comparison import Comparison, Residuals
from kmc_oxy.fit.fit_folder import FinishedGeneration
from kmc_oxy.fit.generation import GenerationPlan
from kmc_oxy.fit.loading import LoadedFit
from kmc_oxy.fit.parameters import values_at
from kmc_oxy.fit.screening import ranked_behind
from kmc_oxy.storage import WorkFolder

Array = NDArray[np.float64]
Found = TypeVar("Found")
log = logging.getLogger(__name__)


class GenerationResults:
    """The records of the finished looks at a generation.

    Parameters
    ----------
    fit : LoadedFit

    Attributes
    ----------
    looks : list of (GenerationPlan, WorkFolder)
        In their order, with all tasks finished. A set has the members of all looks in which it was
        run.
    failures : dict of int to str
        Message of the first task that failed, of the sets whose `outputs` were asked for.
    """

    def __init__(self, fit: LoadedFit) -> None:
        self.fit = fit
        self.looks: list[tuple[GenerationPlan, WorkFolder]] = []
        self.failures: dict[int, str] = {}

    def remove(self) -> None:
        """Remove the work folders."""
        for _, work in self.looks:
            work.remove()

    def outputs(self, index: int) -> list[MemoryOutput] | None:
        """The results of a set.

        Parameters
        ----------
        index : int
            Of a set that was run.

        Returns
        -------
        list of MemoryOutput or None
            For each run of the fit; None if a task failed, see `failures`.
        """
        looks = [look for look in self.looks if index in look[0].feasible]
        plan = looks[-1][0]
        found = []
        for run in range(len(self.fit.runs)):
            points = [(plan.point(point), plan.schedule(point)) for point in plan.part(index, run)]
            records: list[list[Mapping[str, Any]]] = [[] for _ in points]
            for look, work in looks:
                for of_point, point in zip(records, look.part(index, run), strict=True):
                    tasks = (look.task(point, member) for member in range(look.members))
                    of_point += [work.load_task(task.index) for task in tasks]
            for record in chain.from_iterable(records):
                if "failure" in record:
                    self.failures[index] = str(record["failure"])
                    return None
            found.append(MemoryOutput(plan.base_of(index, run), points, records))
        return found

    def residuals(self, outputs: Sequence[MemoryOutput]) -> dict[str, list[Residuals]] | None:
        """Residuals of a set, by experiment.

        Parameters
        ----------
        outputs : sequence of MemoryOutput
            For each run of the fit.

        Returns
        -------
        dict of str to list of Residuals or None
            One entry for each comparison of an experiment; None if one is no number.
        """
        found = self._compared(outputs, lambda comparison, output: comparison.residuals(output))
        each = [residuals for of_experiment in found.values() for residuals in of_experiment]
        return found if all(np.isfinite(one.members).all() for one in each) else None

    def simulated(self, outputs: Sequence[MemoryOutput]) -> dict[str, list[dict[str, Any]]]:
        """What a set gives in every experiment.

        Parameters
        ----------
        outputs : sequence of MemoryOutput
            For each run of the fit.

        Returns
        -------
        dict of str to list of dict
            For each comparison of an experiment: of data, ``curves``, a list of arrays of shape
            (members, n) in SI units, and ``scale``; of a target, ``values``, one a member.
        """
        return self._compared(outputs, lambda comparison, output: comparison.simulation(output))

    def _compared(
        self,
        outputs: Sequence[MemoryOutput],
        compare: Callable[[Comparison, MemoryOutput], Found],
    ) -> dict[str, list[Found]]:
        """What every comparison of every experiment finds, in the order of the fit file."""
        found = {
            part.experiment: [
                compare(comparison, output) for comparison in self.fit.comparisons[part.experiment]
            ]
            for run, output in zip(self.fit.runs, outputs, strict=True)
            for part in run.parts
        }
        return {name: found[name] for name in self.fit.model.experiments}


def stacked(fit: LoadedFit, residuals: Mapping[str, Sequence[Residuals]]) -> tuple[Array, Array]:
    """All residuals of a set as one vector, whose square is the cost.

    An experiment contributes its weight times the mean square of its residuals, so that a curve
    with many points counts as much as one with few: successive readings are no new information.

    Parameters
    ----------
    fit : LoadedFit
    residuals : mapping of str to sequence of Residuals
        By experiment.

    Returns
    -------
    members : ndarray, shape (members, n)
    errors : ndarray, shape (n,)
        Standard errors of the measurements in the same units.
    """
    members, errors = [], []
    for name, of_experiment in residuals.items():
        for each in of_experiment:
            factor = np.sqrt(fit.model.experiments[name].weight / each.members.shape[1])
            members.append(factor * each.members)
            errors.append(factor * each.errors)
    return np.concatenate(members, axis=1), np.concatenate(errors)


def sizes_of(fit: LoadedFit) -> dict[str, list[int]]:
    """Number of residuals of each comparison, by experiment, in the order of `stacked`.

    Parameters
    ----------
    fit : LoadedFit
    """
    return {
        name: [each.size for each in comparisons] for name, comparisons in fit.comparisons.items()
    }


def evaluated(
    stage: str,
    plan: GenerationPlan,
    results: GenerationResults,
    library: str,
    first: FinishedGeneration | None = None,
) -> FinishedGeneration:
    """The results of a generation, or of the first look at it. Warns of sets that failed.

    Parameters
    ----------
    stage : str
    plan : GenerationPlan
        Of the latest look.
    results : GenerationResults
        With that look, unless no set of it is feasible.
    library : str
        As in `FinishedGeneration`.
    first : FinishedGeneration, optional
        What the first look gave, if this is the second one.

    Returns
    -------
    FinishedGeneration
    """
    fit, sets, count = plan.fit, len(plan.sets), plan.devices.stop
    found: dict[int, tuple[Array, Array]] = {}
    simulated: list[dict[str, list[dict[str, Any]]]] = [{} for _ in plan.sets]
    for index in plan.feasible:
        outputs = results.outputs(index)
        if outputs is None:
            values = values_at(fit.parameters, plan.sets[index])
            named = ", ".join(f"{key} = {value:.5g}" for key, value in values.items())
            log.warning("no result of the set %s: %s", named, results.failures[index])
            continue
        residuals = results.residuals(outputs)
        if residuals is not None:
            found[index] = stacked(fit, residuals)
        if stage == "check":
            simulated[index] = results.simulated(outputs)
    size = sum(sum(sizes) for sizes in sizes_of(fit).values())
    members, data_errors = np.full((sets, count, size), np.nan), np.zeros(size)
    for index, (of_members, of_data) in found.items():
        members[index], data_errors = of_members, of_data
    costs, errors = costs_and_errors(members, _prior_costs(fit, plan.sets))
    devices = np.full(sets, count)
    if first is not None:
        ran = {index for look, _ in results.looks for index in look.feasible}
        is_left_out = np.isin(np.arange(sets), list(ran - set(plan.feasible)))
        devices[is_left_out] = first.members
        members[is_left_out, : first.members] = first.member_residuals[is_left_out]
        costs = ranked_behind(costs, first.costs, is_left_out)
        errors = np.where(is_left_out, first.errors, errors)
    return FinishedGeneration(
        stage, plan.sets, count, plan.seed, devices, costs, errors, members, data_errors, library,
        simulated if stage == "check" else [],
    )  # fmt: skip


def costs_and_errors(members: Array, priors: Array) -> tuple[Array, Array]:
    """Cost of every set, and the standard error of its difference from the lowest one.

    The cost is the square of the mean residual vector, and the cost of the priors. All sets have
    the same members, so the error, by the jackknife over members, is that of the difference.

    Parameters
    ----------
    members : ndarray, shape (sets, members, n)
        Residuals; NaN for a set without a device or not of all members.
    priors : ndarray, shape (sets,)
        Costs of the distances from the priors.

    Returns
    -------
    costs, errors : ndarray, shape (sets,)
        Infinite and NaN for a set without a device.
    """
    count = members.shape[1]
    is_feasible = np.isfinite(members).all(axis=(1, 2))
    costs, errors = np.full(len(members), np.inf), np.full(len(members), np.nan)
    if not is_feasible.any():
        return costs, errors
    known = members[is_feasible]
    total = known.sum(axis=1, keepdims=True)
    costs[is_feasible] = ((total[:, 0] / count) ** 2).sum(axis=1) + priors[is_feasible]
    if count > 1:
        without = (((total - known) / (count - 1)) ** 2).sum(axis=2)
        apart = without - without[np.argmin(costs[is_feasible])]
        apart = apart - apart.mean(axis=1, keepdims=True)
        errors[is_feasible] = np.sqrt((count - 1) / count * (apart**2).sum(axis=1))
    return costs, errors


def _prior_costs(fit: LoadedFit, points: Array) -> Array:
    """Square of the distance from the priors, in their deviations, of every set."""
    costs = np.zeros(len(points))
    for axis, parameter in enumerate(fit.parameters):
        if parameter.prior is not None:
            mean, deviation = parameter.prior
            costs += ((points[:, axis] - mean) / deviation) ** 2
    return costs
