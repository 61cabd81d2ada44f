"""Intervals of parameters against simulated repetitions, closed forms and direct integration."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import integrate, stats

from kmc_oxy.fit.uncertainty import (
    GaussianPrior,
    LinearModel,
    _covariance,
    design_points,
    estimate_parameters,
    local_linear_model,
    truncated_gaussian,
)

PULSES = 60
NUMBER = np.arange(1, PULSES + 1)
#: Deviation of a step of the random walk along a train.
STEP = 0.03


def curve(theta):
    """ln G of a train; not linear in the parameters."""
    saturation = 1 - np.exp(-NUMBER / (5 + 40 * theta[1]))
    return 3 * np.exp(theta[0]) * saturation + 2 * theta[2] * np.log(NUMBER)


def walks(rng, count):
    return np.cumsum(STEP * rng.standard_normal((count, PULSES)), axis=1)


def repetition(seed, members=8, devices=4, idle=0, alike=1.0):
    """True parameters and the local model of a fit near them, with new data and a new ensemble.

    Data are the mean over some devices. The members are the same at all points up to `alike`; their
    noise depends on the parameters. The last `idle` parameters have no effect.
    """
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0.25, 0.75, 3 + idle)
    error = STEP * np.sqrt(NUMBER / devices)
    data = curve(truth) + walks(rng, devices).mean(axis=0)
    near = np.clip(truth + 0.03 * rng.standard_normal(len(truth)), 0, 1)
    points = np.clip(near + 0.08 * rng.standard_normal((4 * len(truth), len(truth))), 0, 1)
    points = np.concatenate([near[None], points])
    common = walks(rng, members)
    residuals = [
        (
            curve(point)
            + (1 + 0.5 * (point[0] - 0.5))
            * (alike * common + math.sqrt(1 - alike**2) * walks(rng, members))
            - data
        )
        / error
        for point in points
    ]
    return truth, local_linear_model(points, residuals, near)


def without_correlations(model, seed):
    """The same with the members of every reading in another order: C becomes its diagonal."""
    rng = np.random.default_rng(seed)
    order = rng.permuted(np.tile(np.arange(len(model.residuals))[:, None], PULSES), axis=0)
    return replace(
        model,
        residuals=np.take_along_axis(model.residuals, order, axis=0),
        slopes=np.take_along_axis(model.slopes, order[..., None], axis=0),
    )


def test_coverage_of_a_nonlinear_problem_with_correlated_noise():
    """95 % intervals hold the truth, and do not if pulses are taken as independent."""
    held, held_diagonal, ranged = [], [], []
    for seed in range(200):
        truth, model = repetition(seed)
        found = estimate_parameters(model, seed=seed)
        held.append((found.low <= truth) & (truth <= found.high))
        ranged.append(found.ranged_chi_square / found.ranges)
        diagonal = estimate_parameters(
            without_correlations(model, seed), seed=seed, correlated=False
        )
        held_diagonal.append((diagonal.low <= truth) & (truth <= diagonal.high))
    share, diagonal_share = np.mean(held, axis=0), np.mean(held_diagonal, axis=0)
    assert np.all(share >= 0.9) and np.mean(held) <= 0.99
    assert np.all(diagonal_share <= share - 0.05) and np.mean(held_diagonal) < 0.8
    assert np.mean(ranged) == pytest.approx(1, abs=0.3)


def test_parameter_without_effect_is_not_fixed():
    for seed in range(5):
        _, model = repetition(seed, idle=1)
        found = estimate_parameters(model, seed=1)
        np.testing.assert_array_equal(found.is_fixed_by_data, [True] * 3 + [False])
        assert found.high[3] - found.low[3] > 0.9
        np.testing.assert_array_equal(found.direction_is_fixed, [True] * 3 + [False])
        assert found.directions[3, 3] ** 2 > 0.9
        assert found.degrees_of_freedom == PULSES - 3


def test_noise_of_slopes_does_not_fix_a_parameter():
    """Members that differ from point to point make slopes along a parameter without effect."""
    wrong = 0
    for seed in range(30):
        _, model = repetition(seed, idle=1, alike=0.8)
        assert np.linalg.norm(model.slopes.mean(axis=0)[:, 3]) > 1
        wrong += estimate_parameters(model, seed=1).is_fixed_by_data[3]
    assert wrong <= 1


def test_combination_that_is_not_fixed_is_named():
    """Only the sum of two parameters has an effect: neither is fixed, their sum is."""
    rng = np.random.default_rng(1)
    slopes = 10 * np.sqrt(NUMBER)[:, None] * [1.0, 1.0]
    model = linear(rng.standard_normal((8, PULSES)), slopes, [0.5, 0.5])
    found = estimate_parameters(model, seed=1)
    np.testing.assert_array_equal(found.is_fixed_by_data, [False, False])
    np.testing.assert_array_equal(found.direction_is_fixed, [True, False])
    np.testing.assert_allclose(np.abs(found.directions @ [1, 1]), [math.sqrt(2), 0], atol=1e-9)
    assert found.singular_values[1] == pytest.approx(0, abs=1e-9)
    assert found.correlation[0, 1] < -0.99
    # Along the other direction the value stays where it was evaluated.
    assert found.value[0] == pytest.approx(found.value[1], abs=1e-6)


def linear(noise, slopes, centre, offset=0.0):
    """Members with given residuals at the centre and the same slopes."""
    slopes = np.tile(slopes, (len(noise), 1, 1))
    return LinearModel(
        np.asarray(centre), noise + offset, slopes, np.zeros((len(centre), len(centre)))
    )


def test_interval_is_that_of_the_members_estimates():
    """One parameter, data without noise: Student's interval of one estimate a member."""
    rng = np.random.default_rng(3)
    slope = 20 + rng.random(PULSES)
    noise = 3 * rng.standard_normal((6, 1)) + rng.standard_normal((6, PULSES))
    found = estimate_parameters(linear(noise, slope[:, None], [0.5]), seed=1, data_errors=0.0)
    each = 0.5 - noise @ slope / (slope @ slope)
    half = stats.t.ppf(0.975, 5) * each.std(ddof=1) / math.sqrt(6)
    assert found.value[0] == pytest.approx(each.mean(), rel=1e-4)
    assert (found.high - found.low)[0] == pytest.approx(2 * half, rel=0.05)


def test_independent_data_errors_have_normal_quantiles():
    """Members without noise worth mention: the usual interval of least squares."""
    rng = np.random.default_rng(3)
    slope = 3 + rng.random(PULSES)
    model = linear(1e-6 * rng.standard_normal((6, PULSES)), slope[:, None], [0.5])
    found = estimate_parameters(model, seed=1, data_errors=2.0, correlated=False)
    half = 1.96 * 2 / np.linalg.norm(slope)
    assert (found.high - found.low)[0] == pytest.approx(2 * half, rel=0.05)


def test_prior_and_data_are_weighed_by_their_variances():
    rng = np.random.default_rng(3)
    model = linear(1e-6 * rng.standard_normal((6, 50)), np.ones((50, 1)), [0.5], offset=0.1)
    prior = GaussianPrior(np.array([0.6]), np.array([0.1]))
    found = estimate_parameters(model, seed=1, correlated=False, prior=prior)
    weight = 50 / (50 + 100)  # the data say 0.4 with the variance 1/50
    assert found.value[0] == pytest.approx(weight * 0.4 + (1 - weight) * 0.6, rel=1e-3)
    deviation = 1 / math.sqrt(150)
    assert (found.high - found.low)[0] == pytest.approx(2 * 1.96 * deviation, rel=0.05)
    assert not found.is_fixed_by_data[0]  # the prior alone has an interval of 0.39


def test_truncation_at_a_bound():
    """The data ask for a value below 0: the interval begins there."""
    rng = np.random.default_rng(3)
    model = linear(1e-6 * rng.standard_normal((6, 100)), np.ones((100, 1)), [0.1], offset=0.2)
    found = estimate_parameters(model, seed=1, correlated=False)
    assert found.value[0] == 0 and found.low[0] == 0
    exact = stats.truncnorm(1, 11, loc=-0.1, scale=0.1)
    assert found.high[0] == pytest.approx(exact.ppf(0.975), rel=0.05)
    assert found.is_fixed_by_data[0]


def test_truncated_gaussian_against_integration():
    """A narrow ridge that leaves the square, with its maximum outside."""
    precision = np.array([[60.0, 50.0], [50.0, 60.0]])
    mean = np.array([1.3, -0.1])
    samples = truncated_gaussian(mean, precision, np.array([1.0, 0.1]), seed=1)
    assert np.all((samples >= 0) & (samples <= 1))

    def density(y, x):
        apart = np.array([x, y]) - mean
        return math.exp(-0.5 * apart @ precision @ apart)

    total = integrate.dblquad(density, 0, 1, 0, 1)[0]
    for power in (1, 2):
        x = integrate.dblquad(lambda y, x, n=power: x**n * density(y, x), 0, 1, 0, 1)[0] / total
        y = integrate.dblquad(lambda y, x, n=power: y**n * density(y, x), 0, 1, 0, 1)[0] / total
        np.testing.assert_allclose((samples**power).mean(axis=0), [x, y], rtol=0.04)


def test_truncated_gaussian_far_outside():
    """50 deviations: the density falls exponentially from the bound."""
    samples = truncated_gaussian(np.array([-0.5]), np.array([[1e4]]), np.array([0.0]), seed=1)
    assert samples.mean() == pytest.approx(1 / (0.5 * 1e4), rel=0.05)


def test_linear_model_is_exact_for_linear_residuals():
    rng = np.random.default_rng(1)
    slopes, at_centre = rng.standard_normal((5, 9, 3)), rng.standard_normal((5, 9))
    centre = np.array([0.2, 0.5, 0.7])
    points = rng.random((10, 3))
    residuals = at_centre + np.einsum("mnd,kd->kmn", slopes, points - centre)
    model = local_linear_model(points, residuals, centre)
    np.testing.assert_allclose(model.slopes, slopes, atol=1e-10)
    np.testing.assert_allclose(model.residuals, at_centre, atol=1e-10)


def test_few_points_give_no_slope_where_nothing_was_varied():
    points = np.array([[0.5, 0.5, 0.5], [0.6, 0.5, 0.5], [0.5, 0.4, 0.5]])
    rng = np.random.default_rng(1)
    noise = 0.1 * rng.standard_normal((6, 20))
    residuals = noise + 30 * (points @ np.ones(3) - 1.5)[:, None, None] * np.arange(20)
    model = local_linear_model(points, residuals)
    np.testing.assert_allclose(model.slopes[..., 2], 0, atol=1e-9)
    np.testing.assert_allclose(model.slopes[..., 0], np.tile(30 * np.arange(20), (6, 1)), atol=1e-9)
    found = estimate_parameters(model, seed=1)
    assert not found.is_fixed_by_data[2] and found.direction_is_fixed.tolist() == [
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(("members", "readings"), [(3, 200), (6, 300), (6, 2)])
def test_any_shape_gives_finite_numbers(members, readings):
    """More parameters than members or readings included."""
    rng = np.random.default_rng(1)
    points = rng.random((20, 5))
    slopes = 30 * rng.standard_normal((readings, 5))
    noise = np.cumsum(rng.standard_normal((members, readings)), axis=1)
    residuals = noise + ((points - 0.5) @ slopes.T)[:, None]
    found = estimate_parameters(local_linear_model(points, residuals), seed=1)
    for array in (found.value, found.low, found.high, found.correlation, found.singular_values):
        assert np.all(np.isfinite(array))
    assert found.directions.shape == (5, 5) and np.all(found.low < found.high)
    if readings == 2:
        assert found.direction_is_fixed[2:].tolist() == [False] * 3


def test_shrunk_covariance_has_full_rank_and_the_variances():
    values = np.random.default_rng(1).standard_normal((4, 7))
    values -= values.mean(axis=0)
    shrunk = _covariance(values, shrunk=True)
    np.testing.assert_allclose(np.diag(shrunk), values.var(axis=0, ddof=1))
    assert np.linalg.eigvalsh(shrunk)[0] > 0.01
    many = np.random.default_rng(1).multivariate_normal([0, 0], [[1, 0.5], [0.5, 1]], 5000)
    assert _covariance(many, shrunk=True)[0, 1] == pytest.approx(0.5, abs=0.04)


def test_same_seed_same_intervals():
    _, model = repetition(1)
    one, two = (estimate_parameters(model, seed=4) for _ in range(2))
    np.testing.assert_array_equal(one.low, two.low)


def test_design_points_along_principal_axes():
    axes = np.array([[1.0, 1.0], [-1.0, 1.0]]) / math.sqrt(2)
    covariance = axes.T @ np.diag([0.1**2, 0.001**2]) @ axes
    points = design_points([0.5, 0.5], covariance, smallest=0.02)
    np.testing.assert_array_equal(points[0], [0.5, 0.5])
    along = np.sort((points[1:] - 0.5) @ axes.T, axis=0)
    np.testing.assert_allclose(along[[0, 3]], [[-0.1, -0.02], [0.1, 0.02]])
    assert design_points([0.5, 0.5], 9 * np.eye(2)).max() == pytest.approx(0.75)


@pytest.mark.parametrize("centre", [[0.0, 0.0, 0.5], [1.0, 0.0, 1.0], [0.01, 0.5, 0.5]])
def test_design_points_at_bounds_span_the_space(centre):
    covariance = 0.01 * np.array([[2.0, 1.9, 0], [1.9, 2.0, 0], [0, 0, 1.0]])
    points = design_points(centre, covariance)
    assert points.shape == (7, 3) and np.all((points >= 0) & (points <= 1))
    assert len(np.unique(points, axis=0)) == 7
    assert np.linalg.svd(points[1:] - centre)[1][-1] > 0.02


def test_wrong_arguments():
    points, residuals = np.random.default_rng(1).random((4, 2)), np.ones((4, 5, 6))
    with pytest.raises(ValueError, match="shape"):
        local_linear_model(points[:3], residuals)
    with pytest.raises(ValueError, match="finite"):
        local_linear_model(points, residuals * math.nan)
    with pytest.raises(ValueError, match="at least 3 members"):
        local_linear_model(points, residuals[:, :2])
    with pytest.raises(ValueError, match="apart from the centre"):
        local_linear_model(points[[1, 1, 1, 1]], residuals, points[1])
    _, model = repetition(1)
    for errors in (np.ones(3), -1.0, math.nan):
        with pytest.raises(ValueError, match="'data_errors'"):
            estimate_parameters(model, seed=1, data_errors=errors)
    still = replace(model, residuals=0 * model.residuals, slopes=0 * model.slopes + model.slopes[0])
    with pytest.raises(ValueError, match="some noise"):
        estimate_parameters(still, seed=1, data_errors=0.0)


def test_many_readings_need_no_matrix_of_all_pairs():
    """A hundred thousand readings: a square matrix of them would not fit into memory."""
    rng = np.random.default_rng(4)
    theta = rng.random((7, 2))
    slopes = rng.standard_normal((2, 100_000))
    noise = 0.1 * rng.standard_normal((1, 4, 100_000))
    residuals = ((theta - 0.4) @ slopes)[:, None] + noise
    found = estimate_parameters(local_linear_model(theta, residuals), seed=1)
    np.testing.assert_allclose(found.value, 0.4, atol=0.01)
