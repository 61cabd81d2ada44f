import numpy as np
import pytest

from kmc_oxy.inputs.schema import Input
from kmc_oxy.protocol import flatten, observables
from kmc_oxy.protocol.recorded_quantities import OBSERVABLES
from kmc_oxy.simulation import Simulation, TaskParameters
from kmc_oxy.storage import read_tree, write_tree

PROTOCOL = [
    {"pulse": {"voltage": 4, "duration": "10 ms"}},
    {"train": {"voltage": -2.8, "duration": "1 ms", "count": 4}},
    {"relax": {"duration": 1, "points_per_decade": 2}},
]


def inputs(**changes):
    return Input.model_validate(
        {"device": {"lattice": {"nx": 6, "ny": 5}}, "protocol": PROTOCOL, **changes}
    )


def build(given, *, point=0, member=0, seed=5, tolerance=0.1):
    return Simulation(
        given,
        flatten(given.protocol),
        TaskParameters(point=point, member=member, seed=seed, tolerance=tolerance),
    )


def resumed(given, state, tolerance=0.1):
    """The simulation of `build`, from a state."""
    schedule = flatten(given.protocol)
    return Simulation.from_state(
        given, schedule, state, TaskParameters(point=0, member=0, seed=5, tolerance=tolerance)
    )


def drain(simulation):
    for _ in simulation.run():
        pass
    return simulation.record


def assert_same(first, second):
    assert first.keys() == second.keys()
    for name in first:
        assert first[name].dtype == second[name].dtype
        np.testing.assert_array_equal(first[name], second[name])


def test_the_record_is_what_was_asked_for():
    given = inputs()
    simulation = build(given)
    record = drain(simulation)
    n = len(simulation.schedule.readings)
    assert simulation.done and simulation.fraction == 1
    assert simulation.time_s == pytest.approx(simulation.schedule.duration_s, rel=1e-12)
    assert set(record) == {item.name for item in OBSERVABLES if not item.needs}
    assert record["conductance"].shape == record["hops"].shape == (1, 1, n)
    assert record["profile"].shape == (1, 1, n, 14)
    assert (record["conductance"] > 0).all()
    cell = simulation.cells[0]
    parallel_S, antiparallel_S = cell.device.spin_valve.conductances(cell.engine.occupied)
    assert record["conductance"][0, 0, -1] == parallel_S
    assert record["magnetoresistance"][0, 0, -1] == parallel_S / antiparallel_S - 1 != 0
    assert (np.diff(record["hops"]) >= 0).all() and record["hops"][0, 0, -1] == simulation.hops

    # Oxygens are conserved, and the observables agree.
    oxygens = round(0.075 * 6 * 5 * 14)
    np.testing.assert_allclose(record["profile"].sum(axis=-1) * 30, oxygens)
    np.testing.assert_allclose(
        record["profile"][..., :12].sum(axis=-1) * 30, record["oxygen_organic"]
    )
    sites = record["oxygen_site"]
    assert sites.shape == (1, 1, 2, oxygens)
    for snapshot, reading in ((0, 0), (1, n - 1)):
        layer = sites[0, 0, snapshot] // 30
        np.testing.assert_allclose(
            np.bincount(layer, minlength=14) / 30, record["profile"][0, 0, reading]
        )


def test_the_first_reading_comes_before_any_hop():
    given = inputs(protocol=[{"train": {"voltage": 2, "duration": "1 ms", "count": 1}}])
    simulation = build(given)
    record = drain(simulation)
    start = simulation.cells[0].device.occupied_at_start
    assert record["hops"][0, 0, 0] == 0
    np.testing.assert_array_equal(record["oxygen_site"][0, 0, 0], np.flatnonzero(start))


@pytest.mark.parametrize("tolerance", [0.1, None])
@pytest.mark.parametrize("calls", [1, 2, 3, 7, 20, 1000])
def test_interrupted_anywhere_it_goes_on_bit_for_bit(calls, tolerance, tmp_path):
    protocol = (
        PROTOCOL
        if tolerance
        else [
            {"pulse": {"voltage": 4, "duration": "1 ns", "rest": None}},
            {"relax": {"duration": "30 ns", "first": "1 ns", "points_per_decade": 3}},
        ]
    )
    given = inputs(protocol=protocol)
    whole = drain(build(given, tolerance=tolerance))
    simulation = build(given, tolerance=tolerance)
    restarts = 0
    while not simulation.done:
        run = simulation.run()
        for _ in range(calls):
            if next(run, "end") == "end":
                break
        path = tmp_path / "state.npz"
        with open(path, "wb") as file:
            write_tree(file, simulation.state_dict())
        simulation = resumed(given, read_tree(path), tolerance)
        restarts += 1
    assert restarts >= (2 if calls <= 3 else 1)
    assert_same(simulation.record, whole)


def test_interrupted_inside_a_hold(monkeypatch):
    """A hold of many kernel calls resumes in its middle; the length of the calls has no effect."""
    given = inputs(protocol=[{"read": {"voltage": 0, "duration": 1000}}])
    whole = drain(build(given))
    monkeypatch.setattr("kmc_oxy.physics.engine.TRIALS_PER_CALL", 300)
    simulation = build(given)
    inside = 0
    while not simulation.done:
        next(simulation.run(), None)
        inside += simulation.cells[0].engine.pending
        simulation = resumed(given, simulation.state_dict())
    assert inside > 5
    assert_same(simulation.record, whole)


def test_a_state_is_a_copy():
    simulation = build(inputs())
    run = simulation.run()
    for _ in range(6):
        next(run)
    state = simulation.state_dict()
    before = state["record"]["conductance"].copy()
    for _ in run:
        pass
    np.testing.assert_array_equal(state["record"]["conductance"], before)


def test_points_share_devices_but_not_hops():
    given = inputs()
    first, second = build(given, point=0), build(given, point=1)
    np.testing.assert_array_equal(
        first.cells[0].device.landscape.barrier_eV, second.cells[0].device.landscape.barrier_eV
    )
    assert (drain(first)["hops"] != drain(second)["hops"]).any()
    other = build(given, member=1)
    assert (
        other.cells[0].device.landscape.barrier_eV != first.cells[0].device.landscape.barrier_eV
    ).any()
    assert_same(drain(build(given)), first.record)


def test_cells_of_an_array_are_devices_of_their_own():
    one = drain(build(inputs()))
    array = drain(build(inputs(crossbar={"rows": 2, "columns": 3})))
    n = one["conductance"].shape[-1]
    assert array["conductance"].shape == (2, 3, n)
    assert array["profile"].shape == (2, 3, n, 14)
    assert len(np.unique(array["conductance"][..., -1])) == 6
    # A cell does not depend on how many others there are.
    for name in one:
        np.testing.assert_array_equal(array[name][:1, :1], one[name])


def test_an_interrupted_array_goes_on_bit_for_bit():
    given = inputs(
        crossbar={"rows": 2, "columns": 1},
        protocol=[{"train": {"voltage": 2, "duration": 1, "count": 2}}],
    )
    whole = drain(build(given))
    simulation = build(given)
    while not simulation.done:
        next(simulation.run(), None)
        simulation = resumed(given, simulation.state_dict())
    assert_same(simulation.record, whole)


def test_no_spin_valve_no_magnetoresistance():
    assert (drain(build(inputs(spin={"model": "none"})))["magnetoresistance"] == 0).all()


@pytest.mark.parametrize(("snapshots", "count"), [("none", None), ("ends", 2), ("all", 11)])
def test_output_settings(snapshots, count):
    given = inputs(
        output={"profile": False, "snapshots": snapshots},
        protocol=[{"train": {"voltage": 2, "duration": "1 ms", "count": 10}}],
    )
    record = drain(build(given))
    assert "profile" not in record
    assert set(record) == {item.name for item in observables(given)}
    if count is None:
        assert "oxygen_site" not in record
    else:
        assert record["oxygen_site"].shape[2] == count
        assert (record["oxygen_site"] >= 0).all()
