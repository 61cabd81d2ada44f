"""The independent tasks of a run: every member of the ensemble at every point of the scan."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

from kmc_oxy.inputs import LoadedInput, at_point, n_points
from kmc_oxy.inputs.schema import Input, scanned_keys
from kmc_oxy.protocol import Schedule, flatten
from kmc_oxy.storage import RunIdentity

#: Number of members that `engine.check_tolerance` runs again at a larger tolerance.
CHECKED_MEMBERS = 4
#: Factor of that tolerance.
CHECK_FACTOR = 3.0


@dataclass(frozen=True)
class Task:
    """A member of the ensemble at a point of the scan.

    Parameters
    ----------
    index : int
        Index in the list of tasks; names the files of the task.
    point, member : int
    coarse : bool
        Whether this is the second run of the member, at `CHECK_FACTOR` times the tolerance.
    """

    index: int
    point: int
    member: int
    coarse: bool = False


class Plan:
    """All tasks of an input.

    A subclass with other points (`fit.generation`) replaces `base`, `n_points`, `point`,
    `schedule` and `identity`. With `keeps_failures` the record of a task that raises a
    RuntimeError is its message, and the other tasks go on.

    Parameters
    ----------
    loaded : inputs.LoadedInput
        The checked input, including its scan.
    """

    keeps_failures = False

    def __init__(self, loaded: LoadedInput) -> None:
        self.loaded = loaded

    @property
    def base(self) -> Input:
        """The checked input before its scan is expanded."""
        return self.loaded.model

    @property
    def n_points(self) -> int:
        """Number of points of the scan."""
        return n_points(self.base)

    def point(self, point: int) -> Input:
        """Return the input of one point of the scan.

        Parameters
        ----------
        point : int

        Returns
        -------
        Input
        """
        return _point_and_schedule(self, point)[0]

    def schedule(self, point: int) -> Schedule:
        """Return the flattened protocol of one point of the scan.

        Parameters
        ----------
        point : int

        Returns
        -------
        Schedule
        """
        return _point_and_schedule(self, point)[1]

    def cells(self, point: int) -> int:
        """Return the number of cells of a task at a point of the scan.

        Parameters
        ----------
        point : int

        Returns
        -------
        int
        """
        crossbar = self.point(point).crossbar
        return crossbar.rows * crossbar.columns

    @property
    def members(self) -> int:
        """Number of devices."""
        return self.base.ensemble.members

    @property
    def checked_members(self) -> int:
        """Number of members that run a second time at a larger tolerance."""
        settings = self.base.engine
        if not settings.check_tolerance or settings.algorithm == "exact":
            return 0
        return min(CHECKED_MEMBERS, self.members)

    def members_of(self, coarse: bool) -> int:
        """Return the number of members that run at each point, or run a second time.

        Parameters
        ----------
        coarse : bool

        Returns
        -------
        int
        """
        return self.checked_members if coarse else self.members

    @property
    def n_tasks(self) -> int:
        """Number of tasks."""
        return self.n_points * (self.members + self.checked_members)

    def task(self, point: int, member: int, coarse: bool = False) -> Task:
        """Return the task of a member at a point of the scan.

        Parameters
        ----------
        point, member : int
        coarse : bool
            The second run, at a larger tolerance.

        Returns
        -------
        Task
        """
        if coarse:
            index = self.n_points * self.members + point * self.checked_members + member
        else:
            index = point * self.members + member
        return Task(index, point, member, coarse)

    def task_of_index(self, index: int) -> Task:
        """Return the task of an index.

        Parameters
        ----------
        index : int

        Returns
        -------
        Task
        """
        first_coarse = self.n_points * self.members
        coarse = index >= first_coarse
        number = index - first_coarse if coarse else index
        return Task(index, *divmod(number, self.members_of(coarse)), coarse)

    def tasks(self) -> Iterator[Task]:
        """Iterate over all tasks in the order of their index.

        Yields
        ------
        Task
        """
        for coarse, members in ((False, self.members), (True, self.checked_members)):
            for point in range(self.n_points):
                for member in range(members):
                    yield self.task(point, member, coarse)

    def tolerance(self, task: Task) -> float | None:
        """Return the tolerance 1/C of the rate cap in a task.

        Parameters
        ----------
        task : Task

        Returns
        -------
        float or None
            None for exact residence times.
        """
        settings = self.point(task.point).engine
        if settings.algorithm == "exact":
            return None
        return min(0.99, settings.tolerance * (CHECK_FACTOR if task.coarse else 1.0))

    @cached_property
    def identity(self) -> RunIdentity:
        """What distinguishes this run from others; its seed is None if it has to be drawn."""
        content = json.loads(self.loaded.resolved)
        seed = content["ensemble"].pop("seed")
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        return RunIdentity(
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
    if point > 0 and not any(
        key.split(".")[0] == "protocol" for key in scanned_keys(plan.base.scan)
    ):
        return inputs, plan.schedule(0)
    return inputs, flatten(inputs.protocol)
