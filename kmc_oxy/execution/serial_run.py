"""Running the tasks of a run in one process, with checkpoints."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from kmc_oxy.execution.progress import Meter, Progress
from kmc_oxy.execution.tasks import Plan, Task
from kmc_oxy.process import Interrupted
from kmc_oxy.simulation import Alone, Pause, Simulation
from kmc_oxy.storage import Packer, WorkFolder, single_files

#: Wall-clock seconds between two checkpoints of a task.
CHECKPOINT_CADENCE_S = 30.0


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
