"""A generation of the search: parameter sets whose runs are the tasks of a plan, and their results.

The tasks of a generation are run, stored and resumed like those of any other run: the points of
its plan are the points of all runs of all feasible sets. A generation that is screened has two
plans, one for each look: all sets on the first members, then those that are kept on the others.
Their records are joined, not their residuals: some quantities belong to the whole ensemble.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from kmc_oxy.execution import MemoryOutput, Plan, Task
from kmc_oxy.fit.comparison import Residuals
from kmc_oxy.fit.loading import LoadedFit
from kmc_oxy.fit.parameters import values_at
from kmc_oxy.inputs import at_point, n_points
from kmc_oxy.inputs.schema import Input
from kmc_oxy.protocol import Schedule, flatten
from kmc_oxy.storage import RunIdentity, WorkFolder

Array = NDArray[np.float64]


class GenerationPlan(Plan):
    """The tasks of one generation, or of one look at its sets.

    Parameters
    ----------
    fit : LoadedFit
    points : ndarray, shape (sets, d)
        Parameter sets in the unit cube.
    devices : range
        Members of each set. Member m is the same device in every set; its hops are others.
    seed : int
        Of all random numbers of the devices.
    only : collection of int, optional
        Indices of the sets that are run; by default all.

    Attributes
    ----------
    feasible : list of int
        Indices of the sets that are run and for which there is a device.
    """

    def __init__(
        self,
        fit: LoadedFit,
        points: Array,
        devices: range,
        seed: int,
        only: Collection[int] | None = None,
    ) -> None:
        self.fit, self.sets, self.devices, self.seed = fit, points, devices, seed
        self.feasible: list[int] = []
        #: For each point of the plan: set, run, point of the run's scan.
        self._points: list[tuple[int, int, int]] = []
        self._inputs: dict[tuple[int, int], Input] = {}
        for index in range(len(points)) if only is None else only:
            values = values_at(fit.parameters, points[index])
            try:
                bases = [run.at(values, devices.stop) for run in fit.runs]
            except ValidationError:
                continue  # no device has these values
            self.feasible.append(index)
            for number, base in enumerate(bases):
                self._inputs[index, number] = base
                self._points += [(index, number, k) for k in range(n_points(base))]
        self._schedules: dict[tuple[int, int], Schedule] = {}

    @property
    def base(self) -> Input:
        return self._inputs[self._points[0][:2]]

    @property
    def n_points(self) -> int:
        return len(self._points)

    def point(self, point: int) -> Input:
        index, number, k = self._points[point]
        return at_point(self._inputs[index, number], k)

    def schedule(self, point: int) -> Schedule:
        # The protocols of a run are those of all sets: no free parameter is inside them.
        _, number, k = self._points[point]
        if (number, k) not in self._schedules:
            self._schedules[number, k] = flatten(self.point(point).protocol)
        return self._schedules[number, k]

    @property
    def members(self) -> int:
        return len(self.devices)

    @property
    def checked_members(self) -> int:
        return 0

    def task(self, point: int, member: int, coarse: bool = False) -> Task:
        found = super().task(point, member, coarse)
        return replace(found, member=self.devices[member])

    def task_of_index(self, index: int) -> Task:
        return self.task(*divmod(index, self.members))

    @cached_property
    def identity(self) -> RunIdentity:
        content = {
            "fit": json.loads(self.fit.resolved)["runs"],
            "parameters": [each.key for each in self.fit.parameters],
            "sets": self.sets[self.feasible].tolist(),
            "members": [self.devices.start, self.devices.stop],
        }
        text = json.dumps(content, sort_keys=True)
        return RunIdentity(
            input_hash=hashlib.sha256(text.encode()).hexdigest(),
            seed=self.seed,
            tasks=self.n_tasks,
            input_yaml=self.fit.text,
            resolved=text,
            overrides=self.fit.overrides,
        )

    def part(self, index: int, run: int) -> list[int]:
        """Points of the plan that are those of one run of one set.

        Parameters
        ----------
        index, run : int
            Of the set and of the run.
        """
        return [p for p, (s, r, _) in enumerate(self._points) if (s, r) == (index, run)]

    def base_of(self, index: int, run: int) -> Input:
        """The input of one run of one set, before its scan is expanded.

        Parameters
        ----------
        index, run : int
            Of the set and of the run.
        """
        return self._inputs[index, run]


class GenerationResults:
    """What the runs of a generation gave.

    Parameters
    ----------
    fit : LoadedFit
    looks : sequence of (GenerationPlan, WorkFolder)
        In their order, with all tasks finished. A set has the members of all looks in which it was
        run.
    """

    def __init__(self, fit: LoadedFit, looks: Sequence[tuple[GenerationPlan, WorkFolder]]) -> None:
        self._fit, self._looks = fit, looks

    @property
    def feasible(self) -> list[int]:
        """Indices of the sets for which there is a device."""
        return self._looks[0][0].feasible if self._looks else []

    def devices(self, index: int) -> int:
        """Number of devices of a set.

        Parameters
        ----------
        index : int
            Of the set.
        """
        return sum(plan.members for plan, _ in self._looks if index in plan.feasible)

    def output(self, index: int, run: int) -> MemoryOutput:
        """The results of one run of one set.

        Parameters
        ----------
        index, run : int
            Of the set and of the run.
        """
        looks = [look for look in self._looks if index in look[0].feasible]
        plan = looks[-1][0]
        points = [(plan.point(point), plan.schedule(point)) for point in plan.part(index, run)]
        records: list[list[Mapping[str, Any]]] = [[] for _ in points]
        for look, work in looks:
            for of_point, point in zip(records, look.part(index, run), strict=True):
                tasks = (look.task(point, member) for member in range(look.members))
                of_point += [work.load_task(task.index) for task in tasks]
        return MemoryOutput(plan.base_of(index, run), points, records)

    def residuals(self, index: int) -> dict[str, list[Residuals]] | None:
        """Residuals of a set, by experiment.

        Parameters
        ----------
        index : int
            Of the set, which has a device.

        Returns
        -------
        dict of str to list of Residuals or None
            One entry for each comparison of an experiment; None if one is no number.
        """
        found: dict[str, list[Residuals]] = {}
        for number, run in enumerate(self._fit.runs):
            output = self.output(index, number)
            for part in run.parts:
                of_part = [
                    comparison.residuals(output)
                    for comparison in self._fit.comparisons[part.experiment]
                ]
                if not all(np.isfinite(each.members).all() for each in of_part):
                    return None
                found[part.experiment] = of_part
        return {name: found[name] for name in self._fit.model.experiments}

    def simulated(self, index: int) -> dict[str, list[dict[str, Any]]]:
        """What a set gives in every experiment.

        Parameters
        ----------
        index : int
            Of the set.

        Returns
        -------
        dict of str to list of dict
            For each comparison of an experiment: of data, ``curves``, a list of arrays of shape
            (members, n) in SI units, and ``scale``; of a target, ``values``, one a member. Empty
            for a set without a device.
        """
        found: dict[str, list[dict[str, Any]]] = {}
        if index not in self.feasible:
            return found
        for number, run in enumerate(self._fit.runs):
            output = self.output(index, number)
            for part in run.parts:
                found[part.experiment] = [
                    comparison.simulation(output)
                    for comparison in self._fit.comparisons[part.experiment]
                ]
        return found


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
