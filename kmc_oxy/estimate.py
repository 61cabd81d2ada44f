"""What a run will cost, before it runs: tasks, sites, hops, memory."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from kmc_oxy.device import CrossPoint
from kmc_oxy.ensemble import Plan
from kmc_oxy.protocol import Hold

#: Points of a scan that are looked at; the others are taken to be like them.
SAMPLED_POINTS = 8
#: What the competing exits that the cap keeps add to the hops; 1.3 to 3.7 in trials.
COMPETING_EXITS_FACTOR = 2.0
#: Memory of landscape, rate tables and kernel per site, and of the program itself.
BYTES_PER_SITE = 600
BASE_BYTES = 120e6


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
        Expected number, all tasks together; good to a factor of a few.
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
    """Estimate the cost of a plan from the first device, as it is before anything happens.

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
    hops = float(np.mean([_hops_of_a_cell(plan, int(point)) for point in sampled]))
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


def _hops_of_a_cell(plan: Plan, point: int) -> float:
    inputs = plan.point(point)
    device = CrossPoint.build(inputs, 0, 0, 0, plan.base.ensemble.seed or 0)
    tolerance = plan.tolerance(plan.task(point, 0))
    total = 0.0
    # A train repeats the same few holds: each kind is looked at once.
    kinds = Counter(
        (hold.voltage_V, hold.duration_s, hold.resolution_s)
        for hold in plan.schedule(point).holds
    )
    for (voltage_V, duration_s, resolution_s), count in kinds.items():
        hold = Hold(voltage_V, duration_s, resolution_s, step=0, leg=0, pulse=0, edge=True)
        total += count * expected_hops(device, hold, tolerance)
    return total


def expected_hops(device: CrossPoint, hold: Hold, tolerance: float | None) -> float:
    """Expected hops of one cell in one hold after an edge, the oxygens being where they start.

    An oxygen that goes to and fro over a bond hops 2 k_ij k_ji / (k_ij + k_ji) times a second.
    Under the cap, a bond that is faster than Gamma(t) = C/max(t, t0) hops C/max(t, t0) times
    that over its slower rate: C ln 10, some 2.3 C, hops a decade.
    """
    inputs = device.inputs.device
    k_ij, k_ji = device.landscape.rates(
        device.potential_per_volt * hold.voltage_V,
        inputs.temperature,
        inputs.oxygen.attempt_frequency,
    )
    first, second = device.landscape.bonds.T
    possible = device.occupied_at_start[first] != device.occupied_at_start[second]
    slower = np.minimum(k_ij, k_ji)[possible]
    faster = np.maximum(k_ij, k_ji)[possible]
    share = 2 / (1 + slower / faster)  # hop rate over the slower direction's rate
    if tolerance is None:
        return float(np.sum(share * slower)) * hold.duration_s
    resolution_s = hold.resolution_s or hold.duration_s / 100
    with np.errstate(divide="ignore"):
        capped_from_s = np.maximum(1 / (tolerance * slower), resolution_s)
    uncapped = np.minimum(slower * hold.duration_s, 1 / tolerance)
    decades = np.log(np.maximum(hold.duration_s / capped_from_s, 1.0))
    return float(np.sum(share * (uncapped + decades / tolerance))) * COMPETING_EXITS_FACTOR
