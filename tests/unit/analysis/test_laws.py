import numpy as np
import pytest

from kmc_oxy.analysis import ensemble_mean, fit, fit_laws, verdict
from kmc_oxy.analysis.laws import LAWS

N = np.arange(1, 51)
CURVES = {
    "log": 1.0 + 0.2 * np.log(N),
    "exponential": 1.0 + 0.5 * (1 - np.exp(-N / 8)),
    "stretched": 1.0 + 0.5 * (1 - np.exp(-((N / 8) ** 0.5))),
    "power": 2.0 * N**-0.24,
    "nlsb": 1.0 - 0.7 * (1 + 3.0 * 0.1 * N) ** (-1 / 3.0),
}


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("scale", [1.0, 1e-9, -1e6])
def test_a_law_finds_its_own_parameters(law, scale):
    found = fit(N, scale * CURVES[law], law)
    np.testing.assert_allclose(found(N), scale * CURVES[law], rtol=1e-6)
    assert not found.at_bound
    expected = {
        "log": {"a": 1.0, "b": 0.2},
        "exponential": {"a": 1.0, "b": 0.5, "n0": 8},
        "stretched": {"a": 1.0, "b": 0.5, "n0": 8, "beta": 0.5},
        "power": {"b": 2.0, "c": -0.24},
        "nlsb": {"a": 1.0, "b": -0.7, "gamma - 1": 3.0, "c": 0.1},
    }[law]
    for name, value in expected.items():
        unit = scale if name in LAWS[law].linear else 1.0
        assert found.parameters[name] == pytest.approx(value * unit, rel=1e-3)


@pytest.mark.parametrize("law", ["log", "exponential", "power"])
def test_noisy_data_prefer_the_law_they_come_from(law):
    rng = np.random.default_rng(4)
    rivals = {"log", "exponential", "power"} - {law}
    for _ in range(20):
        fits = fit_laws(N, 1e-9 * (CURVES[law] + 0.005 * rng.normal(size=N.size)))
        assert all(fits[law].aicc + 10 < fits[rival].aicc for rival in rivals)
        aicc = [item.aicc for item in fits.values()]
        assert aicc == sorted(aicc)


def test_pure_noise_is_not_decided():
    """Where there is no trend the laws differ by their number of parameters and chance only."""
    rng = np.random.default_rng(5)
    decided = 0
    for _ in range(50):
        values = 1 + 0.01 * rng.normal(size=N.size)
        decided += abs(fit(N, values, "log").aicc - fit(N, values, "power").aicc) >= 2
    assert decided == 0


def test_aicc_is_the_textbook_formula():
    rng = np.random.default_rng(6)
    values = CURVES["log"] + 0.1 * rng.normal(size=N.size)
    found = fit(N, values, "log")
    slope, start = np.polyfit(np.log(N), values, 1)
    squares = np.sum((values - start - slope * np.log(N)) ** 2)
    n, k = 50, 3
    assert found.sum_of_squares == pytest.approx(squares, rel=1e-10)
    assert found.aicc == pytest.approx(
        n * np.log(squares / n) + 2 * k + 2 * k * (k + 1) / (n - k - 1), rel=1e-12
    )


def test_the_soft_bound_of_a_large_exponent_is_a_logarithm():
    """Its small-g limit ln(1 + gamma a n)/gamma: neither is claimed on a short train."""
    gamma, rate = 40.0, 0.02
    values = 1 - (1 + (gamma - 1) * rate * N) ** (-1 / (gamma - 1))
    np.testing.assert_allclose(values, np.log1p(gamma * rate * N) / gamma, rtol=0.06)
    rng = np.random.default_rng(7)
    noisy = values[:10] + 0.002 * rng.normal(size=10)
    fits = fit_laws(N[:10], noisy)
    assert abs(fits["log"].aicc - fits["nlsb"].aicc) < 20


def test_an_exponential_is_the_limit_of_its_generalisations():
    for law in ("stretched", "nlsb"):
        found = fit(N, CURVES["exponential"], law)
        np.testing.assert_allclose(found(N), CURVES["exponential"], rtol=2e-3)
    # The soft bound reaches it only at the edge of its range, and says so.
    assert fit(N, CURVES["exponential"], "nlsb").at_bound


def test_verdict_says_no_more_than_aicc():
    log, exponential = (
        fit(N, CURVES["log"] + 0.01 * np.sin(N), law) for law in ("log", "exponential")
    )
    text = verdict(log, exponential)
    assert text == verdict(exponential, log)
    assert text.startswith("log over exponential by ")
    assert float(text.split()[4]) == pytest.approx(exponential.aicc - log.aicc, abs=0.05)
    assert "not told apart" in verdict(log, log)


def test_constant_data_do_not_break_the_fits():
    for law in LAWS:
        found = fit(N, np.full(N.size, 3e-9), law)
        np.testing.assert_allclose(found(N), 3e-9, rtol=1e-6)
        assert np.isfinite(found.aicc)
        assert np.isfinite(fit(N, np.zeros(N.size), law).aicc)


@pytest.mark.parametrize(
    ("number", "values"),
    [
        ([1, 2, 3, 4], [1, 2, 3, 4]),
        (np.arange(50), np.ones(50)),
        (N, np.where(N == 7, np.nan, 1.0)),
        (N, np.ones(49)),
    ],
)
def test_unfit_data_are_refused(number, values):
    with pytest.raises(ValueError, match=r"points|finite"):
        fit(number, values, "log")


def test_compare_takes_only_laws_with_points_enough():
    assert set(fit_laws(N[:5], CURVES["log"][:5])) == {"log", "power"}


def test_the_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(8)
    found = ensemble_mean(rng.normal(2.0, 3.0, (6, 4000)), confidence=0.9)
    covered = np.mean((found.low <= 2.0) & (found.high >= 2.0))
    assert abs(covered - 0.9) < 4 * np.sqrt(0.9 * 0.1 / 4000)
    assert found.members == 6 and found.confidence == 0.9


def test_one_member_has_no_interval():
    found = ensemble_mean([[1.0, 2.0]])
    assert found.mean.tolist() == [1, 2]
    ends = (found.low, found.high, found.spread_low, found.spread_high)
    assert all(np.isnan(end).all() for end in ends)


def test_bad_ensembles_are_refused():
    with pytest.raises(ValueError, match="confidence"):
        ensemble_mean([1.0, 2.0], confidence=95)
    with pytest.raises(ValueError, match="at least one member"):
        ensemble_mean(np.empty((0, 3)))


def test_members_may_lie_along_any_axis():
    values = np.random.default_rng(9).normal(size=(3, 5, 2))
    first = ensemble_mean(values, axis=1)
    second = ensemble_mean(np.moveaxis(values, 1, 0))
    np.testing.assert_array_equal(first.low, second.low)
