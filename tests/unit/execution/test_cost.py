import itertools
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from run_examples import plan_of

from kmc_oxy import inputs
from kmc_oxy.execution import MemoryNeedError, Plan, check_memory, cost, estimate
from kmc_oxy.execution.cost import relative_cost
from kmc_oxy.execution.task_order import TaskOrder, task_cost
from kmc_oxy.simulation import Simulation, TaskParameters

ROOT = Path(__file__).parents[3]
#: A large tolerance is enough for a number of hops.
COARSE = ("ensemble.members=2", "engine.tolerance=0.1")

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


def test_tasks_with_a_checkpoint_come_first_then_long_ones(plan):
    costs = [relative_cost(plan, point) for point in range(plan.n_points)]
    tasks = TaskOrder(plan, costs, finished={4, 5}, started={0})
    order = list(tasks)
    assert tasks.unfinished == len(order) and tasks.positions > len(order)
    assert tasks.cost == pytest.approx(sum(task_cost(costs, task) for task in order))
    assert tasks.duration_s == pytest.approx(sum(plan.schedule(t.point).duration_s for t in order))
    assert order[0].index == 0
    assert sorted(task.index for task in order) == sorted(set(range(plan.n_tasks)) - {4, 5})
    found = [task_cost(costs, task) for task in order[1:]]
    assert found == sorted(found, reverse=True)
    # The longest train on the larger device.
    assert (order[1].point, order[2].point) == (2, 2) or order[1].point == 3


def test_costs_are_like_the_time_taken(plan):
    """Within a factor of eight, while the times differ by more than 20: enough to sort by."""
    times_s, costs = [], []
    for point in range(plan.n_points):
        simulation = Simulation(
            plan.point(point),
            plan.schedule(point),
            TaskParameters(
                point=point, member=0, seed=1, tolerance=plan.tolerance(plan.task(point, 0))
            ),
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


@pytest.mark.parametrize(
    ("protocol", "engine", "factor"),
    [
        ("[{relax: {duration: 100}}]", "capped", 4),
        ("[{relax: {duration: 100, voltage: 0}}]", "capped", 4),
        ("[{pulse: {voltage: 4, duration: 1}}]", "capped", 4),
        ("[{train: {voltage: 2, duration: 1 ms, count: 10}}]", "capped", 4),
        ("[{pulse: {voltage: -4, duration: 100 ns, rest: null}}]", "exact", 30),
    ],
)
def test_the_estimate_of_the_hops(protocol, engine, factor):
    plan = plan_of(
        f"device: {{lattice: {{nx: 12, ny: 12}}}}\nprotocol: {protocol}\n"
        f"ensemble: {{seed: 1}}\nengine: {{algorithm: {engine}}}\n"
    )
    simulation = Simulation(
        plan.point(0),
        plan.schedule(0),
        TaskParameters(point=0, member=0, seed=1, tolerance=plan.tolerance(plan.task(0, 0))),
    )
    for _ in simulation.run():
        pass
    found = estimate(plan)
    assert 1 / factor < found.hops / simulation.hops < factor
    sites = 12 * 12 * 14
    assert found.sites == (sites, sites) and set(found.oxygens) == {round(0.075 * sites)}


@pytest.mark.parametrize("preset", ["shumilin2024", "held_by_binding", "by_hand"])
def test_the_estimate_follows_the_oxygens_to_the_electrodes(preset):
    """There a fitted set makes a hundredth of the hops of oxygens at random places."""
    settings = (*COARSE, f"device.preset={preset}")
    plan = Plan(inputs.load(ROOT / "inputs" / "quickstart.yaml", settings))
    hops = 0
    for member in (0, 1):
        simulation = Simulation(
            plan.point(0),
            plan.schedule(0),
            TaskParameters(
                point=0, member=member, seed=1, tolerance=plan.tolerance(plan.task(0, member))
            ),
        )
        for _ in simulation.run():
            pass
        hops += simulation.hops
    assert 1 / 2 < estimate(plan).hops / hops < 2


def test_an_estimate_without_room_for_a_trial_run(monkeypatch):
    plan = plan_of("protocol: [{pulse: {voltage: -4, duration: 1 s}}]")
    followed = estimate(plan).hops
    monkeypatch.setattr(cost, "MAX_TRIALS", 0)
    assert 1 / 6 < estimate(plan).hops / followed < 6
    assert estimate(plan).hops != followed


@pytest.mark.filterwarnings("error")
def test_an_estimate_with_rates_and_a_tolerance_near_zero(monkeypatch):
    monkeypatch.setattr(cost, "MAX_TRIALS", 0)
    plan = plan_of(
        "device: {temperature: 15}\nprotocol: [{read: {}}]\n"
        "ensemble: {seed: 1}\nengine: {tolerance: 1e-30}\n"
    )
    assert 0 < estimate(plan).hops < np.inf


@pytest.mark.parametrize(
    "text",
    [
        "protocol: [{train: {voltage: 2 V, duration: 1 us, count: 9000000}}]",
        "device: {lattice: {nx: 2000, ny: 2000}}\nprotocol: [{read: {}}]",
        "device: {lattice: {organic_layers: 2000, organic_thickness: 1 um}}\n"
        "protocol: [{read: {}}]",
        "ensemble: {members: 100000000}\nprotocol: [{read: {}}]",
        "crossbar: {rows: 300, columns: 300}\nprotocol: [{map: {}}]",
    ],
)
def test_a_large_input_is_estimated_without_being_expanded(text):
    tracemalloc.start()
    found = estimate(plan_of(text + "\nensemble: {seed: 1}\n" * ("ensemble" not in text)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200e6
    assert found.hops > 0 and found.output_bytes > 0


def test_a_run_that_cannot_fit_is_refused(monkeypatch):
    plan = plan_of("crossbar: {rows: 300, columns: 300}\nprotocol: [{map: {}}]")
    assert 400e9 < cost.memory_bytes(plan) < 700e9
    assert cost.memory_bytes(plan, processes=90) < 10e9
    monkeypatch.setattr(cost, "available_memory_bytes", lambda: 64e9)
    with pytest.raises(
        MemoryNeedError, match=r"about \d{3} GB per process, and 64 GB are available"
    ):
        check_memory(plan)
    check_memory(plan, processes=90)
    check_memory(plan_of("protocol: [{read: {}}]"))


def test_tasks_of_a_huge_ensemble_are_not_listed():
    plan = plan_of("protocol: [{read: {}}]\nensemble: {members: 100000000}\n")
    tasks = TaskOrder(plan, [1.0], finished={0, 7}, started={5, 7})
    assert tasks.unfinished == 99_999_998
    assert [task.index for task in itertools.islice(tasks, 5)] == [5, 1, 2, 3, 4]
    assert tasks.task_at(tasks.positions - 1).member == 99_999_999
