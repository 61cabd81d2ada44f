"""Estimated cost of a run: tasks, sites, hops, memory, and the relative cost of its tasks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kmc_oxy.execution.tasks import CHECK_FACTOR, Plan, Task
from kmc_oxy.protocol import Hold
from kmc_oxy.simulation import CrossPoint

#: Number of points of a scan for which hops are estimated; the mean stands for all points.
SAMPLED_POINTS = 8
#: Memory of landscape, rate tables and kernel per site, and of the program itself.
BYTES_PER_SITE = 550
BASE_BYTES = 85e6
#: Largest nx and ny of the patch for relative costs of points.
COST_PATCH_COLUMNS = 8
#: Largest nx and ny of the patch for trial runs. Few fast bonds make most hops, so the hops of a
#: smaller patch scatter by a factor of two.
TRIAL_PATCH_COLUMNS = 14
#: Kernel trials of all trial runs of an estimate together: some seconds.
MAX_TRIALS = 3_000_000
#: How often a trial run repeats the same interval; the mean of the repeats stands for later ones.
MAX_REPEATS = 4
#: Wall-clock time of a hop, and of a reading for each site; only their ratio matters.
HOP_S = 3e-7
READING_S = 1e-6


class VoltageInterval(NamedTuple):
    """An interval of constant voltage between two edges.

    Parameters
    ----------
    voltage_V : float
    start_s, stop_s : float
        Earliest and latest time after the first edge that is resolved. The start matters only with
        the rate cap: in exact mode an interval is resolved from its edge on.
    """

    voltage_V: float
    start_s: float
    stop_s: float


@dataclass(frozen=True)
class Cost:
    """Estimated cost of a run.

    Parameters
    ----------
    tasks, points, members : int
        Numbers of tasks, points of the scan and members of the ensemble.
    cells : int
        Number of cells of one task.
    sites, oxygens : int
        Numbers in one cell, at the first point.
    readings : int
        Number of readings of one task, at the first point.
    duration_s : float
        Physical time of one task, at the first point.
    hops : float
        Expected number of all tasks together, with every cell of an array getting every pulse.
        Within a factor of about 4 in capped mode, because devices differ. Within a factor of about
        30 if the trial run would take too long (above all in exact mode), because the later places
        of the oxygens are then unknown.
    memory_bytes : float
        Memory of one process, roughly.
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
    """Estimate the cost of a run from trial runs of a small patch of the first device.

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
    trials = MAX_TRIALS // len(sampled)
    hops = float(np.mean([_hops_of_trial_run(plan, int(point), trials) for point in sampled]))
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
    """Estimate the relative cost of a task at a point of the scan, without a trial run.

    Parameters
    ----------
    plan : Plan
    point : int

    Returns
    -------
    float
        Rough wall-clock time (s); only ratios between points matter.
    """
    if plan.n_points == 1:
        return 1.0
    device, area_fraction = _small_patch(plan, point, COST_PATCH_COLUMNS)
    tolerance = plan.tolerance(plan.task(point, 0))
    counts = Counter(_voltage_intervals(plan.schedule(point).holds))
    hops = sum(
        count * expected_hops(device, device.occupied_at_start, interval, tolerance)
        for interval, count in counts.items()
    )
    inputs = plan.point(point)
    readings = len(plan.schedule(point).readings)
    cells = inputs.crossbar.rows * inputs.crossbar.columns
    patch_s = hops * HOP_S + readings * device.lattice.n_sites * READING_S
    return cells / area_fraction * patch_s


def longest_first(
    plan: Plan, costs: Sequence[float], finished: Set[int], started: Set[int]
) -> list[Task]:
    """Order the unfinished tasks so that few ranks are idle at the end of the run.

    Parameters
    ----------
    plan : Plan
    costs : sequence of float
        `relative_cost` of every point.
    finished, started : set of int
        Indices of the tasks that are finished, and of those that have a checkpoint.

    Returns
    -------
    list of Task
        Those with a checkpoint first, so that checkpoints do not accumulate over many sessions;
        then by decreasing cost.
    """
    unfinished = [task for task in plan.tasks() if task.index not in finished]
    return sorted(unfinished, key=lambda t: (t.index not in started, -task_cost(costs, t)))


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


def _small_patch(plan: Plan, point: int, columns: int) -> tuple[CrossPoint, float]:
    """A small patch of the first device at a point, and its fraction of the area of the device.

    Its disorder is drawn anew, with the same distribution.
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


def _hops_of_trial_run(plan: Plan, point: int, trials: int) -> float:
    """Hops of one cell at a point, from a trial run of a small patch.

    The trial run is needed because after the first pulses the oxygens are in the layers at the
    electrodes, where they hop up to a hundred times less often than at the start. Intervals beyond
    the budget of kernel trials are estimated with the oxygens at their last places.
    """
    device, area_fraction = _small_patch(plan, point, TRIAL_PATCH_COLUMNS)
    tolerance = plan.tolerance(plan.task(point, 0))
    engine = device.engine(point, tolerance)
    intervals = list(_voltage_intervals(plan.schedule(point).holds))
    counts = Counter(intervals)
    hops_of: dict[VoltageInterval, list[int]] = {}
    for interval in intervals:
        repeats = hops_of.setdefault(interval, [])
        if len(repeats) == MAX_REPEATS:
            continue
        before = engine.hops
        engine.set_potential(device.potential_per_volt * interval.voltage_V)
        engine.begin(interval.stop_s, interval.start_s or None)
        while engine.pending and engine.trials < trials:
            engine.step()
        if engine.pending:
            break
        repeats.append(engine.hops - before)
    total = 0.0
    for interval, count in counts.items():
        repeats = hops_of.get(interval, [])
        later = repeats[1:] or repeats
        mean = (
            np.mean(later) if later else expected_hops(device, engine.occupied, interval, tolerance)
        )
        total += sum(repeats) + (count - len(repeats)) * float(mean)
    return total / area_fraction


def _voltage_intervals(holds: Sequence[Hold]) -> Iterator[VoltageInterval]:
    """Join the holds between two edges."""
    voltage_V = start_s = stop_s = 0.0
    for hold in holds:
        if hold.edge:
            if stop_s > 0:
                yield VoltageInterval(voltage_V, start_s, stop_s)
            voltage_V, stop_s = hold.voltage_V, 0.0
            start_s = hold.resolution_s or hold.duration_s / 100
        stop_s += hold.duration_s
    yield VoltageInterval(voltage_V, start_s, stop_s)


def expected_hops(
    device: CrossPoint,
    occupied: NDArray[np.bool_],
    interval: VoltageInterval,
    tolerance: float | None,
) -> float:
    """Estimate the hops of one cell during an interval, with the oxygens at fixed places.

    An oxygen that hops back and forth over a bond makes 2 k_ij k_ji / (k_ij + k_ji) hops a second.
    The cap Gamma(t) = C/max(t, t0) reduces the slower rate of a faster bond to Gamma(t). Such a
    bond makes C ln 10, about 2.3 C, slow hops per decade of time. Each oxygen is counted with the
    bond over which it makes the most hops.

    Parameters
    ----------
    device : CrossPoint
    occupied : ndarray of bool, shape (sites,)
    interval : VoltageInterval
    tolerance : float or None
        1/C of the rate cap; None for exact residence times.

    Returns
    -------
    float
    """
    inputs = device.inputs.device
    k_ij, k_ji = device.landscape.rates(
        device.potential_per_volt * interval.voltage_V,
        inputs.temperature,
        inputs.oxygen.attempt_frequency,
    )
    first, second = device.landscape.bonds.T
    possible = occupied[first] != occupied[second]
    oxygen = np.where(occupied[first], first, second)[possible]
    slower = np.minimum(k_ij, k_ji)[possible]
    faster = np.maximum(k_ij, k_ji)[possible]
    # The smallest rates may underflow to zero.
    hops_per_slow_hop = 2 / (1 + slower / np.maximum(faster, np.finfo(float).tiny))
    if tolerance is None:
        hops = hops_per_slow_hop * slower * interval.stop_s
    else:
        with np.errstate(divide="ignore"):
            capped_from_s = np.maximum(1 / (tolerance * slower), interval.start_s)
        uncapped = np.minimum(slower * interval.stop_s, 1 / tolerance)
        e_folds = np.log(np.maximum(interval.stop_s / capped_from_s, 1.0))
        hops = hops_per_slow_hop * (uncapped + e_folds / tolerance)
    most = np.zeros(occupied.size)
    np.maximum.at(most, oxygen, hops)
    return float(most.sum())
