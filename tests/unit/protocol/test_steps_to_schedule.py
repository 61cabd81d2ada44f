import math
from fractions import Fraction

import numpy as np
import pytest

from kmc_oxy.inputs.schema import Input, Step, StepBody, sections_in
from kmc_oxy.inputs.schema.steps import Relax as RelaxBody
from kmc_oxy.protocol import Drive, Hold, Reading, flatten
from kmc_oxy.protocol.steps_to_schedule import (
    RELAX_RESOLUTION_SHARE,
    add_operations,
    field_path,
    relax_times,
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
    assert [hold.voltage_V for hold in found.holds] == [2, 2, -0.1]
    # Two pulses of one voltage without a rest between them are one hold.
    sampled = [(hold.voltage_V, hold.duration_s, n) for hold, n in found.sample_holds(1)]
    assert sampled == [(2, 2.0, 1), (-0.1, 3.0, 1)]
    (reading,) = found.readings
    assert reading == Reading(
        5.0, leg_time_s=3.0, step=1, leg=1, pulse=2, kind="read", pulse_drive=Drive(2.0)
    )
    assert reading.voltage_V == 2.0


def test_relax_reads_evenly_in_log_time_inside_one_hold():
    found = schedule(
        {"relax": {"voltage": -0.2, "duration": 100, "first": 0.01, "points_per_decade": 3}}
    )
    times = found.per_reading("time_s")
    np.testing.assert_allclose(times, np.logspace(-2, 2, 13), rtol=1e-12)
    assert len(list(found.holds)) == 13 and len({hold.drive for hold in found.holds}) == 1
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


def test_times_are_exact_sums_rounded_once():
    """10,000 pulses of 10 ps after 1e5 s: a naive sum would record them 46 % too long."""
    for pulse_s in (1e-12, 1e-11, 1e-9, 3e-7, 0.1):
        found = schedule(
            {"read": {"duration": 1e5}},
            {"train": {"voltage": 2, "duration": pulse_s, "count": 10_000, "rest": None}},
            {"read": {"duration": 1e6}},
        )
        exact = [Fraction(1e5) + n * Fraction(pulse_s) for n in range(10_001)]
        train = [reading for reading in found.readings if reading.leg == 1]
        assert [reading.time_s for reading in train] == [float(time) for time in exact]
        assert [reading.leg_time_s for reading in train] == [
            float(n * Fraction(pulse_s)) for n in range(10_001)
        ]
        assert found.duration_s == float(exact[-1] + 10**6)


def test_readings_of_a_relaxation_are_at_their_times_exactly():
    body = {"voltage": -0.2, "duration": 1e5, "first": 1e-9, "points_per_decade": 7}
    found = schedule(
        {"read": {"duration": 0.1}}, {"repeat": {"count": 3, "steps": [{"relax": body}]}}
    )
    times = relax_times(RelaxBody(**body))
    for leg in (1, 2, 3):
        readings = [reading for reading in found.readings if reading.leg == leg]
        assert [reading.leg_time_s for reading in readings] == times
    assert found.duration_s == float(Fraction(0.1) + 3 * Fraction(1e5))


def test_the_schedule_of_many_pulses_is_small():
    body = {"voltage": 2, "duration": 1e-6, "count": 1_000_000, "rest": {"duration": 1e-3}}
    found = schedule({"repeat": {"count": 9, "steps": [{"train": body}, {"read": {}}]}})
    assert len(found.readings) == 9 * 1_000_002
    assert sum(1 for _ in found.loop.distinct()) < 20
    last = found.readings[-2]
    assert (last.pulse, last.leg) == (1_000_000, 16)
    assert found.readings[0].pulse_drive is None
    assert found.readings[1_000_002].pulse_drive == Drive(2)
    with pytest.raises(IndexError):
        found.readings[9 * 1_000_002]


def test_operations_of_an_index_are_those_of_the_sequence():
    train = {"train": {"voltage": -2, "duration": 1, "count": 2, "rest": None}}
    inner = {"repeat": {"count": 3, "steps": [{"read": {}}, train]}}
    found = schedule(inner, {"repeat": {"count": 2, "steps": [inner, {"sweep": {"to": [0.2]}}]}})
    one_by_one = [found.operations[index] for index in range(len(found.operations))]
    assert one_by_one == list(found.operations) == found.operations[:]
    assert found.operations[-1] == one_by_one[-1]
    readings = [operation for operation in one_by_one if isinstance(operation, Reading)]
    assert readings == list(found.readings)
    assert [reading.time_s for reading in readings] == sorted(
        reading.time_s for reading in readings
    )


def test_sampled_holds_stand_for_all():
    train = {"train": {"voltage": 2, "duration": 1, "count": 50, "rest": {"duration": 3}}}
    found = schedule({"repeat": {"count": 20, "steps": [train, {"read": {}}]}})
    sampled = list(found.sample_holds(3))
    assert len(sampled) < 100
    assert sum(count for _, count in sampled) == len(list(found.holds))
    total = sum(hold.duration_s * count for hold, count in sampled)
    assert total == pytest.approx(found.duration_s, rel=1e-12)


def test_a_wave_form_holds_every_voltage_until_the_next_point():
    found = schedule(
        {
            "waveform": {
                "points": [[1.0, 1], [1.5, -2], [2.5, 3], [2.75, 0]],
                "read_at": [0.5, 0.75, 1.0, 1.75],
            }
        }
    )
    holds = [(h.voltage_V, h.duration_s, h.resolution_s, h.is_pulse) for h in found.holds]
    # A reading divides a voltage, not its edge.
    assert holds == [
        (1, 0.5, 0.005, True), (-2, 0.25, 0.01, True), (-2, 0.25, 0.01, True),
        (-2, 0.5, 0.01, True), (3, 0.25, 0.0025, True),
    ]  # fmt: skip
    assert found.per_reading("leg_time_s").tolist() == [0.5, 0.75, 1.0, 1.75]
    assert found.per_reading("voltage_V").tolist() == [1, -2, -2, 3]


def test_loops_with_a_condition_may_be_left_after_each_repetition():
    train = {"voltage": 2, "duration": 1, "count": 3, "until": "conductance > 1 uS"}
    steps = [{"read": {}}, {"train": train}]
    found = schedule(
        {"repeat": {"count": 2, "steps": steps, "until": "conductance < 2 S"}}, {"read": {}}
    )
    # A repetition: hold, reading; reading of the train, three times pulse, rest, reading.
    assert len(found.operations) == 2 * 12 + 2
    exits = {
        index: [(e.until.condition.bound_S, e.operations, e.readings) for e in found.exits(index)]
        for index in range(len(found.operations) + 1)
    }
    assert {index: ends for index, ends in exits.items() if ends} == {
        6: [(1e-6, 12, 5)],
        9: [(1e-6, 12, 5)],
        12: [(1e-6, 12, 5), (2, 24, 10)],
        18: [(1e-6, 24, 10)],
        21: [(1e-6, 24, 10)],
        24: [(1e-6, 24, 10), (2, 24, 10)],
    }
