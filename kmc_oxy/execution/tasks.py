"""Scan x members -> independent tasks, and running them so that nothing is ever lost.

The list of tasks and `run_task` are the one seam: whoever distributes the tasks over processes
needs nothing else, and the results do not depend on who ran them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

from kmc_oxy.inputs import LoadedInput, at_point, n_points
from kmc_oxy.inputs.schema import Input
from kmc_oxy.protocol import Schedule, flatten
from kmc_oxy.storage import Identity

#: Members that are run at a coarser tolerance as well when the input asks for the check.
CHECKED_MEMBERS = 4
#: How much coarser that is.
CHECK_FACTOR = 3.0


@dataclass(frozen=True)
class Task:
    """One independent piece of work: a member at a point of the scan.

    Parameters
    ----------
    index : int
        Place in the list of tasks; names its files.
    point, member : int
    coarse : bool
        Whether this is the second run of the member, at `CHECK_FACTOR` times the tolerance.
    """

    index: int
    point: int
    member: int
    coarse: bool = False


@dataclass(frozen=True, eq=False)
class Plan:
    """Everything that is to be computed, whoever computes it.

    Compared and hashed by identity.

    Parameters
    ----------
    loaded : inputs.LoadedInput
        The checked input, its scan included.
    """

    loaded: LoadedInput

    @property
    def base(self) -> Input:
        """The checked input, its scan not carried out."""
        return self.loaded.model

    @property
    def n_points(self) -> int:
        """Number of points of the scan."""
        return n_points(self.base)

    def point(self, point: int) -> Input:
        """The input of one point of the scan."""
        return _point_and_schedule(self, point)[0]

    def schedule(self, point: int) -> Schedule:
        """The flattened protocol of one point of the scan."""
        return _point_and_schedule(self, point)[1]

    def cells(self, point: int) -> int:
        """Number of cells of a task at a point of the scan."""
        crossbar = self.point(point).crossbar
        return crossbar.rows * crossbar.columns

    def check(self) -> None:
        """Make sure that every point can be carried out.

        Raises
        ------
        InputError, ProtocolError
            If one cannot.
        """
        for point in range(self.n_points):
            self.schedule(point)

    @property
    def members(self) -> int:
        """Number of devices."""
        return self.base.ensemble.members

    @property
    def checked_members(self) -> int:
        """How many members run a second time at a coarser tolerance."""
        settings = self.base.engine
        if not settings.check_tolerance or settings.algorithm == "exact":
            return 0
        return min(CHECKED_MEMBERS, self.members)

    @property
    def n_tasks(self) -> int:
        """Number of tasks."""
        return self.n_points * (self.members + self.checked_members)

    def task(self, point: int, member: int, coarse: bool = False) -> Task:
        """The task of a member at a point of the scan."""
        if coarse:
            index = self.n_points * self.members + point * self.checked_members + member
        else:
            index = point * self.members + member
        return Task(index, point, member, coarse)

    def tasks(self) -> Iterator[Task]:
        """All tasks in the order of their index."""
        for coarse, members in ((False, self.members), (True, self.checked_members)):
            for point in range(self.n_points):
                for member in range(members):
                    yield self.task(point, member, coarse)

    def tolerance(self, task: Task) -> float | None:
        """1/C of the rate cap in a task; None for exact residence times."""
        settings = self.point(task.point).engine
        if settings.algorithm == "exact":
            return None
        return min(0.99, settings.tolerance * (CHECK_FACTOR if task.coarse else 1.0))

    @cached_property
    def identity(self) -> Identity:
        """What distinguishes this run from any other, apart from a seed that is still to draw."""
        content = json.loads(self.loaded.resolved)
        seed = content["ensemble"].pop("seed")
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        return Identity(
            input_hash=digest,
            seed=seed,
            tasks=self.n_tasks,
            input_yaml=self.loaded.text,
            resolved=self.loaded.resolved,
            overrides=self.loaded.overrides,
        )


@lru_cache(maxsize=64)
def _point_and_schedule(plan: Plan, point: int) -> tuple[Input, Schedule]:
    inputs = at_point(plan.base, point)
    return inputs, flatten(inputs.protocol)
