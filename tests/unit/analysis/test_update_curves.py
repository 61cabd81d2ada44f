import numpy as np
import pytest

from kmc_oxy.analysis import (
    Trains,
    both_polarities,
    common_range_S,
    compare_laws,
    fit,
    fit_soft_bound,
    scatter,
    update_curve,
)
from kmc_oxy.analysis.soft_bound import SHORTEST_FITTED, soft_bound
from kmc_oxy.storage import StoreError

LOW_S, HIGH_S = 2e-9, 8e-9
RANGE_S = HIGH_S - LOW_S


def recursion(pulses, start, rate, gamma):
    """The soft bound's definition, potentiation."""
    g = [start]
    for _ in range(pulses):
        g.append(g[-1] + rate * (1 - g[-1]) ** gamma)
    return np.array(g)


def train(sign, pulses=40, rate=0.1, gamma=2.0, start=0.0):
    g = recursion(pulses, start, rate, gamma)
    return LOW_S + RANGE_S * (g if sign > 0 else 1 - g)


def trains(sign, *values, voltage_V=3.0):
    return Trains(sign, sign * voltage_V, 1e-3, tuple(np.atleast_2d(item) for item in values))


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 6.0])
@pytest.mark.parametrize("start", [0.0, 0.4])
def test_closed_form_is_the_limit_of_small_steps(gamma, start):
    """An error of second order in the step: ten times smaller steps, ten times smaller error."""
    errors = []
    for rate in (1e-3, 1e-4):
        pulses = round(1 / rate)
        closed = soft_bound(np.arange(pulses + 1), start, rate, gamma)
        assert closed[0] == pytest.approx(start)
        errors.append(np.max(np.abs(closed - recursion(pulses, start, rate, gamma))))
    assert errors[0] < 2e-3
    assert errors[1] < 0.15 * errors[0]


def test_closed_form_of_a_large_exponent_is_a_logarithm():
    gamma, rate = 40.0, 0.02
    n = np.arange(30)
    np.testing.assert_allclose(
        soft_bound(n, 0.0, rate, gamma), np.log1p(gamma * rate * n) / gamma, rtol=0.06
    )


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("rate", "gamma"), [(0.1, 2.0), (0.02, 1.0), (0.5, 4.0)])
def test_the_fit_finds_the_recursion(sign, rate, gamma):
    found = fit_soft_bound(trains(sign, train(sign, rate=rate, gamma=gamma)))
    assert found.determined
    assert found.gamma == pytest.approx(gamma, rel=1e-3)
    assert found.bound_S == pytest.approx(HIGH_S if sign > 0 else LOW_S, rel=1e-3)
    assert found.rate(RANGE_S) == pytest.approx(rate, rel=5e-3)
    np.testing.assert_allclose(
        found.train_S(40), train(sign, rate=rate, gamma=gamma), atol=1e-4 * RANGE_S
    )
    assert found.residual_S < 1e-4 * RANGE_S


def test_the_rate_refers_to_the_range_given():
    """The same steps whatever Gmax - Gmin is called."""
    found = fit_soft_bound(trains(1, train(1)))
    for range_S in (RANGE_S, 3 * RANGE_S):
        distance = (found.bound_S - found.start_S) / range_S
        step_S = found.rate(range_S) * distance**found.gamma * range_S
        assert step_S == pytest.approx(found.step_S, rel=1e-12)


def test_a_logarithmic_train_does_not_determine_the_bound():
    values_S = LOW_S * (1 + 0.1 * np.log1p(np.arange(41.0)))
    found = fit_soft_bound(trains(1, values_S))
    assert not found.determined
    assert found.residual_S < 0.03 * np.ptp(values_S)


@pytest.mark.parametrize("law", ["nlsb", "hard", "log"])
@pytest.mark.parametrize("sign", [1, -1])
def test_each_law_wins_on_its_own_train(law, sign):
    n = np.arange(41)
    values = {
        "nlsb": soft_bound(n, 0.0, 0.1, 2.5),
        "hard": np.minimum(0.05 * n, 0.9),
        "log": 0.25 * np.log(np.maximum(n, 1)),
    }[law]
    noise = 0.003 * np.random.default_rng(3).normal(size=n.size)
    aicc = compare_laws(trains(sign, 5e-9 + sign * RANGE_S * (values + noise)))
    assert next(iter(aicc)) == law
    best, second = list(aicc.values())[:2]
    # The soft bound contains the logarithm as a limit: it loses by its parameters only.
    assert second - best > (1.5 if law == "log" else 10)


def test_aicc_of_the_hard_bound_compares_with_analysis():
    """On a straight line without a bound it fits as well as a line, with two parameters more."""
    n = np.arange(1, 41)
    values_S = 1e-9 * (1 + 0.1 * n + 0.05 * np.random.default_rng(4).normal(size=n.size))
    hard = compare_laws(trains(1, np.concatenate([[1e-9], values_S])))["hard"]
    # analysis fits a + b ln N: on exp(N/40) that is a straight line.
    line = fit(np.exp(n / 40), values_S, "log").aicc
    penalty = 2 + 2 * 4 * 5 / (40 - 5) - 2 * 3 * 4 / (40 - 4)
    assert line - 10 < hard <= line + penalty + 1e-9


def test_short_or_flat_trains_are_not_fitted():
    with pytest.raises(StoreError, match=f"at least {SHORTEST_FITTED} pulses"):
        fit_soft_bound(trains(1, train(1, pulses=SHORTEST_FITTED - 1)))
    with pytest.raises(StoreError, match="change"):
        fit_soft_bound(trains(-1, np.full(20, 1e-9)))


def test_the_curve_of_an_exact_recursion():
    """Every bin's mean lies between the law at its edges."""
    starts = np.linspace(0, 0.9, 50)
    values = np.array([train(1, pulses=10, start=start) for start in starts])
    curve = update_curve(trains(1, values), LOW_S, HIGH_S, nodes=11)

    def law(conductance_S):
        g = np.clip((conductance_S - LOW_S) / RANGE_S, 0, 1)
        return RANGE_S * 0.1 * (1 - g) ** 2

    half = RANGE_S / 20
    filled = curve.pulses > 0
    assert curve.pulses.sum() == 500 and filled[:-1].all()
    assert np.all((curve.mean_S <= law(curve.conductance_S - half))[filled])
    assert np.all((curve.mean_S >= law(curve.conductance_S + half))[filled])
    assert np.all(np.diff(curve.quantile_S, axis=0) >= 0)
    np.testing.assert_array_equal(curve.cdf[[0, -1]], [0, 1])


def test_statistics_of_a_bin():
    """Every pulse begins at one of two conductances and takes a normal step."""
    rng = np.random.default_rng(5)
    steps = rng.normal([1e-10, 3e-10], [2e-11, 5e-11], (4000, 2))
    before = np.array([LOW_S, HIGH_S])
    pairs = tuple(
        np.stack([np.full(4000, before[i]), before[i] + steps[:, i]], axis=1) for i in (0, 1)
    )
    curve = update_curve(trains(1, *pairs), LOW_S, HIGH_S, nodes=2, levels=5)
    np.testing.assert_array_equal(curve.pulses, [4000, 4000])
    np.testing.assert_allclose(curve.mean_S, steps.mean(axis=0))
    np.testing.assert_allclose(curve.spread_S, steps.std(axis=0, ddof=1))
    np.testing.assert_allclose(curve.quantile_S[2], np.median(steps, axis=0), rtol=1e-6)
    np.testing.assert_allclose(curve.quantile_S[[0, -1]], [steps.min(axis=0), steps.max(axis=0)])


def test_empty_bins_are_interpolated_and_pulses_outside_left_out():
    pairs = [[LOW_S, LOW_S + 1e-10], [HIGH_S, HIGH_S + 3e-10], [2 * HIGH_S, 2 * HIGH_S + 9e-10]]
    curve = update_curve(trains(1, pairs), LOW_S, HIGH_S, nodes=3, levels=3)
    np.testing.assert_array_equal(curve.pulses, [1, 0, 1])
    np.testing.assert_allclose(curve.mean_S, [1e-10, 2e-10, 3e-10])
    np.testing.assert_allclose(curve.quantile_S[:, 1], 2e-10)
    # One pulse alone shows no scatter.
    assert np.isnan(curve.spread_S).all()


@pytest.mark.parametrize("arguments", [(1.0, 1.0, 5, 5), (1.0, 2.0, 1, 5), (1.0, 2.0, 5, 1)])
def test_bad_ranges_are_refused(arguments):
    with pytest.raises(ValueError, match="update curve needs"):
        update_curve(trains(1, train(1)), *arguments)
    with pytest.raises(StoreError, match=r"no pulse of the up .* steps are too large"):
        update_curve(trains(1, train(1)), 1.0, 2.0)


@pytest.mark.parametrize("reading", [0.0, 2e-11])
@pytest.mark.parametrize("device", [0.0, 0.2])
def test_scatter_is_split_into_its_parts(reading, device):
    """Constant steps with independent scatter, devices that differ, readings that are off."""
    rng = np.random.default_rng(6)
    members, pulses, step_S, cycle = 400, 40, 1e-10, 0.3
    gain = 1 + device * rng.normal(size=(members, 1))
    steps = step_S * (gain + cycle * rng.normal(size=(members, pulses)))
    state = 5e-9 + np.concatenate([np.zeros((members, 1)), np.cumsum(steps, axis=1)], axis=1)
    read = state + reading * rng.normal(size=state.shape)
    found_in = trains(1, read)
    # One bin: the reading errors are then no reason to be in another bin.
    curve = update_curve(found_in, 0.0, 5e-8, nodes=2)
    found = scatter(found_in, curve)
    assert found.cycle_to_cycle == pytest.approx(cycle, abs=0.03)
    assert found.reading_S == pytest.approx(reading, abs=3e-12)
    # A device's mean step is known to cycle/sqrt(pulses) and the errors of its end readings.
    chance = np.sqrt(cycle**2 / pulses + 2 * (reading / step_S / pulses) ** 2)
    assert found.device_to_device == pytest.approx(np.hypot(device, chance), abs=0.02)


def test_one_member_tells_nothing_of_others():
    found = trains(1, train(1))
    assert np.isnan(scatter(found, update_curve(found, LOW_S, HIGH_S)).device_to_device)


def test_the_mean_train_is_over_members_and_repetitions():
    found = trains(1, [[1.0, 2.0, 3.0], [3.0, 4.0, 5.0]], [[5.0, 6.0], [7.0, 8.0]])
    np.testing.assert_allclose(found.mean_S, [4.0, 5.0])
    np.testing.assert_allclose(found.before_S, [1, 2, 3, 4, 5, 7])
    np.testing.assert_allclose(found.change_S, np.ones(6))


def test_both_polarities_must_be_there_and_move_the_right_way():
    up, down = trains(1, train(1)), trains(-1, train(-1))
    assert both_polarities({1: up, -1: down}) == (up, down)
    with pytest.raises(StoreError, match="no down"):
        both_polarities({1: up})
    with pytest.raises(StoreError, match=r"no up .* and no down"):
        both_polarities({})
    with pytest.raises(StoreError, match="wrong way"):
        both_polarities({1: up, -1: trains(-1, train(1))})


def test_the_range_is_what_both_mean_trains_pass_through():
    up, down = trains(1, [1.0, 2.0, 5.0]), trains(-1, [7.0, 4.0, 2.0])
    assert common_range_S(up, down) == (2.0, 5.0)
    with pytest.raises(StoreError, match="no conductance in common"):
        common_range_S(up, trains(-1, [9.0, 7.0]))
