"""Members stop at their own pulse, with the same results after a resumption."""

import json

import numpy as np
import pytest

from kmc_oxy import inputs
from kmc_oxy.inputs.schema import Input
from kmc_oxy.protocol import flatten
from kmc_oxy.simulation import Simulation, TaskParameters

RISE = {"voltage": 3, "duration": 1e-3, "count": 12, "rest": {"duration": 1e-3}}
SMALL = {"lattice": {"nx": 8, "ny": 8}}


def simulate(protocol, member=0, **sections):
    model = Input.model_validate({"protocol": protocol, "device": SMALL, **sections})
    parameters = TaskParameters(0, member, 5, 1 / 30)
    return Simulation(model, flatten(model.protocol), parameters)


def finished(simulation):
    for _ in simulation.run():
        pass
    return simulation.record


def conductance(record):
    return record["conductance"][0, 0]


def test_a_train_ends_after_the_pulse_that_meets_its_condition():
    free = conductance(finished(simulate([{"train": RISE}, {"read": {}}])))
    bound_S = float(np.sort(free[:-1])[6])
    stop = int(np.flatnonzero(free[1:] > bound_S)[0]) + 1
    assert 1 < stop < 12
    until = f"conductance > {bound_S!r} S"
    record = finished(simulate([{"train": {**RISE, "until": until}}, {"read": {}}]))
    found = conductance(record)
    np.testing.assert_array_equal(found[: stop + 1], free[: stop + 1])
    assert np.isnan(found[stop + 1 : 13]).all() and np.isfinite(found[13])
    assert set(record["hops"][0, 0, stop + 1 : 13]) == {-1}
    # The next step follows at once.
    alone = finished(simulate([{"train": {**RISE, "count": stop}}, {"read": {}}]))
    np.testing.assert_array_equal(conductance(alone)[-1], found[-1])


def test_members_stop_at_their_own_pulse():
    free = np.stack([conductance(finished(simulate([{"train": RISE}], m))) for m in range(4)])
    until = f"conductance > {float(np.median(free)):g} S"
    protocol = [{"train": {**RISE, "until": until}}]
    stops = [np.isfinite(conductance(finished(simulate(protocol, m)))).sum() for m in range(4)]
    assert len(set(stops)) > 1


def test_a_condition_that_is_never_met_changes_nothing():
    found, free = (
        finished(simulate([{"repeat": {"count": 3, "steps": [{"train": train}], **until}}]))
        for train, until in (
            ({**RISE, "until": "conductance > 1 S"}, {"until": "conductance < 1 pS"}),
            (RISE, {}),
        )
    )
    assert all(np.array_equal(found[name], free[name], equal_nan=True) for name in free)


def test_a_repeat_is_left_at_the_end_of_a_repetition():
    steps = [{"pulse": {"voltage": 3, "duration": 1e-3}}, {"read": {}}, {"read": {}}]
    protocol = [{"repeat": {"count": 4, "steps": steps, "until": "conductance > 1 pS"}}]
    found = conductance(finished(simulate([*protocol, {"read": {}}])))
    assert np.isfinite(found).tolist() == [True] * 3 + [False] * 9 + [True]


def test_a_program_step_stops_by_its_own_cell():
    program = {"cell": [1, 0], "voltage": 3, "count": 6, "until": "conductance > 1 pS"}
    record = finished(
        simulate([{"program": program}, {"map": {}}], crossbar={"rows": 2, "columns": 2})
    )
    found = record["conductance"]
    assert np.isfinite(found[1, 0]).tolist() == [True, True] + [False] * 5 + [True]
    assert record["pulses_applied"].tolist()[:3] == [0, 1, -1]


@pytest.mark.parametrize("calls", [1, 2, 5, 9])
def test_a_resumed_member_stops_at_the_same_pulse(calls):
    until = "conductance > 2 nS"
    steps = [{"train": {**RISE, "until": until}}, {"pulse": {"voltage": -3, "duration": 1e-3}}]
    protocol = [{"repeat": {"count": 4, "steps": steps}}, {"read": {}}]
    whole = finished(simulate(protocol))
    begun = simulate(protocol)
    for number, _ in enumerate(begun.run(), 1):
        if number == calls:
            break
    again = Simulation.from_state(
        begun.inputs, begun.schedule, begun.state_dict(), TaskParameters(0, 0, 5, 1 / 30)
    )
    record = finished(again)
    assert np.isnan(conductance(whole)).any()
    for name, values in whole.items():
        np.testing.assert_array_equal(record[name], values)


def test_a_wave_form_gives_the_results_of_the_same_pulses():
    """Durations are a power of two: those between points are then exact as well."""
    length_s = 0.5**10
    rest = {"voltage": -0.1, "duration": length_s}
    train = {"voltage": 2, "duration": length_s, "count": 20, "rest": rest}
    points = [[number * length_s, -0.1 if number % 2 else 2] for number in range(41)]
    wave = {"points": points, "read_every": 2 * length_s}
    of_train = finished(simulate([{"train": train}]))
    of_wave = finished(simulate([{"waveform": wave}]))
    for name in ("hops", "conductance", "profile"):
        np.testing.assert_array_equal(of_wave[name][0, 0], of_train[name][0, 0, 1:])
    loaded = inputs.loads(json.dumps({"protocol": [{"waveform": wave}]}))
    assert "sweep_current" in of_wave and len(flatten(loaded.model.protocol).readings) == 20
