"""The order in which ranks take the unfinished tasks of a run.

The order is computed from the points of the scan, without a list of the tasks: an ensemble may
have a hundred million members.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence, Set
from itertools import accumulate

from kmc_oxy.execution.tasks import CHECK_FACTOR, Plan, Task


def task_cost(costs: Sequence[float], task: Task) -> float:
    """Return the relative cost of a task.

    Parameters
    ----------
    costs : sequence of float
        `relative_cost` of every point.
    task : Task

    Returns
    -------
    float
    """
    return float(costs[task.point]) / (CHECK_FACTOR if task.coarse else 1.0)


class TaskOrder:
    """Unfinished tasks in the order in which few ranks are idle at the end of the run.

    Those with a checkpoint come first, so that checkpoints do not accumulate over many sessions;
    then the others by decreasing cost.

    Parameters
    ----------
    plan : Plan
    costs : sequence of float
        `relative_cost` of every point.
    finished, started : set of int
        Indices of the tasks that are finished, and of those that have a checkpoint.

    Attributes
    ----------
    positions : int
        Number of positions of `task_at`.
    unfinished : int
        Number of tasks.
    cost : float
        Relative cost of all of them.
    duration_s : float
        Physical time of all of them.
    """

    def __init__(
        self, plan: Plan, costs: Sequence[float], finished: Set[int], started: Set[int]
    ) -> None:
        self._plan = plan
        self._first = [plan.task_of_index(index) for index in sorted(started - finished)]
        self._skipped = finished | started
        groups = [
            plan.task(point, 0, coarse)
            for coarse in (False, True)
            for point in range(plan.n_points)
            if plan.members_of(coarse)
        ]
        self._groups = sorted(groups, key=lambda task: -task_cost(costs, task))
        sizes = (plan.members_of(group.coarse) for group in self._groups)
        self._starts = list(accumulate(sizes, initial=len(self._first)))
        self.positions = self._starts[-1]
        self.unfinished = plan.n_tasks - len(finished)
        counts = {group: plan.members_of(group.coarse) for group in groups}
        for index in finished:
            done = plan.task_of_index(index)
            counts[plan.task(done.point, 0, done.coarse)] -= 1
        self.cost = sum(count * task_cost(costs, group) for group, count in counts.items())
        self.duration_s = sum(
            count * plan.schedule(group.point).duration_s for group, count in counts.items()
        )

    def task_at(self, position: int) -> Task | None:
        """The task at a position; None if it is finished or has another position.

        Parameters
        ----------
        position : int
            From 0 to `positions` - 1.

        Returns
        -------
        Task or None
        """
        if position < len(self._first):
            return self._first[position]
        number = bisect_right(self._starts, position) - 1
        group = self._groups[number]
        task = self._plan.task(group.point, position - self._starts[number], group.coarse)
        return None if task.index in self._skipped else task

    def __iter__(self) -> Iterator[Task]:
        """The unfinished tasks in their order."""
        for position in range(self.positions):
            task = self.task_at(position)
            if task is not None:
                yield task
