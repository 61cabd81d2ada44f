"""Residuals of simulated against measured curves, and of quantities against their ranges."""

import numpy as np
import pytest

from kmc_oxy.analysis import legs_of_schedule
from kmc_oxy.fit.comparison import (
    DataComparison,
    Range,
    TargetComparison,
)
from kmc_oxy.fit.matched_curves import CurveMismatch, match_curves
from kmc_oxy.fit.quantities import QUANTITIES
from kmc_oxy.inputs import loads
from kmc_oxy.measured import MeasuredCurve
from kmc_oxy.protocol import flatten

PROTOCOL = """protocol:
  - train: {voltage: +2 V, duration: 10 ms, count: 20, rest: {voltage: -0.1 V, duration: 50 ms}}
  - relax: {voltage: -0.1 V, duration: 10 s, first: 1 ms, points_per_decade: 2}
  - sweep: {to: [1 V, -1 V, 0 V], step: 0.1 V, dwell: 1 ms}
"""
MEMBERS = 7


def schedule_of(text=PROTOCOL):
    return flatten(loads(text).model.protocol)


class Output:
    """Datasets of one cell, as the comparison reads them."""

    def __init__(self, schedule, conductance_S, magnetoresistance=None):
        self.values = {
            "conductance": conductance_S[None, :, None, None, :],
            "magnetoresistance": np.zeros_like(conductance_S)[None, :, None, None, :]
            if magnetoresistance is None
            else magnetoresistance[None, :, None, None, :],
            "sweep_current": (conductance_S * schedule.per_reading("voltage_V"))[
                None, :, None, None, :
            ],
        }
        self.resolved = {
            "conductance": {"nonlinearity": 0.5}, "crossbar": {"read_voltage": -0.1},
        }  # fmt: skip

    def __getitem__(self, name):
        return self.values[name]

    def shape(self):
        return {"point": 1, "member": self.values["conductance"].shape[1]}

    def scan(self):
        return {}


def curve(x, y, quantity="pulse", y_quantity="conductance", error=None):
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    lines = np.arange(2, 2 + len(x))
    return MeasuredCurve("", x, y, error, lines, quantity, y_quantity)


@pytest.fixture
def simulated():
    schedule = schedule_of()
    number = np.arange(len(schedule.readings))
    random = np.random.default_rng(3)
    scatter = np.exp(0.1 * random.standard_normal((MEMBERS, 1)))
    return schedule, Output(schedule, 1e-6 * scatter * (1 + 0.01 * number))


def comparison(schedule, *curves, free=False):
    legs = list(legs_of_schedule(schedule))
    return DataComparison(match_curves(curves, legs), free)


def test_the_mean_of_the_members_is_compared(simulated):
    schedule, output = simulated
    (leg,) = [each for each in legs_of_schedule(schedule) if each.kind == "train"]
    mean = leg.values(output, "conductance").mean(axis=0)
    x = leg.pulse[leg.pulse > 0]
    measured = curve(x, 1.1 * mean[leg.pulse > 0])
    found = comparison(schedule, measured).residuals(output)
    # An error of 5 % is assumed.
    np.testing.assert_allclose(found.members.mean(axis=0), -np.log(1.1) / 0.05, rtol=1e-12)
    assert found.members.shape == (MEMBERS, len(x))
    free = comparison(schedule, measured, free=True).residuals(output)
    np.testing.assert_allclose(free.members.mean(axis=0), 0, atol=1e-12)
    assert free.scale == pytest.approx(1.1)
    # With a free scale, members that differ by a factor alone do not differ.
    np.testing.assert_allclose(free.members, 0, atol=1e-10)


def test_resistances_are_inverse_conductances(simulated):
    schedule, output = simulated
    by_conductance = curve([1, 5, 9], [1e-6, 2e-6, 3e-6], error=np.array([1e-8, 2e-8, 3e-8]))
    found = comparison(schedule, by_conductance).residuals(output)
    by_resistance = curve(
        [1, 5, 9], [1e6, 0.5e6, 1e6 / 3], y_quantity="resistance",
        error=np.array([1e4, 0.5e4, 1e4 / 3]),
    )  # fmt: skip
    inverse = comparison(schedule, by_resistance).residuals(output)
    # The mean resistance is not the inverse of the mean conductance: members scatter by 10 %.
    np.testing.assert_allclose(inverse.members.mean(axis=0), -found.members.mean(axis=0), atol=2.5)


@pytest.mark.parametrize("nonlinearity_V", [0.5, 0.05, None])
def test_currents_of_a_train_follow_the_nonlinearity_of_the_set(simulated, nonlinearity_V):
    schedule, output = simulated
    output.resolved["conductance"]["nonlinearity"] = nonlinearity_V
    by_conductance, by_current = (
        comparison(schedule, curve([1, 5], [1e-6, 2e-6], y_quantity=quantity))
        for quantity in ("conductance", "current")
    )
    read_V = 0.1 if nonlinearity_V is None else nonlinearity_V * np.sinh(0.1 / nonlinearity_V)
    np.testing.assert_allclose(
        by_current.simulated(output)[0], read_V * by_conductance.simulated(output)[0], rtol=1e-12
    )


def test_times_between_readings_are_interpolated_in_the_logarithm(simulated):
    schedule, output = simulated
    (leg,) = [each for each in legs_of_schedule(schedule) if each.kind == "relax"]
    values = leg.values(output, "conductance")
    x = np.sqrt(leg.time_s[2] * leg.time_s[3])
    made = comparison(schedule, curve([x], [1e-6], "time"))
    np.testing.assert_allclose(
        made.simulated(output)[0][:, 0], 0.5 * (values[:, 2] + values[:, 3]), rtol=1e-9
    )


def test_a_sweep_is_compared_branch_by_branch(simulated):
    schedule, output = simulated
    (leg,) = [each for each in legs_of_schedule(schedule) if each.kind == "sweep"]
    currents = leg.values(output, "sweep_current").mean(axis=0)
    measured = curve(leg.voltage_V, currents, "voltage", "current", np.full(currents.size, 1e-8))
    found = comparison(schedule, measured).residuals(output)
    np.testing.assert_allclose(found.members.mean(axis=0), 0, atol=1e-9)
    # Measured from 0 V on, where the sweep has no reading.
    x = np.concatenate([[0.0, 0.05], leg.voltage_V])
    from_zero = curve(x, x, "voltage", "current", np.full(x.size, 1e-8))
    found = comparison(schedule, from_zero).simulated(output)[0]
    first = leg.values(output, "sweep_current")[:, 0]
    np.testing.assert_allclose(found[:, :3], np.outer(first, [0, 0.5, 1]), atol=1e-20)
    # The turning point belongs to the branch before and to the one after.
    (down,) = [index for index in range(1, 30) if leg.voltage_V[index] < leg.voltage_V[index - 1]][
        :1
    ]
    near = np.concatenate(
        [leg.voltage_V[:down], [leg.voltage_V[down - 1] - 0.01], leg.voltage_V[down:]]
    )
    assert comparison(schedule, curve(near, near, "voltage", "current", np.full(near.size, 1e-8)))
    up = curve([0.1, 0.5], [1e-7, 2e-7], "voltage", "current")
    with pytest.raises(CurveMismatch, match="changes direction 0 time"):
        comparison(schedule, up)


def test_data_outside_the_experiment_are_refused(simulated):
    schedule, _ = simulated
    with pytest.raises(CurveMismatch, match=r"pulse 21 \(line 3\) lies outside"):
        comparison(schedule, curve([1, 21], [1, 1]))
    with pytest.raises(CurveMismatch, match="time 20 s"):
        comparison(schedule, curve([1, 20], [1, 1], "time"))


@pytest.mark.parametrize(
    ("bounds", "value", "distance"),
    [
        (Range(1, 3, 0.5), 2, 0), (Range(1, 3, 0.5), 0, -2), (Range(1, 3, 0.5), 4, 2),
        (Range(-np.inf, 3, 0.5), -50, 0), (Range(1, np.e, 0.5, True), np.e**2, 2),
    ],
)  # fmt: skip
def test_distance_from_a_range(bounds, value, distance):
    assert bounds.distance(value) == pytest.approx(distance)
    assert np.isnan(Range(1, 2, 1, True).distance(-1))


def test_a_target_inside_its_range_has_no_residual(simulated):
    schedule, output = simulated
    legs = tuple(each for each in legs_of_schedule(schedule) if each.kind == "train")
    quantity = QUANTITIES["range"]
    inside = TargetComparison("range", quantity, legs, Range(0.1, 0.3, 0.05))
    assert (inside.residuals(output).members == 0).all()
    outside = TargetComparison("range", quantity, legs, Range(1.0, 2.0, 0.1)).residuals(output)
    value = outside.members.mean()
    train = legs[0].values(output, "conductance")
    expected = (train.max(axis=1) / train.min(axis=1) - 1).mean() - 1.0
    assert value == pytest.approx(np.arcsinh(expected / 0.1))


def measured_quantity(name, values, text="protocol:\n  - train: {voltage: 2 V, duration: 1 ms, "
                      "count: 40, rest: {voltage: 0 V, duration: 1 ms}}\n", **more):  # fmt: skip
    schedule = schedule_of(text)
    output = Output(schedule, np.asarray(values, dtype=float), **more)
    legs = tuple(legs_of_schedule(schedule))
    return TargetComparison(name, QUANTITIES[name], legs, Range(0, 1, 1)).values(output)


def train_values(law):
    number = np.arange(0, 41, dtype=float)
    values = np.array([law(np.maximum(number, 1)), 2 * law(np.maximum(number, 1))])
    return 1e-6 * values


def test_bend_tells_the_logarithm_from_others():
    assert measured_quantity("bend", train_values(lambda n: 1 + 0.3 * np.log(n)))[
        0
    ] == pytest.approx(1)
    assert measured_quantity("bend", train_values(lambda n: n**0.5))[0] > 1.5
    assert measured_quantity("bend", train_values(lambda n: n**-0.3))[0] < 0.8
    assert measured_quantity("bend", train_values(lambda n: 2 - np.exp(-n / 3)))[0] < 0.5


def test_quantities_of_a_train():
    values = train_values(lambda n: n**0.2)
    np.testing.assert_allclose(measured_quantity("range", values), 40**0.2 - 1)
    np.testing.assert_allclose(measured_quantity("change", values), 40**0.2 - 1)
    np.testing.assert_allclose(measured_quantity("ratio", values), 40**-0.2)
    np.testing.assert_allclose(
        measured_quantity("slope with pulses", values), 0.2 * np.log(10), rtol=1e-9
    )
    np.testing.assert_allclose(measured_quantity("level", values)[1], values[1].mean())
    assert (measured_quantity("last slope", values) > 0).all()
    np.testing.assert_allclose(measured_quantity("first pulse", values), 0, atol=1e-12)


def test_quantities_of_cycles():
    text = """protocol:
  - repeat: {count: 6, steps: [{pulse: {voltage: 4 V, duration: 1 s}},
                               {pulse: {voltage: -4 V, duration: 1 s}}]}
"""
    cycle = np.arange(1.0, 7)
    on, off = 1e-6 * np.ones(6), 1e-9 * cycle**0.5
    values = np.array([np.ravel([on, off], order="F")] * 2)
    np.testing.assert_allclose(measured_quantity("slope of ratio", values, text), -0.5)
    magnetoresistance = np.tile([-0.02, -0.001], (2, 6))
    found = measured_quantity(
        "magnetoresistance ratio", values, text, magnetoresistance=magnetoresistance
    )
    np.testing.assert_allclose(found, 0.05)
