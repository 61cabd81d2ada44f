"""Steps that depend on the conductances of all cells: programming, write-verify."""

import numpy as np
import pytest
from array_examples import RESET, SET, WRITE, changes, inputs, run

from kmc_oxy.simulation import execution_plan


@pytest.mark.parametrize(
    ("scheme", "mate", "other"), [("V/2", 1.5, 0), ("V/3", 1, -1), ("floating", None, None)]
)
def test_programming_changes_the_chosen_cell(scheme, mate, other):
    simulation = run(inputs(RESET, WRITE, scheme=scheme))
    record = simulation.record
    assert record["cell_voltage"][..., 0].tolist() == [[-4, -4]] * 3
    voltage_V = record["cell_voltage"][..., -1]
    assert voltage_V[1, 1] == 3
    if scheme == "floating":
        # The circuit determines the voltages of the floating lines; they carry no net current.
        assert (np.abs(voltage_V[[0, 0, 1, 2, 2], [0, 1, 0, 0, 1]]) < 3).all()
        assert abs(voltage_V[0, 0] - voltage_V[2, 0] - voltage_V[0, 1] + voltage_V[2, 1]) < 1e-12
    else:
        np.testing.assert_allclose(voltage_V[[0, 2, 1], [1, 1, 0]], mate)
        np.testing.assert_allclose(voltage_V[[0, 2], [0, 0]], other)
    change = changes(record, 0, -1)
    assert change[1, 1] > 10 * np.abs(np.delete(change.ravel(), 3)).max()
    assert record["pulses_applied"].tolist() == [-1, 0, 1]
    assert record["target_reached"].tolist() == [-1, -1, -1]


def directions_are_right(record, leg, body):
    """Whether every pulse applied has the sign that leads to the target."""
    g, voltage_V = record["conductance"][1, 0, leg], record["cell_voltage"][1, 0, leg]
    up, down = max(body["voltage"], body["reverse"]), min(body["voltage"], body["reverse"])
    applied = np.flatnonzero(np.diff(record["pulses_applied"][leg]))
    return all(voltage_V[n + 1] == (up if g[n] < body["target"] else down) for n in applied)


@pytest.mark.parametrize(
    ("start", "voltage", "reverse"), [((RESET,), 3, -2.8), ((RESET, SET), -3, 2.8)]
)
def test_write_verify_stops_at_its_target(start, voltage, reverse):
    """The step is equal to a train of the same pulses up to the pulse that reaches the target."""
    body = {"cell": [1, 0], "voltage": voltage, "duration": "10 ms"}
    train = run(inputs(*start, {"program": body | {"count": 12}})).record
    g = train["conductance"][1, 0, len(start) :]
    extreme = np.maximum if voltage > 0 else np.minimum
    records = 1 + np.flatnonzero(np.diff(extreme.accumulate(g)))
    first = int(records[-1])
    assert first >= 1
    body |= {"target": float(g[first]), "tolerance": 1e-9, "max_pulses": 12, "reverse": reverse}
    simulation = run(inputs(*start, {"program": body}))
    record, leg = simulation.record, slice(len(start), None)
    assert record["target_reached"][leg].tolist() == [int(n >= first) for n in range(13)]
    assert record["pulses_applied"][leg].tolist() == [min(n, first) for n in range(13)]
    np.testing.assert_array_equal(record["conductance"][1, 0, leg][: first + 1], g[: first + 1])
    assert directions_are_right(record, leg, body)
    # Slots without a pulse take their time as well.
    assert simulation.time_s == pytest.approx(simulation.schedule.duration_s, rel=1e-12)
    assert record["cell_voltage"][1, 0, -1] == voltage


def test_an_overshot_target_is_approached_from_the_other_side():
    jump = {"cell": [1, 0], "voltage": 4, "duration": 1}
    g = run(inputs(RESET, {"program": jump})).record["conductance"][1, 0, 1:]
    assert g[1] > 10 * g[0]
    body = jump | {"target": float(np.sqrt(g[0] * g[1])), "tolerance": 1e-6, "reverse": -2.8}
    record = run(inputs(RESET, {"program": body | {"max_pulses": 4}})).record
    assert record["cell_voltage"][1, 0, 2:4].tolist() == [4, -2.8]
    assert directions_are_right(record, slice(1, None), body)


def test_an_unreachable_target_ends_after_its_pulses():
    body = {"cell": [0, 0], "voltage": 3, "duration": "1 ms", "target": 1.0, "max_pulses": 7}
    record = run(inputs(RESET, {"program": body})).record
    assert record["target_reached"].tolist() == [-1] + [0] * 8
    assert record["pulses_applied"].tolist() == [-1, *range(8)]


def test_a_program_step_begins_anew_each_time():
    body = {"cell": [0, 0], "voltage": 3, "duration": "1 ms", "count": 2}
    record = run(inputs({"repeat": {"count": 2, "steps": [{"program": body}]}})).record
    assert record["pulses_applied"].tolist() == [0, 1, 2, 0, 1, 2]


def test_the_length_of_a_segment_changes_no_number(monkeypatch):
    train = {"train": {"voltage": 2, "duration": "1 ms", "count": 12}}
    given = inputs(RESET, train, WRITE, {"map": {}}, {"sweep": {"to": [0.3, 0], "step": 0.1}})
    whole = run(given).record
    monkeypatch.setattr(execution_plan, "SEGMENT_OPERATIONS", 5)
    cut = run(given).record
    assert whole.keys() == cut.keys()
    for name in whole:
        np.testing.assert_array_equal(whole[name], cut[name])
