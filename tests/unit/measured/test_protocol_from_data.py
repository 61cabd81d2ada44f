"""Steps that repeat a measurement: valid inputs whose readings are at the measured places."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmc_oxy.inputs.schema import Input
from kmc_oxy.measured import CurveError, MeasuredCurve, readings_of, steps_of
from kmc_oxy.protocol import flatten


def curve(quantity, x, time_s=None):
    x = np.array(x, float)
    lines = np.arange(2, 2 + x.size)
    times = None if time_s is None else np.array(time_s, float)
    return MeasuredCurve("", x, np.ones(x.size), None, lines, quantity, "current", times, "d.csv")


def schedule_of(steps):
    return flatten(Input.model_validate({"protocol": steps}).protocol)


def leg_ends_s(steps):
    """Time of every reading since the protocol began."""
    return schedule_of(steps).per_reading("time_s")


def test_pulses_are_a_train():
    measured = curve("pulse", [0, 1, 5, 9])
    steps = steps_of(measured, voltage_V=2.0, duration_s=1e-3)
    (step,) = steps
    assert step == {
        "train": {
            "voltage": 2.0,
            "duration": 1e-3,
            "rest": {"voltage": -0.1, "duration": 0.05},
            "count": 9,
        }
    }
    pulses = schedule_of(steps).per_reading("pulse")
    np.testing.assert_array_equal(pulses[readings_of(measured)], measured.x)
    (step,) = steps_of(measured, voltage_V=2.0, duration_s=1e-3, rest_s=None)
    assert step["train"]["rest"] is None
    schedule_of([step])


def test_what_a_train_needs():
    with pytest.raises(ValueError, match="needs their voltage and duration"):
        steps_of(curve("pulse", [1, 2]), voltage_V=1.0)
    with pytest.raises(CurveError, match="has no pulse"):
        steps_of(curve("pulse", [0]), voltage_V=1.0, duration_s=1.0)


def test_times_even_in_their_logarithm_are_a_relaxation():
    times_s = np.round(np.geomspace(1e-3, 10, 13), 5)
    measured = curve("time", times_s)
    steps = steps_of(measured, voltage_V=-0.2)
    assert [list(step) for step in steps] == [["relax"]]
    found_s = leg_ends_s(steps)
    assert found_s.size == times_s.size
    np.testing.assert_allclose(found_s[readings_of(measured)], times_s, rtol=0.01)


@pytest.mark.parametrize("times_s", [[1.0, 2.0, 3.0, 4.0], [5.0], [0.1, 3.0, 3.5], [1.0, 1.0001]])
def test_other_times_are_readings_at_exactly_these(times_s):
    measured = curve("time", times_s)
    steps = steps_of(measured)
    np.testing.assert_allclose(leg_ends_s(steps)[readings_of(measured)], times_s, rtol=1e-12)
    assert all(step["read"]["voltage"] == -0.1 for step in steps)


def test_times_that_cannot_be_read():
    with pytest.raises(CurveError) as caught:
        steps_of(curve("time", [-1.0, 0.0, 1.0]))
    assert str(caught.value).splitlines() == [
        f"d.csv:{line}: must have a time above 0, counted from the beginning of the step"
        for line in (2, 3)
    ]


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=30, unique=True))
def test_any_times_are_read(times_s):
    times_s = sorted(times_s)
    measured = curve("time", times_s)
    found_s = leg_ends_s(steps_of(measured))
    np.testing.assert_allclose(found_s[readings_of(measured)], times_s, rtol=0.011)


def visited(steps):
    """Voltage and length of the hold before each reading."""
    found = []
    for step in steps:
        ((kind, body),) = step.items()
        if kind == "read":
            found.append((body["voltage"], body["duration"]))
        else:
            schedule = schedule_of([step])
            voltages_V = schedule.per_reading("voltage_V")
            times_s = np.diff(schedule.per_reading("leg_time_s"), prepend=0.0)
            found += list(zip(voltages_V, times_s, strict=True))
    return np.array(found)


def test_voltages_are_one_sweep():
    volts = [0.5, 1.0, 0.5, 0.0, -0.5, -1.0, 0.0]
    (step,) = steps_of(curve("voltage", volts), dwell_s=0.2)
    assert step == {"sweep": {"to": volts, "step": 1.0, "dwell": 0.2}}
    np.testing.assert_allclose(visited([step]), [(v, 0.2) for v in volts])


def test_a_sweep_from_zero_begins_with_a_reading():
    steps = steps_of(curve("voltage", [0, 1, 1, 0, 0, 2]))
    assert [next(iter(step)) for step in steps] == ["read", "sweep", "sweep", "read", "sweep"]
    np.testing.assert_allclose(visited(steps)[:, 0], [0, 1, 1, 0, 0, 2])


def test_measured_times_are_dwell_times():
    measured = curve("voltage", [0, 1, 2, 1, 0], [0, 0.1, 0.2, 0.5, 0.8])
    found = visited(steps_of(measured))
    np.testing.assert_allclose(found[:, 0], measured.x)
    np.testing.assert_allclose(found[:, 1], [0.1, 0.1, 0.1, 0.3, 0.3])
    one = steps_of(curve("voltage", [1.0, 2.0, 3.0], [1.0, 2.0001, 3.0]))
    assert len(one) == 1


@given(
    st.lists(st.sampled_from([-1.0, -0.3, 0.0, 0.1, 0.2, 2.0]), min_size=1, max_size=20),
    st.booleans(),
    st.data(),
)
def test_any_voltages_are_visited(volts, has_times, data):
    times_s = None
    if has_times:
        dwells = st.lists(st.sampled_from([0.1, 1.0]), min_size=len(volts), max_size=len(volts))
        times_s = np.cumsum(data.draw(dwells))
    measured = curve("voltage", volts, times_s)
    steps = steps_of(measured, dwell_s=0.1)
    Input.model_validate({"protocol": steps})
    found = visited(steps)
    np.testing.assert_allclose(found[:, 0], volts)
    dwells_s = np.full(len(volts), 0.1) if times_s is None else np.diff(times_s, prepend=0.0)
    np.testing.assert_allclose(found[:, 1], dwells_s, rtol=1e-3)


def test_fields_are_refused():
    with pytest.raises(CurveError, match="write a field_sweep yourself"):
        steps_of(curve("field", [0.1, 0.0, -0.1]))
