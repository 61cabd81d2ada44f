"""Scan x members -> independent tasks, and running them so that nothing is ever lost.

The list of tasks and `run_task` are the one seam: whoever distributes the tasks over processes
needs nothing else, and the results do not depend on who ran them.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from kmc_oxy.inputs import LoadedInput, at_point, n_points
from kmc_oxy.packs import Packer, single_files
from kmc_oxy.protocol import flatten
from kmc_oxy.schedule import Schedule
from kmc_oxy.schema import Input
from kmc_oxy.sharing import Alone, Pause
from kmc_oxy.signals import Interrupted
from kmc_oxy.simulation import Simulation
from kmc_oxy.store import Identity
from kmc_oxy.workdir import WorkFolder

#: Members that are run at a coarser tolerance as well when the input asks for the check.
CHECKED_MEMBERS = 4
#: How much coarser that is.
CHECK_FACTOR = 3.0
#: Wall-clock seconds between two checkpoints of a task.
CHECKPOINT_CADENCE_S = 30.0


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


@dataclass(frozen=True)
class Progress:
    """How far a run has come.

    Parameters
    ----------
    tasks, done : int
        All tasks, and those finished (in earlier sessions too).
    fraction : float
        Share of this session's work that is done, the task in progress included.
    hops : int
        Made in this session.
    elapsed_s : float
        Wall-clock time of this session.
    time_s, duration_s : float
        Physical time reached in the task in progress, and its end.
    """

    tasks: int
    done: int
    fraction: float
    hops: int
    elapsed_s: float
    time_s: float
    duration_s: float

    @property
    def hops_per_s(self) -> float:
        return self.hops / self.elapsed_s if self.elapsed_s > 0 else 0.0

    @property
    def remaining_s(self) -> float | None:
        """Wall-clock time left at the present pace; None before there is a pace."""
        if not 0 < self.fraction <= 1:
            return None
        return self.elapsed_s * (1 - self.fraction) / self.fraction


Watcher = Callable[[Simulation], None]


def run_task(
    plan: Plan,
    task: Task,
    work: WorkFolder,
    seed: int,
    *,
    stop: Callable[[], bool],
    watch: Watcher,
    cadence_s: float = CHECKPOINT_CADENCE_S,
    share_of: Callable[[int], Alone] = Alone,
) -> None:
    """Carry out one task, from its checkpoint if it has one, and make its result safe on disk.

    Parameters
    ----------
    plan : Plan
    task : Task
    work : WorkFolder
    seed : int
    stop : callable
        Asked between kernel calls; True saves a checkpoint and raises `Interrupted`.
    watch : callable
        Called with the simulation before the first kernel call and after each one.
    cadence_s : float
        Wall-clock time between checkpoints.
    share_of : callable
        Gives this process's share of that many cells. Of the processes that share a task the first
        one alone reads and writes its files.

    Raises
    ------
    Interrupted
        If `stop` says so.
    StoreError
        If something cannot be written.
    """
    arguments: dict[str, Any] = {
        "point": task.point,
        "member": task.member,
        "seed": seed,
        "tolerance": plan.tolerance(task),
    }
    inputs, schedule = plan.point(task.point), plan.schedule(task.point)
    share = share_of(plan.cells(task.point))
    arguments["share"] = share
    saved = share.hand_out(
        lambda: work.load_checkpoint(task.index),
        lambda state, owns: {
            **state, "simulation": Simulation.excerpt(state["simulation"], owns)
        },
    )  # fmt: skip
    wall_s = 0.0
    if saved is None:
        simulation = Simulation(inputs, schedule, **arguments)
    else:
        simulation = Simulation.from_state(inputs, schedule, saved["simulation"], **arguments)
        wall_s = saved["wall_time_s"]
    started = last = time.monotonic()

    def wanted() -> Pause:
        if stop():
            return Pause.STOP
        return Pause.SAVE if time.monotonic() - last >= cadence_s else Pause.NO

    watch(simulation)
    for pause in simulation.run(wanted):
        if pause:
            last = time.monotonic()
            if share.is_first:
                state = {
                    "simulation": simulation.state_dict(),
                    "wall_time_s": wall_s + last - started,
                }
                work.save_checkpoint(task.index, state)
        if pause is Pause.STOP:
            raise Interrupted
        watch(simulation)
    if share.is_first:
        record = {**simulation.record, "wall_time": wall_s + time.monotonic() - started}
        work.save_task(task.index, record)


def run_serial(
    plan: Plan,
    work: WorkFolder,
    *,
    stop: Callable[[], bool] = lambda: False,
    report: Callable[[Progress], None] = lambda progress: None,
    cadence_s: float = CHECKPOINT_CADENCE_S,
) -> None:
    """Carry out every task that is not finished, one after the other.

    Parameters
    ----------
    plan : Plan
    work : WorkFolder
        Locked, begun or resumed for this plan.
    stop : callable
        Whether to stop; asked between kernel calls.
    report : callable
        Called with the `Progress` after each kernel call and each task; must be quick.
    cadence_s : float
        Wall-clock time between two checkpoints of a task.

    Raises
    ------
    Interrupted
        If `stop` says so; everything done is on disk.
    StoreError
        If something cannot be written.
    """
    seed = work.manifest().seed
    finished = work.finished()
    todo = [task for task in plan.tasks() if task.index not in finished]
    meter = Meter(plan, len(todo), report)
    packer = Packer(work.pack, single_files(plan.n_tasks, ranks=1))
    packer.add(*work.singles())
    for task in todo:
        if stop():
            raise Interrupted
        run_task(plan, task, work, seed, stop=stop, watch=meter.watch, cadence_s=cadence_s)
        packer.add(task.index)
        meter.finish()


class Meter:
    """Counts tasks and hops of one session and passes them on.

    Parameters
    ----------
    plan : Plan
    todo : int
        Tasks that this session has to do.
    report : callable
        Called with each new `Progress`.
    """

    def __init__(self, plan: Plan, todo: int, report: Callable[[Progress], None]) -> None:
        self._plan = plan
        self._todo = todo
        self._report = report
        self._started = time.monotonic()
        self._done = 0
        self._hops = 0
        self._current: Simulation | None = None
        self._hops_before = 0

    def watch(self, simulation: Simulation) -> None:
        """Take note of a simulation that has begun or gone on."""
        if simulation is not self._current:
            self._current = simulation
            self._hops_before = simulation.hops
        self._pass_on(simulation.hops - self._hops_before, simulation.fraction)

    def finish(self) -> None:
        """Take note that the task in progress is finished."""
        if self._current is not None:
            self._hops += self._current.hops - self._hops_before
        self._done += 1
        self._pass_on(0, 0.0)
        self._current = None

    def _pass_on(self, hops: int, fraction: float) -> None:
        current = self._current
        self._report(
            Progress(
                tasks=self._plan.n_tasks,
                done=self._plan.n_tasks - self._todo + self._done,
                fraction=(self._done + fraction) / self._todo,
                hops=self._hops + hops,
                elapsed_s=time.monotonic() - self._started,
                time_s=current.time_s if current else 0.0,
                duration_s=current.schedule.duration_s if current else 0.0,
            )
        )
