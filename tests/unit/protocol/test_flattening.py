import math

import numpy as np
import pytest

from kmc_oxy.inputs.schema import Input, Step, StepBody, sections_in
from kmc_oxy.protocol import Drive, Hold, ProtocolError, Reading, flatten
from kmc_oxy.protocol.flattening import (
    RELAX_RESOLUTION_SHARE,
    add_operations,
    field_path,
    staircase,
)


def schedule(*steps):
    return flatten(Input.model_validate({"protocol": list(steps)}).protocol)


@pytest.mark.parametrize("name", [name for name in Step.model_fields if name != "repeat"])
def test_every_step_has_a_rule_and_a_text(name):
    """A step is its model and its rule; a model without one of them fails here."""
    (model,) = sections_in(Step.model_fields[name].annotation)
    assert issubclass(model, StepBody)
    assert add_operations.dispatch(model) is not add_operations.dispatch(StepBody)
    assert model.text is not StepBody.text


def test_a_step_without_a_rule_is_named():
    class WithoutRule(StepBody):
        def voltages_V(self):
            yield 1.0

        def text(self):
            return "a step without a rule"

    with pytest.raises(NotImplementedError, match="no rule for WithoutRule"):
        add_operations(WithoutRule(), None)


def test_a_train_reads_before_its_first_pulse_and_after_each():
    found = schedule(
        {"pulse": {"voltage": -4, "duration": 1, "rest": {"duration": 0.5}}},
        {"train": {"voltage": 2, "duration": "1 ms", "count": 3}},
    )
    assert found.per_reading("pulse").tolist() == [1, 0, 1, 2, 3]
    assert found.per_reading("step").tolist() == [0, 1, 1, 1, 1]
    assert found.per_reading("voltage_V").tolist() == [-4, -4, 2, 2, 2]
    np.testing.assert_allclose(
        found.per_reading("time_s"), [1.5, 1.5, 1.551, 1.602, 1.653], rtol=1e-14
    )
    assert found.duration_s == pytest.approx(1.653)


def test_rest_null_and_read_false():
    found = schedule(
        {"train": {"voltage": 2, "duration": 1, "count": 2, "rest": None, "read": False}},
        {"read": {"duration": 3}},
    )
    # Two pulses of one voltage without a rest between them are one hold, with one edge.
    assert [(hold.voltage_V, hold.edge) for hold in found.holds] == [
        (2, True), (2, False), (-0.1, True),
    ]  # fmt: skip
    (reading,) = found.readings
    assert reading == Reading(5.0, step=1, leg=1, pulse=2, kind="read", pulse_drive=Drive(2.0))
    assert reading.voltage_V == 2.0


def test_an_edge_is_where_the_voltage_changes():
    found = schedule(
        {"pulse": {"voltage": 3, "duration": 1}},
        {"read": {}},
        {"relax": {"duration": 10, "first": 0.1, "points_per_decade": 2}},
    )
    assert [hold.edge for hold in found.holds] == [True, True] + [False] * 6


def test_relax_reads_evenly_in_log_time_inside_one_hold():
    found = schedule(
        {"relax": {"voltage": -0.2, "duration": 100, "first": 0.01, "points_per_decade": 3}}
    )
    times = found.per_reading("time_s")
    np.testing.assert_allclose(times, np.logspace(-2, 2, 13), rtol=1e-12)
    assert [hold.edge for hold in found.holds] == [True] + [False] * 12
    assert {hold.resolution_s for hold in found.holds} == {0.01 * RELAX_RESOLUTION_SHARE}
    assert found.duration_s == pytest.approx(100, rel=1e-14)
    assert set(found.per_reading("pulse")) == {0}


def test_sweep_goes_through_its_turning_points():
    found = schedule({"sweep": {"amplitude": 0.3, "step": 0.1, "dwell": 2}})
    assert found.per_reading("voltage_V").tolist() == [
        0.1, 0.2, 0.3, 0.2, 0.1, 0.0, -0.1, -0.2, -0.3, -0.2, -0.1, 0.0,
    ]  # fmt: skip
    assert [hold.voltage_V for hold in found.holds] == found.per_reading("voltage_V").tolist()
    assert found.per_reading("time_s").tolist() == [2.0 * n for n in range(1, 13)]


@pytest.mark.parametrize(
    ("corners", "step", "expected"),
    [
        ([0.25], 0.1, [0.083333333333, 0.166666666667, 0.25]),
        ([1, 1, -1], 1, [1, 0, -1]),
        ([0], 0.1, []),
        ([-0.2], 5, [-0.2]),
    ],
)
def test_staircase(corners, step, expected):
    assert list(staircase(corners, step)) == pytest.approx(expected, abs=1e-12)


def test_staircase_never_steps_further_than_asked():
    rng = np.random.default_rng(1)
    for _ in range(200):
        corners = rng.uniform(-3, 3, rng.integers(1, 5)).tolist()
        step = rng.uniform(0.01, 2)
        levels = [0.0, *staircase(corners, step)]
        assert np.abs(np.diff(levels)).max(initial=0) <= step * (1 + 1e-9)
        assert [level for level in levels if level in corners] == corners


def test_nested_repeats_count_legs_but_keep_the_step():
    pair = [
        {"pulse": {"voltage": 3, "duration": 1}},
        {"train": {"voltage": -2, "duration": 1, "count": 2}},
    ]
    found = schedule(
        {"read": {}},
        {"repeat": {"count": 2, "steps": [{"repeat": {"count": 2, "steps": pair}}]}},
        {"read": {}},
    )
    assert found.per_reading("step").tolist() == [0] + [1] * 16 + [2]
    expected = [0] + [leg for k in range(4) for leg in [2 * k + 1] + [2 * k + 2] * 3] + [9]
    assert found.per_reading("leg").tolist() == expected
    assert found.per_reading("pulse").tolist() == [0] + [1, 0, 1, 2] * 4 + [2]


def test_readings_take_no_time_and_holds_add_up():
    found = schedule(
        {"train": {"voltage": 1, "duration": 0.3, "count": 7}},
        {"relax": {"duration": 5}},
        {"sweep": {"to": [1.0, 0.0]}},
    )
    elapsed = 0.0
    for operation in found.operations:
        if isinstance(operation, Hold):
            assert operation.duration_s > 0
            elapsed += operation.duration_s
        else:
            assert operation.time_s == pytest.approx(elapsed, rel=1e-14)
    assert math.isclose(found.duration_s, elapsed)


def test_a_protocol_without_readings_is_refused():
    with pytest.raises(ProtocolError, match="must contain a reading"):
        schedule({"pulse": {"voltage": 1, "duration": 1, "read": False}})


@pytest.mark.parametrize(
    ("amplitude", "step", "count"), [(0.1, 1e-3, 401), (0.05, 0.03, 9), (1.0, 5.0, 3)]
)
def test_field_path(amplitude, step, count):
    path = np.array(field_path(amplitude, step))
    assert path.size == count
    assert path[0] == path[-1] == path.max() == amplitude
    assert path[count // 2] == path.min() == -amplitude
    assert np.abs(np.diff(path)).max() <= step * (1 + 1e-9)
    np.testing.assert_array_equal(path, path[::-1])
