"""What a run will cost, before it runs: tasks, sites, hops, memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kmc_oxy.execution.tasks import CHECK_FACTOR, Plan, Task
from kmc_oxy.protocol import Hold
from kmc_oxy.simulation import CrossPoint

#: Points of a scan that are looked at; the others are taken to be like them.
SAMPLED_POINTS = 8
#: Memory of landscape, rate tables and kernel per site, and of the program itself.
BYTES_PER_SITE = 550
BASE_BYTES = 85e6
#: Relative costs of points are taken from a patch of at most this many columns each way.
SMALL_DEVICE = 8
#: Trial runs are made on a patch of at most this many: hops are a matter of a few fast bonds, so
#: that a smaller one scatters by a factor of two.
TRIAL_RUN_DEVICE = 14
#: Trials that the trial runs of an estimate may take together: some seconds.
TRIAL_RUN_TRIALS = 3_000_000
#: How often a trial run goes through the same spell; further ones are taken to be like the last.
TRIAL_RUN_REPEATS = 4
#: Wall-clock time of a hop, and of a reading for each site; only their ratio matters.
HOP_S = 3e-7
READING_S = 1e-6


#: Voltage (V), and times since the edge (s) between which it is resolved.
Spell = tuple[float, float, float]


@dataclass(frozen=True)
class Cost:
    """Size of a run.

    Parameters
    ----------
    tasks, points, members, cells : int
        Cells are those of one task.
    sites, oxygens : int
        Of one cell, at the first point.
    readings : int
        Of one task, at the first point.
    duration_s : float
        Physical time of one task, at the first point.
    hops : float
        Expected number, all tasks together: within a factor of about 4 in capped mode, where the
        scatter is between devices, and each cell of an array is taken to get every pulse. Where a
        trial run would take too long, above all in exact mode, where the oxygens will be is not
        known: within a factor of about 30.
    memory_bytes : float
        Of one process; rough.
    """

    tasks: int
    points: int
    members: int
    cells: int
    sites: int
    oxygens: int
    readings: int
    duration_s: float
    hops: float
    memory_bytes: float


def estimate(plan: Plan) -> Cost:
    """Estimate the cost of a plan from trial runs on a small patch of the first device.

    Parameters
    ----------
    plan : Plan

    Returns
    -------
    Cost
    """
    inputs, schedule = plan.point(0), plan.schedule(0)
    cells = inputs.crossbar.rows * inputs.crossbar.columns
    sampled = np.unique(
        np.linspace(0, plan.n_points - 1, min(plan.n_points, SAMPLED_POINTS)).astype(int)
    )
    trials = TRIAL_RUN_TRIALS // len(sampled)
    hops = float(np.mean([_hops_of_a_trial_run(plan, int(point), trials) for point in sampled]))
    device = CrossPoint.build(inputs, 0, 0, 0, plan.base.ensemble.seed or 0)
    layers = device.lattice.n_layers
    record_bytes = 8.0 * cells * len(schedule.readings) * (5 + layers)
    return Cost(
        tasks=plan.n_tasks,
        points=plan.n_points,
        members=plan.members,
        cells=cells,
        sites=device.lattice.n_sites,
        oxygens=int(np.count_nonzero(device.occupied_at_start)),
        readings=len(schedule.readings),
        duration_s=schedule.duration_s,
        hops=hops * cells * plan.n_tasks,
        memory_bytes=BASE_BYTES + cells * device.lattice.n_sites * BYTES_PER_SITE + record_bytes,
    )


def relative_cost(plan: Plan, point: int) -> float:
    """Rough wall-clock time (s) of a task at a point, good enough to tell long from short.

    Without a trial run, since there may be thousands of points.
    """
    if plan.n_points == 1:
        return 1.0
    device, share = _small_patch(plan, point, SMALL_DEVICE)
    tolerance = plan.tolerance(plan.task(point, 0))
    kinds = Counter(_spells(plan.schedule(point).holds))
    hops = sum(
        count * expected_hops(device, device.occupied_at_start, *spell, tolerance)
        for spell, count in kinds.items()
    )
    inputs = plan.point(point)
    readings = len(plan.schedule(point).readings)
    cells = inputs.crossbar.rows * inputs.crossbar.columns
    return cells / share * (hops * HOP_S + readings * device.lattice.n_sites * READING_S)


def longest_first(
    plan: Plan, costs: Sequence[float], finished: Set[int], started: Set[int]
) -> list[Task]:
    """Tasks still to do, in the order that leaves no rank idle for long at the end.

    Parameters
    ----------
    plan : Plan
    costs : sequence of float
        `relative_cost` of every point.
    finished, started : set of int
        Indices of tasks that are done, and of those that have a checkpoint; the latter come
        first, so that checkpoints do not pile up over many sessions.
    """
    todo = [task for task in plan.tasks() if task.index not in finished]
    return sorted(todo, key=lambda t: (t.index not in started, -task_cost(costs, t)))


def task_cost(costs: Sequence[float], task: Task) -> float:
    """Cost of a task from the costs of all points."""
    return float(costs[task.point]) / (CHECK_FACTOR if task.coarse else 1.0)


def _small_patch(plan: Plan, point: int, columns: int) -> tuple[CrossPoint, float]:
    """The first device at a point, cut down to a small patch, and what share of its area that is.

    Its disorder is drawn anew: it is a device of the same kind.
    """
    inputs = plan.point(point)
    lattice = inputs.device.lattice
    small = lattice.model_copy(
        update={"nx": min(lattice.nx, columns), "ny": min(lattice.ny, columns)}
    )
    device = inputs.device.model_copy(update={"lattice": small})
    patch = CrossPoint.build(
        inputs.model_copy(update={"device": device}), 0, 0, 0, plan.base.ensemble.seed or 0
    )
    return patch, small.nx * small.ny / (lattice.nx * lattice.ny)


def _hops_of_a_trial_run(plan: Plan, point: int, trials: int) -> float:
    """Hops of one cell at a point, from a run of a small patch through the first of its spells.

    It has to be run: after the first pulses the oxygens sit in the layers at the electrodes, where
    they hop up to a hundred times less often than at their start. What the budget of trials does
    not allow is estimated with the oxygens where they have come to.
    """
    device, share = _small_patch(plan, point, TRIAL_RUN_DEVICE)
    tolerance = plan.tolerance(plan.task(point, 0))
    engine = device.engine(point, tolerance)
    spells = list(_spells(plan.schedule(point).holds))
    counts = Counter(spells)
    made: dict[Spell, list[int]] = {}
    for spell in spells:
        runs = made.setdefault(spell, [])
        if len(runs) == TRIAL_RUN_REPEATS:
            continue
        voltage_V, start_s, stop_s = spell
        before = engine.hops
        engine.set_potential(device.potential_per_volt * voltage_V)
        engine.begin(stop_s, start_s or None)
        while engine.pending and engine.trials < trials:
            engine.step()
        if engine.pending:
            break
        runs.append(engine.hops - before)
    total = 0.0
    for spell, count in counts.items():
        runs = made.get(spell, [])
        later = runs[1:] or runs
        mean = (
            np.mean(later) if later else expected_hops(device, engine.occupied, *spell, tolerance)
        )
        total += sum(runs) + (count - len(runs)) * float(mean)
    return total / share


def _spells(holds: Sequence[Hold]) -> Iterator[Spell]:
    """Voltage, and times since the edge between which it is resolved, of each spell without edge.

    In exact mode a spell is resolved from its edge on; the start only matters to the cap.
    """
    voltage_V = start_s = stop_s = 0.0
    for hold in holds:
        if hold.edge:
            if stop_s > 0:
                yield voltage_V, start_s, stop_s
            voltage_V, stop_s = hold.voltage_V, 0.0
            start_s = hold.resolution_s or hold.duration_s / 100
        stop_s += hold.duration_s
    yield voltage_V, start_s, stop_s


def expected_hops(
    device: CrossPoint,
    occupied: NDArray[np.bool_],
    voltage_V: float,
    start_s: float,
    stop_s: float,
    tolerance: float | None,
) -> float:
    """Expected hops of one cell between an edge and `stop_s`, the oxygens staying where they are.

    An oxygen that goes to and fro over a bond hops 2 k_ij k_ji / (k_ij + k_ji) times a second.
    Under the cap, a bond that is faster than Gamma(t) = C/max(t, t0) hops C/max(t, t0) times
    that over its slower rate: C ln 10, some 2.3 C, hops a decade. Each oxygen is counted with
    the bond that it hops over most.
    """
    inputs = device.inputs.device
    k_ij, k_ji = device.landscape.rates(
        device.potential_per_volt * voltage_V,
        inputs.temperature,
        inputs.oxygen.attempt_frequency,
    )
    first, second = device.landscape.bonds.T
    possible = occupied[first] != occupied[second]
    oxygen = np.where(occupied[first], first, second)[possible]
    slower = np.minimum(k_ij, k_ji)[possible]
    faster = np.maximum(k_ij, k_ji)[possible]
    # Rates below any that matter may underflow to zero.
    share = 2 / (1 + slower / np.maximum(faster, np.finfo(float).tiny))
    if tolerance is None:
        hops = share * slower * stop_s
    else:
        with np.errstate(divide="ignore"):
            capped_from_s = np.maximum(1 / (tolerance * slower), start_s)
        uncapped = np.minimum(slower * stop_s, 1 / tolerance)
        periods = np.log(np.maximum(stop_s / capped_from_s, 1.0))
        hops = share * (uncapped + periods / tolerance)
    most = np.zeros(occupied.size)
    np.maximum.at(most, oxygen, hops)
    return float(most.sum())
