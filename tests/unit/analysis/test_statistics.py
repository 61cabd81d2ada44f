"""One rule for means and intervals over members."""

import numpy as np
import pytest

from kmc_oxy.analysis import ensemble_mean, interval_text, is_wide, mean_over_members

DECADES = np.array([1e-10, 3e-9, 2e-8, 5e-10])


def test_what_spreads_over_decades_is_averaged_by_its_logarithms():
    found = mean_over_members(DECADES)
    assert found.geometric and found.low > 0
    logarithms = ensemble_mean(np.log(DECADES))
    for name in ("mean", "low", "high", "spread_low", "spread_high"):
        assert np.log(getattr(found, name)) == pytest.approx(getattr(logarithms, name))
    # The band is one standard deviation to either side, not cut at the smallest member.
    assert found.spread_low * found.spread_high == pytest.approx(found.mean**2)


def test_what_does_not_is_not():
    values = np.array([1.0, 1.2, 0.8, 1.1])
    found = mean_over_members(values)
    assert not found.geometric and found.mean == pytest.approx(values.mean())
    assert found.spread_high - found.mean == pytest.approx(values.std(ddof=1))


def test_one_reading_decides_for_all():
    values = np.stack([np.ones(4), DECADES], axis=1) * [1 + 1e-3, 1]
    values[:, 0] *= [1, 1.01, 0.99, 1]
    assert not is_wide(values[:, :1]) and is_wide(values)


@pytest.mark.parametrize("values", [[-1.0, 5.0], [0.0, 5.0, 7.0]])
def test_what_has_no_logarithm_is_averaged_as_it_is(values):
    found = mean_over_members(values)
    assert not found.geometric and found.mean == pytest.approx(np.mean(values))
    assert (found.low >= 0) == (min(values) >= 0)


def test_a_count_is_never_averaged_by_its_logarithm():
    found = mean_over_members([1.0, 40.0, 3.0], arithmetic=True)
    assert not found.geometric and found.low == 0


def test_values_that_are_not_finite_are_left_out():
    values = np.array([[1.0, np.nan], [2.0, 4.0], [3.0, np.inf]])
    found = ensemble_mean(values)
    assert found.mean.tolist() == [2.0, 4.0] and found.members == 3
    assert np.isfinite(found.low[0]) and np.isnan(found.low[1])
    assert np.isnan(ensemble_mean([np.nan, np.nan]).mean)


def test_an_interval_that_says_nothing_is_not_given():
    assert interval_text(mean_over_members([1e-9, 1e-5]), str) == "not determined by 2 members"
    assert " to " in interval_text(mean_over_members([1.0, 1.1]), "{:.3g}".format)
