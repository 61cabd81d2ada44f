"""Which law an ensemble follows, when the noise of a train is a random walk."""

from __future__ import annotations

import numpy as np
import pytest

from kmc_oxy.analysis import compare_with_log, fit
from kmc_oxy.analysis.law_comparison import FEWEST_MEMBERS, RANGES, range_averages

NUMBER = np.arange(1.0, 51.0)
ROUNDS = 40
SHAPES = {
    "log": np.log(NUMBER) / np.log(50),
    "exponential": np.expm1(-NUMBER / 12) / np.expm1(-50 / 12),
}


def arrivals(rng, shape, members):
    """Trains to which oxygens come one by one, some 7 a member, each to stay; read with noise."""
    steps = np.diff(shape, prepend=shape[0])
    came = rng.poisson(7 * rng.gamma(10, 0.1, (members, 1)) * steps).cumsum(axis=1)
    return 48.5 + came + rng.normal(0, 0.2, came.shape)


def judged(truth, members, rounds=ROUNDS):
    """Preferences of many ensembles, columns value, low and high."""
    rng = np.random.default_rng(5)
    found = [
        compare_with_log(arrivals(rng, SHAPES[truth], members), "exponential")
        for _ in range(rounds)
    ]
    return (
        np.array([(e.preference.value, e.preference.low, e.preference.high) for e in found]),
        np.array([(e.misfit, e.rival_misfit) for e in found]),
    )


@pytest.mark.parametrize("members", [FEWEST_MEMBERS, 64])
def test_the_wrong_law_does_not_win(members):
    of_log, _ = judged("log", members)
    of_exponential, _ = judged("exponential", members)
    # One end of a 95 % interval: a fortieth of the ensembles, one of the forty.
    assert np.count_nonzero(of_log[:, 2] < 0) <= 2
    assert np.count_nonzero(of_exponential[:, 1] > 0) <= 2


def test_the_right_law_wins_once_there_are_members_enough():
    of_log, misfits = judged("log", 64)
    of_exponential, others = judged("exponential", 64)
    assert np.mean(of_log[:, 1] > 0) > 0.6
    assert np.mean(of_exponential[:, 2] < 0) > 0.8
    # Chi-square a degree of freedom of the true law, and of the wrong one.
    assert misfits[:, 0].mean() == pytest.approx(1, abs=0.4)
    assert others[:, 1].mean() == pytest.approx(1, abs=0.6)
    assert min(misfits[:, 1].mean(), others[:, 0].mean()) > 5


def test_the_interval_is_as_wide_as_the_scatter_of_ensembles():
    found, _ = judged("log", 64, 80)
    assert (found[:, 2] - found[:, 1]).mean() / 4 == pytest.approx(found[:, 0].std(), rel=0.35)


def test_pulses_taken_as_independent_overstate_the_difference():
    values = arrivals(np.random.default_rng(5), SHAPES["exponential"], 32)
    whole = values.sum(axis=0)
    naive = fit(NUMBER, whole, "exponential").aicc - fit(NUMBER, whole, "log").aicc
    assert naive < 2 * compare_with_log(values, "exponential").preference.value < 0


def test_conductances_may_be_tiny_and_the_scale_does_not_matter():
    values = arrivals(np.random.default_rng(6), SHAPES["log"], 20)
    once = compare_with_log(values, "exponential").preference
    again = compare_with_log(1e-9 * values, "exponential").preference
    assert again.value == pytest.approx(once.value, rel=1e-6)
    assert again.low == pytest.approx(once.low, rel=1e-4)


@pytest.mark.parametrize("pulses", [50, 100, 250, 400])
def test_ranges_hold_every_pulse_once(pulses):
    matrix = range_averages(pulses)
    assert matrix.shape == (RANGES, pulses)
    assert np.array_equal((matrix > 0).sum(axis=0), np.ones(pulses))
    assert np.allclose(matrix.sum(axis=1), 1)


def test_nothing_is_said_of_few_members_or_of_equal_ones():
    values = arrivals(np.random.default_rng(7), SHAPES["log"], FEWEST_MEMBERS)
    assert np.isnan(compare_with_log(values[1:], "exponential").preference.value)
    assert not compare_with_log(values[1:], "exponential").preference.positive
    assert np.isnan(compare_with_log(np.tile(values[:1], (20, 1)), "exponential").preference.low)
