"""Estimated cost of a run: tasks, sites, hops, memory, and the relative cost of its tasks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from kmc_oxy.execution.tasks import Plan
from kmc_oxy.process import available_memory_bytes
from kmc_oxy.protocol import Drive, Schedule, snapshot_readings
from kmc_oxy.simulation import CrossPoint
from kmc_oxy.units import count_text

#: Number of points of a scan for which hops are estimated; their mean is used for all points.
SAMPLED_POINTS = 8
#: Points of the scan of which sizes and physical times are given.
DESCRIBED_POINTS = 64
#: Readings or steps of these points together; of long protocols fewer points are looked at.
DESCRIBED_STEPS = 20_000
#: Memory of landscape, rate tables and kernel per site, and of the program itself.
BYTES_PER_SITE = 550
BASE_BYTES = 85e6
#: Memory of the conduction network per pair of linked nodes.
BYTES_PER_LINK = 40
#: Largest nx and ny of the patch for relative costs of points.
COST_PATCH_COLUMNS = 8
#: Largest number of sites of a small patch, whose columns become fewer if there are many layers.
MAX_PATCH_SITES = 40_000
#: Largest nx and ny of the patch for trial runs. A few fast bonds account for most hops,
#: so the hops of a smaller patch scatter by a factor of two.
TRIAL_PATCH_COLUMNS = 14
#: Kernel trials of all trial runs of an estimate together: about a second.
MAX_TRIALS = 1_000_000
#: Intervals of an estimate, and sites times intervals; of longer protocols a sample is taken.
MAX_INTERVALS = 1000
MAX_SITE_INTERVALS = 3_000_000
#: How often a trial run repeats the same interval; the mean of the repeats stands for later ones.
MAX_REPEATS = 4
#: Wall-clock time of a hop, and of a reading for each site; only their ratio matters.
HOP_S = 3e-7
READING_S = 1e-6
#: Size of an output without its data: attributes and structures of HDF5.
OUTPUT_BASE_BYTES = 100_000
#: Smallest and largest value.
Range: TypeAlias = tuple[float, float]


class MemoryNeedError(RuntimeError):
    """A run that would need more memory than there is; the message is for the user."""


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
    sites, oxygens, readings : Range
        Smallest and largest number of sites and oxygens in one cell and of readings of one task,
        over the scan (of a long one, over some of its points).
    duration_s : Range
        The same of the physical time of one task.
    hops : float
        Expected number of all tasks together, with every cell of an array getting every pulse.
        Within a factor of about 4 in capped mode, because devices differ. Within a factor of about
        30 if the trial run would take too long (above all in exact mode), because the later places
        of the oxygens are then unknown.
    memory_bytes : float
        Memory of one process, roughly.
    output_bytes : float
        Size of the datasets of the output, before compression.
    """

    tasks: int
    points: int
    members: int
    cells: int
    sites: Range
    oxygens: Range
    readings: Range
    duration_s: Range
    hops: float
    memory_bytes: float
    output_bytes: float


def estimate(plan: Plan) -> Cost:
    """Estimate the cost of a run from trial runs of a small patch of the first device.

    Parameters
    ----------
    plan : Plan

    Returns
    -------
    Cost
    """
    cells = plan.cells(0)
    sampled = _sampled_points(plan, SAMPLED_POINTS)
    # Long protocols take long to flatten.
    affordable = DESCRIBED_STEPS // max(1, len(plan.schedule(0).readings), len(plan.base.protocol))
    described = _sampled_points(plan, max(2, min(DESCRIBED_POINTS, affordable)))
    devices = [plan.point(point).device for point in described]
    schedules = [plan.schedule(point) for point in described]
    trials = MAX_TRIALS // len(sampled)
    share = 1 / len(sampled)
    hops = float(np.mean([_hops_of_trial_run(plan, point, trials, share) for point in sampled]))
    return Cost(
        tasks=plan.n_tasks,
        points=plan.n_points,
        members=plan.members,
        cells=cells,
        sites=_range(device.lattice.n_sites for device in devices),
        oxygens=_range(device.n_oxygens for device in devices),
        readings=_range(len(schedule.readings) for schedule in schedules),
        duration_s=_range(schedule.duration_s for schedule in schedules),
        hops=hops * cells * plan.n_tasks,
        memory_bytes=memory_bytes(plan),
        output_bytes=OUTPUT_BASE_BYTES
        + plan.n_tasks * max(_record_bytes(plan, point) for point in sampled),
    )


def core_time_s(cost: Cost) -> float:
    """Wall-clock time of a run on one core, roughly.

    Parameters
    ----------
    cost : Cost

    Returns
    -------
    float
    """
    readings = cost.tasks * cost.cells * cost.readings[1] * cost.sites[1]
    return cost.hops * HOP_S + readings * READING_S


def _range(values: Iterable[float]) -> Range:
    found = list(values)
    return min(found), max(found)


def _sampled_points(plan: Plan, most: int) -> list[int]:
    """Some points of the scan, evenly spaced, with the first and the last."""
    count = min(plan.n_points, most)
    return sorted({round(point) for point in np.linspace(0, plan.n_points - 1, count)})


def memory_bytes(plan: Plan, processes: int = 1) -> float:
    """Estimate the memory that one process needs.

    Parameters
    ----------
    plan : Plan
    processes : int
        Number of processes; they share the cells of an array if there are more of them than tasks.

    Returns
    -------
    float
        Bytes.
    """
    sharing = max(1, processes // plan.n_tasks)
    return BASE_BYTES + max(
        _device_bytes(plan, point) * -(-plan.cells(point) // sharing) + _record_bytes(plan, point)
        for point in _sampled_points(plan, SAMPLED_POINTS)
    )


def check_memory(plan: Plan, processes: int = 1) -> None:
    """Refuse a run that cannot fit into the memory of this process.

    Parameters
    ----------
    plan : Plan
    processes : int
        As in `memory_bytes`.

    Raises
    ------
    MemoryNeedError
        If it needs more than is available.
    """
    needed, available = memory_bytes(plan, processes), available_memory_bytes()
    if needed > available:
        raise MemoryNeedError(
            f"needs about {count_text(needed)}B per process, and {count_text(available)}B are "
            "available: use a smaller patch or array, fewer readings or snapshots, output.profile "
            "false, or more MPI ranks for one array; --no-memory-check starts it nevertheless"
        )


def _device_bytes(plan: Plan, point: int) -> float:
    """Landscape, kernel and conduction network of one cell."""
    inputs = plan.point(point)
    lattice, network = inputs.device.lattice, inputs.conductance
    organic = lattice.nx * lattice.ny * lattice.n_organic_layers
    density = min(1.0, network.background + inputs.device.oxygen.filling)
    volume = lattice.spacing**2 * lattice.organic_thickness / lattice.n_organic_layers
    neighbours = min(organic, 4 / 3 * np.pi * network.cutoff**3 / volume)
    links = 0.5 * organic * density * neighbours * density
    stencil = 24.0 * organic  # every displacement, from which those within the cut-off are taken
    return float(lattice.n_sites * BYTES_PER_SITE + links * BYTES_PER_LINK + stencil)


def _record_bytes(plan: Plan, point: int) -> float:
    """The record of one task."""
    inputs = plan.point(point)
    per_reading = 5 + (inputs.device.lattice.n_layers if inputs.output.profile else 0)
    readings = len(plan.schedule(point).readings)
    snapshots = len(snapshot_readings(inputs, readings))
    per_cell = 8.0 * readings * per_reading + 4.0 * snapshots * inputs.device.n_oxygens
    return plan.cells(point) * per_cell


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
    intervals = _sample_of_intervals(plan.schedule(point), device, 1 / SAMPLED_POINTS)
    hops = sum(
        count * expected_hops(device, device.occupied_at_start, interval, tolerance)
        for interval, count in _counts(intervals).items()
    )
    readings = len(plan.schedule(point).readings)
    patch_s = hops * HOP_S + readings * device.lattice.n_sites * READING_S
    return plan.cells(point) / area_fraction * patch_s


def _small_patch(plan: Plan, point: int, columns: int) -> tuple[CrossPoint, float]:
    """A small patch of the first device at a point, and its fraction of the area of the device.

    Its disorder is drawn anew, with the same distribution.
    """
    inputs = plan.point(point)
    lattice = inputs.device.lattice
    columns = max(3, min(columns, int(np.sqrt(MAX_PATCH_SITES / lattice.n_layers))))
    small = lattice.model_copy(
        update={"nx": min(lattice.nx, columns), "ny": min(lattice.ny, columns)}
    )
    device = inputs.device.model_copy(update={"lattice": small})
    patch = CrossPoint.build(
        inputs.model_copy(update={"device": device}), 0, 0, 0, plan.base.ensemble.seed or 0
    )
    return patch, small.nx * small.ny / (lattice.nx * lattice.ny)


def _hops_of_trial_run(plan: Plan, point: int, trials: int, share: float) -> float:
    """Hops of one cell at a point, from a trial run of a small patch.

    It takes at most so many kernel trials, and this share of the intervals of an estimate.

    The trial run is needed because after the first pulses the oxygens are in the layers at the
    electrodes, where they hop up to a hundred times less often than at the start. Intervals beyond
    the budget of kernel trials are estimated with the oxygens at their last places.
    """
    device, area_fraction = _small_patch(plan, point, TRIAL_PATCH_COLUMNS)
    tolerance = plan.tolerance(plan.task(point, 0))
    engine = device.engine(point, tolerance)
    intervals = _sample_of_intervals(plan.schedule(point), device, share)
    hops_of: dict[VoltageInterval, list[int]] = {}
    for interval, _ in intervals:
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
    for interval, count in _counts(intervals).items():
        repeats = hops_of.get(interval, [])
        later = repeats[1:] or repeats
        mean = (
            np.mean(later) if later else expected_hops(device, engine.occupied, interval, tolerance)
        )
        total += sum(repeats) + (count - len(repeats)) * float(mean)
    return total / area_fraction


def _sample_of_intervals(
    schedule: Schedule, device: CrossPoint, share: float
) -> list[tuple[VoltageInterval, float]]:
    """The intervals of a schedule, or a random sample in their order, with larger weights."""
    intervals = list(_voltage_intervals(schedule))
    affordable = min(MAX_INTERVALS, MAX_SITE_INTERVALS // device.lattice.n_sites)
    count = max(1, int(share * affordable))
    if len(intervals) <= count:
        return intervals
    chosen = np.random.default_rng(0).choice(len(intervals), count, replace=False)
    weight = len(intervals) / count
    return [
        (interval, weight * times) for interval, times in (intervals[i] for i in np.sort(chosen))
    ]


def _voltage_intervals(schedule: Schedule) -> Iterator[tuple[VoltageInterval, float]]:
    """Join the holds between two edges; of a loop only the first repetitions.

    Yields each interval with the number of intervals for which it stands.
    """
    drive: Drive | None = None
    voltage_V = start_s = stop_s = 0.0
    weight = 1
    for hold, times in schedule.sample_holds(MAX_REPEATS + 1):
        # Without a change of voltages there is no edge: fast hops stay in equilibrium.
        if hold.drive != drive:
            if stop_s > 0:
                yield VoltageInterval(voltage_V, start_s, stop_s), weight
            drive, voltage_V, stop_s, weight = hold.drive, hold.voltage_V, 0.0, times
            start_s = hold.resolution_s or hold.duration_s / 100
        stop_s += hold.duration_s
        weight = max(weight, times)
    yield VoltageInterval(voltage_V, start_s, stop_s), weight


def _counts(intervals: Iterable[tuple[VoltageInterval, float]]) -> dict[VoltageInterval, float]:
    """How often each interval occurs."""
    counts: defaultdict[VoltageInterval, float] = defaultdict(float)
    for interval, count in intervals:
        counts[interval] += count
    return counts


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
        # The smallest rates are never capped.
        with np.errstate(divide="ignore", over="ignore"):
            capped_from_s = np.maximum(1 / (tolerance * slower), interval.start_s)
        uncapped = np.minimum(slower * interval.stop_s, 1 / tolerance)
        e_folds = np.log(np.maximum(interval.stop_s / capped_from_s, 1.0))
        hops = hops_per_slow_hop * (uncapped + e_folds / tolerance)
    most = np.zeros(occupied.size)
    np.maximum.at(most, oxygen, hops)
    return float(most.sum())
