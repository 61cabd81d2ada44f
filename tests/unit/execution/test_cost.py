import time

import numpy as np
import pytest

from kmc_oxy import inputs
from kmc_oxy.execution import Plan
from kmc_oxy.execution.cost import longest_first, relative_cost, task_cost
from kmc_oxy.simulation import Simulation

TEXT = """
device: {lattice: {nx: 12, ny: 12}}
protocol: [{train: {voltage: 2 V, duration: 1 ms, count: 1}}]
scan:
  protocol.0.train.count: [1, 100, 10]
  device.lattice.nx: [12, 6]
ensemble: {members: 2, seed: 1}
engine: {check_tolerance: true}
"""


@pytest.fixture(scope="module")
def plan():
    return Plan(inputs.loads(TEXT))


def test_long_tasks_come_first_and_begun_ones_before_all(plan):
    costs = [relative_cost(plan, point) for point in range(plan.n_points)]
    order = longest_first(plan, costs, finished={4, 5}, started={0})
    assert order[0].index == 0
    assert sorted(task.index for task in order) == sorted(set(range(plan.n_tasks)) - {4, 5})
    found = [task_cost(costs, task) for task in order[1:]]
    assert found == sorted(found, reverse=True)
    # The longest train on the larger device.
    assert (order[1].point, order[2].point) == (2, 2) or order[1].point == 3


def test_costs_are_like_the_time_taken(plan):
    """Within a factor of eight where the times themselves differ by more, enough to sort by."""
    times_s, costs = [], []
    for point in range(plan.n_points):
        simulation = Simulation(
            plan.point(point),
            plan.schedule(point),
            point=point,
            member=0,
            seed=1,
            tolerance=plan.tolerance(plan.task(point, 0)),
        )
        began = time.process_time()
        for _ in simulation.run():
            pass
        times_s.append(time.process_time() - began)
        costs.append(relative_cost(plan, point))
    ratios = np.divide(times_s, costs)
    assert max(ratios) / min(ratios) < 8 < 20 < max(times_s) / min(times_s)


def test_one_point_needs_no_estimate():
    plan = Plan(inputs.loads("protocol: [{read: {}}]"))
    assert relative_cost(plan, 0) == 1.0
