"""A generation of the search: parameter sets whose runs are the tasks of a plan.

The tasks of a generation are run, stored and resumed like those of any other run: the points of
its plan are the points of all runs of all feasible sets. A generation that is screened has two
plans, one for each look: all sets on the first members, then those that are kept on the others.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from kmc_oxy.execution import Plan, Task
from kmc_oxy.fit.loading import LoadedFit
from kmc_oxy.fit.parameters import values_at
from kmc_oxy.inputs import at_point, n_points
from kmc_oxy.inputs.schema import Input
from kmc_oxy.protocol import Schedule, flatten
from kmc_oxy.storage import RunIdentity

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

    #: A set of which a device fails has no result, and the fit goes on.
    keeps_failures = True

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
