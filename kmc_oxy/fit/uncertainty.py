r"""How well measured curves fix the parameters of a stochastic simulator.

Each of M members of an ensemble has the residuals r_m(theta) = (ln G_sim,m - ln G_meas) / sigma of
all n readings; their mean over members is compared with zero. Near the optimum r_m is taken as
linear in the parameters (`local_linear_model`), for each member by itself, with slopes J_m and mean
slopes J. The mean residual at the true parameters is not zero: it has the covariance

.. math:: C = C_{sim} + C_{data}, \qquad C_{sim} = S / M, \qquad C_{data} = D R D,

S that of the members, D the standard errors of the data in units of sigma, R their correlation.
Least squares takes successive readings of a train as independent, and they are not: an oxygen that
arrives stays, so the noise of a train is a random walk. Members are independent. So the estimate by
least squares is kept, and its covariance is made from the members (the sandwich, Huber 1967),

.. math:: \Sigma = G^{-1} J^T C J\, G^{-1}, \qquad G = J^T J,

for which only its d x d projection J^T C J is estimated, never the n x n matrix C. Four corrections
matter with 6 to 16 members:

- The noise of J, and its correlation with that of r, add to J^T J and J^T r. Both are replaced by
  their means over pairs of different members, which are unbiased (Hoeffding 1948,
  doi 10.1214/aoms/1177730196).
- A direction of parameter space whose slopes are within their errors tells nothing and is left out.
- The correlations of the projections are shrunk (Schaefer and Strimmer 2005,
  doi 10.2202/1544-6115.1175), so that the covariance has full rank.
- Deviations that come from the members have the quantiles of Student's t, by the degrees of freedom
  of Satterthwaite (1946, doi 10.2307/3002019) where the data contribute.

The estimate with its covariance, the Gaussian priors and the unit cube as a uniform prior give a
truncated Gaussian. Its quantiles are the intervals: a parameter that the data do not fix has an
interval as wide as its range.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import lsq_linear
from scipy.special import log_ndtr, ndtri, ndtri_exp, stdtrit
from scipy.stats import truncnorm

Array = NDArray[np.float64]

#: With fewer members there is no shrinkage of correlations to speak of.
FEWEST_MEMBERS = 3
#: A direction tells something if the square of its slopes exceeds their noise by this factor. The
#: noise of a random walk has about one degree of freedom: pure noise of 8 members exceeds 10 with a
#: probability of 2 % (Fisher's F with 1 and 7 degrees of freedom).
CLEAR = 10.0
#: The same of the scatter about the linear model: two standard errors. Much of that is curvature,
#: which moves the slopes little where points lie on both sides of the centre.
CLEAR_OF_MISFIT = 4.0
#: Deviation of the prior of a parameter that has none: flat within the cube.
FLAT = 10.0
#: A parameter is fixed by the data if its interval is narrower than this share of the prior's.
FIXED = 0.5
#: Chains of the sampler, sweeps before their samples count, and sweeps that count.
CHAINS, BURN_IN, SWEEPS = 500, 40, 8
#: Ranges of readings of the chi-square that knows correlations, at most.
RANGES = 5


@dataclass(frozen=True, eq=False)
class GaussianPrior:
    """Independent Gaussian priors of the parameters, in the unit cube.

    Parameters
    ----------
    mean, deviation : ndarray, shape (d,)
        The deviation is inf for a parameter without a prior.
    """

    mean: Array
    deviation: Array


@dataclass(frozen=True, eq=False)
class LinearModel:
    """Residuals of every member as linear functions of the parameters.

    Parameters
    ----------
    centre : ndarray, shape (d,)
        Parameters in the unit cube.
    residuals : ndarray, shape (M, n)
        Residuals of the members at the centre.
    slopes : ndarray, shape (M, n, d)
        Their derivatives by the parameters.
    misfit : ndarray, shape (d, d)
        Covariance of errors of the mean slopes by which the evaluations scatter about the model,
        summed over readings: curvature, and members that differ from point to point. Zero if there
        are too few evaluations to tell.
    """

    centre: Array
    residuals: Array
    slopes: Array
    misfit: Array


@dataclass(frozen=True, eq=False)
class ParameterEstimate:
    """Parameters with their 95 % intervals, in the unit cube.

    Parameters
    ----------
    value : ndarray, shape (d,)
        Most probable parameters within the cube.
    low, high : ndarray, shape (d,)
        Quantiles 2.5 and 97.5 % of each parameter, extended to the value where that is outside: a
        value on a bound.
    is_fixed_by_data : ndarray of bool, shape (d,)
        Whether the interval is narrower than `FIXED` of the one that the prior alone has in the
        cube, 0.95 if there is none.
    covariance, correlation : ndarray, shape (d, d)
        Of the posterior within the cube.
    singular_values : ndarray, shape (d,)
        Of the mean slopes, decreasing: change of the residuals for a step along the direction.
    directions : ndarray, shape (d, d)
        Their directions in parameter space, one a row.
    direction_is_fixed : ndarray of bool, shape (d,)
        The same rule for the deviation along a direction: the combinations of parameters that the
        data do not fix are those that are False.
    chi_square : float
        Sum over readings of the squared mean residual over its variance, the diagonal of C. About
        `degrees_of_freedom` if the noise of readings is independent; less if it is correlated,
        since the fit then follows it (0.15 of it for random walks and three parameters).
    degrees_of_freedom : int
        Readings minus directions that were estimated.
    ranged_chi_square : float
        The same of means over `ranges` ranges of successive readings with their covariance, scaled
        as Hartlap, Simon and Schneider (2007, doi 10.1051/0004-6361:20066170) so that its mean is
        `ranges` if the model holds. NaN if there are too few members or readings.
    ranges : int
    """

    value: Array
    low: Array
    high: Array
    is_fixed_by_data: NDArray[np.bool_]
    covariance: Array
    correlation: Array
    singular_values: Array
    directions: Array
    direction_is_fixed: NDArray[np.bool_]
    chi_square: float
    degrees_of_freedom: int
    ranged_chi_square: float
    ranges: int


def local_linear_model(
    theta: ArrayLike, residuals: ArrayLike, centre: ArrayLike | None = None
) -> LinearModel:
    """Weighted linear regression of the residuals of every member on the parameters.

    An evaluation has the weight exp(-x^2 / 2), x its distance to the centre over that of the 2d-th
    nearest evaluation. Where evaluations do not span the space the slopes are the smallest ones
    that fit, zero along directions in which nothing was varied: the limit of a ridge regression.

    Parameters
    ----------
    theta : array_like, shape (k, d)
        Evaluated points of the unit cube.
    residuals : array_like, shape (k, M, n)
        The same members at all points.
    centre : array_like, shape (d,), optional
        By default the point with the smallest sum of squared mean residuals.

    Raises
    ------
    ValueError
        If the shapes do not fit, a residual is not finite, there are fewer than `FEWEST_MEMBERS`
        members, or all points are the same.
    """
    points = np.asarray(theta, dtype=np.float64)
    values = np.asarray(residuals, dtype=np.float64)
    if points.ndim != 2 or values.ndim != 3 or len(points) != len(values):
        raise ValueError(
            "The 'residuals' parameter must have shape (k, M, n) for k points. "
            f"Got {values.shape} for {points.shape} instead."
        )
    if not np.all(np.isfinite(values)):
        raise ValueError("The 'residuals' parameter must be finite: leave infeasible points out.")
    evaluations, members, readings = values.shape
    if members < FEWEST_MEMBERS:
        raise ValueError(
            f"The 'residuals' parameter must hold at least {FEWEST_MEMBERS} members. "
            f"Got {members} instead."
        )
    if centre is None:
        centre = points[np.argmin((values.mean(axis=1) ** 2).sum(axis=1))]
    middle = np.asarray(centre, dtype=np.float64)
    offset = points - middle
    distance = np.linalg.norm(offset, axis=1)
    nearest = np.sort(distance[distance > 0])[: 2 * points.shape[1]]
    if not nearest.size:
        raise ValueError("The 'theta' parameter must hold points apart from the centre. Got none.")
    weight = np.exp(-0.5 * (distance / nearest[-1]) ** 2)
    weight /= weight.sum()
    # Offsets from weighted means: the intercept is no part of what is kept small.
    mean_offset = weight @ offset
    flat = values.reshape(evaluations, -1)
    mean_value = weight @ flat
    root = np.sqrt(weight)[:, None]
    inverse = np.linalg.pinv(root * (offset - mean_offset), rcond=1e-8)
    to_slopes = inverse * root.T
    solved = to_slopes @ (flat - mean_value)
    slopes = np.moveaxis(solved.reshape(-1, members, readings), 0, -1)
    at_centre = mean_value.reshape(members, readings) - slopes @ mean_offset
    apart = values.mean(axis=1) - at_centre.mean(axis=0) - offset @ slopes.mean(axis=0).T
    free = evaluations - points.shape[1] - 1
    scatter = float(weight @ (apart**2).sum(axis=1)) * evaluations / free if free > 0 else 0.0
    return LinearModel(middle, at_centre, slopes, scatter * to_slopes @ to_slopes.T)


def estimate_parameters(
    model: LinearModel,
    *,
    seed: int,
    data_errors: ArrayLike = 1.0,
    correlated: bool = True,
    prior: GaussianPrior | None = None,
) -> ParameterEstimate:
    """Parameters, their intervals, and the quality of the fit, by the local linear model.

    One step of Gauss and Newton from the centre of the model: far from it the caller evaluates
    points around the new value and repeats (`design_points`).

    Parameters
    ----------
    model : LinearModel
    seed : int
        Of the sampler.
    data_errors : array_like, shape (n,) or scalar
        Standard errors of the data in units of the sigma of the residuals: 1 where sigma is the
        standard error; 0 for data without noise.
    correlated : bool
        Whether the noise of the data is correlated as that of the members: they are one device, or
        the mean of some. Otherwise errors of the readings are independent.
    prior : GaussianPrior, optional
        None besides the cube by default.

    Raises
    ------
    ValueError
        If the data errors are negative or do not fit the readings, or neither members nor data
        have any noise.
    """
    readings = model.residuals.shape[1]
    parameters = len(model.centre)
    errors = np.asarray(data_errors, dtype=np.float64)
    if errors.shape not in ((), (readings,)) or not np.all(errors >= 0):
        raise ValueError(
            f"The 'data_errors' parameter must be one number or {readings}, not negative. "
            f"Got shape {errors.shape} instead."
        )
    errors = np.broadcast_to(errors, readings)
    if prior is None:
        prior = GaussianPrior(model.centre, np.full(parameters, math.inf))
    deviation = np.minimum(prior.deviation, FLAT)
    prior_mean = np.where(np.isfinite(prior.deviation), prior.mean, model.centre)

    data = _estimate_from_data(model, errors, correlated)
    information = data.information + np.diag(deviation**-2)
    target = data.information @ data.value + prior_mean / deviation**2
    gaussian = np.linalg.solve(information, target)
    factor = np.linalg.cholesky(information).T
    value = np.asarray(lsq_linear(factor, factor @ gaussian, bounds=(0, 1), method="bvls").x)
    value = np.clip(value, 0.0, 1.0)
    samples = truncated_gaussian(gaussian, information, value, seed)

    low, high = np.quantile(samples, [0.025, 0.975], axis=0)
    low, high = np.minimum(low, value), np.maximum(high, value)
    only = truncnorm(-prior_mean / deviation, (1 - prior_mean) / deviation, prior_mean, deviation)
    covariance = np.atleast_2d(np.cov(samples.T))
    spread = np.sqrt(np.diag(covariance))
    along = np.sqrt(np.einsum("ij,jk,ik->i", data.directions, covariance, data.directions))
    along_prior = np.sqrt(data.directions**2 @ only.var())
    residual = (model.residuals + model.slopes @ (value - model.centre)).mean(axis=0)
    chi_square, freedom, ranged, ranges = _chi_squares(
        model, residual, data.left, errors, correlated
    )
    return ParameterEstimate(
        value=value,
        low=low,
        high=high,
        is_fixed_by_data=high - low < FIXED * (only.ppf(0.975) - only.ppf(0.025)),
        covariance=covariance,
        correlation=covariance / np.outer(spread, spread),
        singular_values=data.singular_values,
        directions=data.directions,
        direction_is_fixed=along < FIXED * along_prior,
        chi_square=chi_square,
        degrees_of_freedom=freedom,
        ranged_chi_square=ranged,
        ranges=ranges,
    )


def design_points(
    centre: ArrayLike, covariance: ArrayLike, smallest: float = 0.1, largest: float = 0.25
) -> Array:
    """Points around a centre at which the ensemble gives a good local linear model.

    The centre, and two points along each principal axis of a preliminary covariance, one standard
    deviation to either side. A point outside the cube is moved to its nearest point in it. Where
    that leaves less than half the way, the point is halfway on the other side instead.

    Parameters
    ----------
    centre : array_like, shape (d,)
        In the unit cube.
    covariance : array_like, shape (d, d)
        `ParameterEstimate.covariance`, for instance.
    smallest, largest : float
        Limits of the distance. Over small ones slopes are noise unless the members move alike:
        with noise of which 20 % is new at every point, 0.1 and 32 members gave intervals as narrow
        as those of members that are the same at all points; over large ones they are curved.

    Returns
    -------
    ndarray, shape (2d + 1, d)
        The centre first.
    """
    middle = np.asarray(centre, dtype=np.float64)
    variances, axes = np.linalg.eigh(np.asarray(covariance, dtype=np.float64))
    reach = np.clip(np.sqrt(np.maximum(variances, 0.0)), smallest, largest)
    points = [middle]
    for step in (axes * reach).T:
        for side in (step, -step):
            point = np.clip(middle + side, 0.0, 1.0)
            if np.linalg.norm(point - middle) < 0.5 * np.linalg.norm(step):
                point = np.clip(middle - side / 2, 0.0, 1.0)
            points.append(point)
    return np.array(points)


def truncated_gaussian(mean: Array, precision: Array, start: Array, seed: int) -> Array:
    """Samples of a Gaussian within the unit cube.

    Where a fifth of the Gaussian is in the cube, that part of it. Otherwise Gibbs steps along the
    principal axes of the Gaussian, in which it is a product, and along the edges of the cube, in
    parallel chains. Without the bounds one sweep would be an independent sample.

    Parameters
    ----------
    mean : ndarray, shape (d,)
        Of the Gaussian, also outside of the cube.
    precision : ndarray, shape (d, d)
        Inverse of its covariance.
    start : ndarray, shape (d,)
        A point of the cube, best a probable one.
    seed : int

    Returns
    -------
    ndarray, shape (`CHAINS` * `SWEEPS`, d)
    """
    random = np.random.Generator(np.random.PCG64DXSM(np.random.SeedSequence(seed)))
    count, parameters = CHAINS * SWEEPS, len(mean)
    factor = np.linalg.cholesky(precision).T
    drawn = mean + np.linalg.solve(factor, random.standard_normal((parameters, 5 * count))).T
    inside = drawn[np.all((drawn >= 0) & (drawn <= 1), axis=1)]
    if len(inside) >= count:
        kept: Array = inside[:count]
        return kept
    moves = np.concatenate([np.linalg.eigh(precision)[1].T, np.eye(parameters)])
    chains = np.tile(start, (CHAINS, 1))
    samples: list[Array] = []
    for sweep in range(BURN_IN + SWEEPS):
        for move in moves:
            across = np.abs(move) > 1e-12
            to_bounds = np.stack([-chains[:, across], 1 - chains[:, across]]) / move[across]
            nearest = to_bounds.min(axis=0).max(axis=1), to_bounds.max(axis=0).min(axis=1)
            curvature = move @ precision @ move
            middle = (mean - chains) @ (precision @ move) / curvature
            deviation = 1 / math.sqrt(curvature)
            a, b = ((bound - middle) / deviation for bound in nearest)
            length = middle + deviation * _truncated_normal(a, b, random.random(CHAINS))
            chains = np.clip(chains + length[:, None] * move, 0.0, 1.0)
        if sweep >= BURN_IN:
            samples.append(chains)
    return np.concatenate(samples)


def _truncated_normal(low: Array, high: Array, uniform: Array) -> Array:
    """Standard normal numbers between two bounds from uniform ones, also far in the tails."""
    # The lower tail keeps its digits: its logarithm is known, while 1 - p is lost.
    mirrored = low + high > 0
    a, b = np.where(mirrored, -high, low), np.where(mirrored, -low, high)
    log_a, log_b = log_ndtr(a), log_ndtr(b)
    found = ndtri_exp(log_b + np.log1p((1 - uniform) * np.expm1(log_a - log_b)))
    found = np.clip(found, a, b)
    signed: Array = np.where(mirrored, -found, found)
    return signed


@dataclass(frozen=True, eq=False)
class _DataEstimate:
    """What the data say without a prior.

    Parameters
    ----------
    value : ndarray, shape (d,)
    information : ndarray, shape (d, d)
        Inverse covariance, zero along directions that tell nothing.
    singular_values, directions : ndarray, shape (d,) and (d, d)
        Of the mean slopes.
    left : ndarray, shape (n, used)
        Residuals that steps along the directions that tell something make, orthonormal.
    """

    value: Array
    information: Array
    singular_values: Array
    directions: Array
    left: Array


def _estimate_from_data(model: LinearModel, errors: Array, correlated: bool) -> _DataEstimate:
    members, readings = model.residuals.shape
    parameters = len(model.centre)
    # All directions of the parameters are needed, but not all of the readings: there may be many.
    left, singular, directions = np.linalg.svd(
        model.slopes.mean(axis=0), full_matrices=readings < parameters
    )
    singular = np.pad(singular, (0, parameters - len(singular)))
    scatter = (model.slopes - model.slopes.mean(axis=0)) @ directions.T
    pairs = members * (members - 1)
    noise = (scatter**2).sum(axis=(0, 1)) / pairs
    misfit = np.einsum("ij,jk,ik->i", directions, model.misfit, directions)
    errors_of_slopes = np.maximum(CLEAR * noise, CLEAR_OF_MISFIT * misfit)
    tells = singular**2 > np.maximum(errors_of_slopes, (1e-10 * singular[0]) ** 2)
    if not tells.any():
        nothing = np.zeros((parameters, parameters))
        return _DataEstimate(model.centre, nothing, singular, directions, left[:, :0])
    # Steps in units of the residuals that they make: the Gram matrix of the mean slopes is 1.
    left = left[:, : min(parameters, readings)][:, tells[:readings]]
    to_steps = singular[tells, None] * directions[tells]
    scatter = scatter[..., tells] / singular[tells]
    mean = model.residuals.mean(axis=0)
    deviations = model.residuals - mean
    # Means over pairs of different members: those over all pairs less the noise of each member.
    gram = np.eye(left.shape[1]) - np.einsum("mij,mik->jk", scatter, scatter) / pairs
    force = left.T @ mean - np.einsum("mij,mi->j", scatter, deviations) / pairs
    step = -np.linalg.solve(gram, force)
    # Where the model leaves residuals, the noise of the slopes moves the estimate as well.
    of_slopes = np.einsum("mij,i->mj", scatter, mean + left @ step)
    covariance, freedom = _noise(model, errors, correlated, left, of_slopes)
    widened = stdtrit(freedom, 0.975) / ndtri(0.975)
    root = to_steps.T @ gram
    return _DataEstimate(
        value=model.centre + np.linalg.lstsq(to_steps, step, rcond=None)[0],
        information=root @ np.linalg.inv(covariance * np.outer(widened, widened)) @ root.T,
        singular_values=singular,
        directions=directions,
        left=left,
    )


def _noise(
    model: LinearModel,
    errors: Array,
    correlated: bool,
    onto: Array,
    of_slopes: ArrayLike = 0.0,
    shrunk: bool = True,
) -> tuple[Array, Array]:
    """Covariance of projections of the mean residuals, and its degrees of freedom.

    Parameters
    ----------
    model, errors, correlated
        As `estimate_parameters` has them.
    onto : ndarray, shape (n, q)
        Columns onto which the residuals are projected.
    of_slopes : array_like, shape (M, q)
        What the slopes of each member add to its projections.
    shrunk : bool
        Shrink the correlations.

    Returns
    -------
    covariance : ndarray, shape (q, q)
    freedom : ndarray, shape (q,)
        Of each variance.
    """
    members = len(model.residuals)
    deviations = model.residuals - model.residuals.mean(axis=0)
    simulated = _covariance(deviations @ onto + of_slopes, shrunk) / members
    spread = deviations.std(axis=0, ddof=1)
    # Readings in which the members agree say nothing of a correlation.
    alone = (spread == 0) | (not correlated)
    of_data = onto.T @ (np.where(alone, errors**2, 0.0)[:, None] * onto)
    estimated = np.diag(simulated).copy()
    if not alone.all():
        scaled = np.where(alone, 0.0, errors / np.where(alone, 1.0, spread))
        alike = _covariance((scaled * deviations) @ onto, shrunk)
        of_data += alike
        estimated += np.diag(alike)
    total = simulated + of_data
    if not np.all(np.diag(total) > 0):
        raise ValueError(
            "The members or the data must have some noise: without it there are no intervals."
        )
    # Satterthwaite: only what comes from the members is uncertain.
    share = estimated / np.diag(total)
    return total, (members - 1) / np.maximum(share, 1e-6) ** 2


def _covariance(values: Array, shrunk: bool) -> Array:
    """Covariance over members, with correlations shrunk so that it has full rank if asked for.

    Parameters
    ----------
    values : ndarray, shape (M, q)
        With mean zero.
    shrunk : bool
    """
    members, columns = values.shape
    covariance: Array = values.T @ values / (members - 1)
    if not shrunk or columns == 1:
        return covariance
    variance = np.diag(covariance)
    deviation = np.sqrt(np.where(variance > 0, variance, 1.0))
    scaled = values / deviation
    products = scaled[:, :, None] * scaled[:, None, :]
    other = ~np.eye(columns, dtype=bool)
    squares = ((products.sum(axis=0)[other] / (members - 1)) ** 2).sum()
    uncertainty = products.var(axis=0)[other].sum() * members**2 / (members - 1) ** 3
    share = min(1.0, uncertainty / squares) if squares > 0 else 0.0
    # Without a least share the matrix would be singular where there are no more members than
    # columns and all correlations seem certain.
    covariance[other] *= 1 - max(share, 1 / members)
    return covariance


def _chi_squares(
    model: LinearModel, residual: Array, left: Array, errors: Array, correlated: bool
) -> tuple[float, int, float, int]:
    """Chi-square and its degrees of freedom; that of means over ranges, and their number.

    Parameters
    ----------
    model, errors, correlated
        As `estimate_parameters` has them.
    residual : ndarray, shape (n,)
        Mean residuals at the estimate.
    left : ndarray, shape (n, used)
        What the fit has taken out of the noise.
    """
    members, readings = model.residuals.shape
    variance = model.residuals.var(axis=0, ddof=1) / members + errors**2
    noisy = variance > 0
    chi_square = float((residual[noisy] ** 2 / variance[noisy]).sum())
    freedom = int(noisy.sum()) - left.shape[1]
    # With more ranges, the inverse of their estimated covariance is too uncertain.
    ranges = min(RANGES, (members - 2) // 2, freedom)
    if ranges < 1:
        return chi_square, freedom, math.nan, 0
    index = np.arange(readings) * ranges // readings
    averages = (index == np.arange(ranges)[:, None]).astype(np.float64)
    averages /= averages.sum(axis=1, keepdims=True)
    onto = averages.T - left @ (left.T @ averages.T)
    covariance, certain = _noise(model, errors, correlated, onto, shrunk=False)
    means = averages @ residual
    squares = float(means @ np.linalg.pinv(covariance, rcond=1e-10, hermitian=True) @ means)
    degrees = float(certain.min())
    return chi_square, freedom, squares * (degrees - ranges - 1) / degrees, ranges
