"""A generation of the search: parameter sets whose runs are the tasks of one plan.

The tasks of a generation are run, stored and resumed like those of any other run: the points of
its plan are the points of all runs of all feasible sets.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from kmc_oxy.execution import MemoryOutput, Plan
from kmc_oxy.fit.comparison import Comparison, Residuals
from kmc_oxy.fit.loading import LoadedFit
from kmc_oxy.fit.parameters import values_at
from kmc_oxy.inputs import at_point, n_points
from kmc_oxy.inputs.schema import Input
from kmc_oxy.protocol import Schedule, flatten
from kmc_oxy.storage import RunIdentity, WorkFolder

Array = NDArray[np.float64]
Found = TypeVar("Found")


class GenerationPlan(Plan):
    """The tasks of one generation.

    Parameters
    ----------
    fit : LoadedFit
    points : ndarray, shape (sets, d)
        Parameter sets in the unit cube.
    members : int
        Devices of each set. Member m is the same device in every set, with common random numbers.
    seed : int
        Of all random numbers of the devices.

    Attributes
    ----------
    feasible : list of int
        Indices of the sets for which there is a device.
    """

    #: A set of which a device fails has no result, and the fit goes on.
    keeps_failures = True

    def __init__(self, fit: LoadedFit, points: Array, members: int, seed: int) -> None:
        self.fit, self.sets, self._members, self.seed = fit, points, members, seed
        self.feasible: list[int] = []
        #: For each point of the plan: set, run, point of the run's scan.
        self._points: list[tuple[int, int, int]] = []
        self._inputs: dict[tuple[int, int], Input] = {}
        for index, point in enumerate(points):
            values = values_at(fit.parameters, point)
            try:
                bases = [run.at(values, members) for run in fit.runs]
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
        return self._members

    @property
    def checked_members(self) -> int:
        return 0

    @cached_property
    def identity(self) -> RunIdentity:
        content = {
            "fit": json.loads(self.fit.resolved)["runs"],
            "parameters": [each.key for each in self.fit.parameters],
            "sets": self.sets.tolist(),
            "members": self.members,
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

    def outputs(self, work: WorkFolder, index: int) -> list[MemoryOutput] | str:
        """The results of a set, or why there are none.

        Parameters
        ----------
        work : WorkFolder
            Of this plan, with all tasks finished.
        index : int
            Of a feasible set.

        Returns
        -------
        list of MemoryOutput, or str
            For each run of the fit; the message of the first task that failed.
        """
        found = []
        for run in range(len(self.fit.runs)):
            own = [p for p, (s, r, _) in enumerate(self._points) if (s, r) == (index, run)]
            records: list[list[Mapping[str, Any]]] = [
                [work.load_task(self.task(point, member).index) for member in range(self.members)]
                for point in own
            ]
            for record in (record for of_point in records for record in of_point):
                if "failure" in record:
                    return str(record["failure"])
            points = [(self.point(point), self.schedule(point)) for point in own]
            found.append(MemoryOutput(self._inputs[index, run], points, records))
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
