"""The optimum of a fit and the intervals of its parameters, from recorded generations.

The search leaves a cloud of sets around the optimum. A first local linear model of it says how far
the residuals change along each direction; sets at such distances are then run on the largest
ensemble (the stage ``slopes``), and the intervals follow from those (`fit.uncertainty`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kmc_oxy.fit.fit_folder import FinishedGeneration
from kmc_oxy.fit.parameters import Parameter
from kmc_oxy.fit.uncertainty import (
    GaussianPrior,
    ParameterEstimate,
    design_points,
    estimate_parameters,
    local_linear_model,
)

Array = NDArray[np.float64]

#: Sets of the search for the first linear model, for each parameter.
SETS_PER_PARAMETER = 8
#: Deviation of the first sets around the optimum if the search does not give it, in the cube.
DEFAULT_DEVIATION = 0.05
#: Farthest that an estimate may lie from the best set evaluated, along each axis of the cube: the
#: linear model is a local one.
LARGEST_STEP = 0.15


def slope_points(
    parameters: Sequence[Parameter], generations: Sequence[FinishedGeneration], seed: int
) -> Array:
    """Sets around the optimum whose residuals give the slopes.

    Parameters
    ----------
    parameters : sequence of Parameter
    generations : sequence of FinishedGeneration
        All that are finished.
    seed : int

    Returns
    -------
    ndarray, shape (2d + 1, d)
    """
    estimate = estimated(parameters, generations, seed)
    best = lowest(generations)
    if estimate is None:
        return design_points(best, DEFAULT_DEVIATION**2 * np.eye(len(best)))
    return design_points(_near(estimate.value, best), estimate.covariance)


def check_points(
    parameters: Sequence[Parameter], generations: Sequence[FinishedGeneration], seed: int
) -> Array:
    """The optimum: the best set evaluated and, if it is another one, the estimate.

    Parameters
    ----------
    parameters, generations, seed
        As in `slope_points`.

    Returns
    -------
    ndarray, shape (1 or 2, d)
    """
    best = lowest(generations)
    estimate = estimated(parameters, generations, seed)
    if estimate is None or not any(each.stage == "slopes" for each in generations):
        return best[None, :]
    near = _near(estimate.value, best)
    return best[None, :] if np.allclose(near, best) else np.stack([best, near])


def estimated(
    parameters: Sequence[Parameter], generations: Sequence[FinishedGeneration], seed: int
) -> ParameterEstimate | None:
    """Parameters and their intervals in the cube; None if there are too few sets.

    Parameters
    ----------
    parameters, generations, seed
        As in `slope_points`.
    """
    theta, residuals, data_errors = _around_optimum(generations)
    dimension = len(parameters)
    if len(theta) < dimension + 2 or residuals.shape[1] < 3 or not np.ptp(theta, axis=0).any():
        return None
    model = local_linear_model(theta, residuals)
    prior = None
    if any(each.prior for each in parameters):
        given = [each.prior or (0.5, np.inf) for each in parameters]
        mean, deviation = np.array(given).T
        prior = GaussianPrior(mean, deviation)
    return estimate_parameters(model, seed=seed, data_errors=data_errors, prior=prior)


def _around_optimum(generations: Sequence[FinishedGeneration]) -> tuple[Array, Array, Array]:
    """Sets around the optimum on the same devices: points, residuals of members, data errors.

    Those of the stage ``slopes`` if there are any, else the nearest ones of the search.
    """
    chosen = [each for each in generations if each.stage == "slopes"]
    if not chosen:
        chosen = _largest_ensemble(generations)
    theta = np.concatenate([each.points[each.is_whole] for each in chosen])
    residuals = np.concatenate([each.member_residuals[each.is_whole] for each in chosen])
    if chosen[0].stage == "search":
        best = lowest(generations)
        nearest = np.argsort(np.linalg.norm(theta - best, axis=1), kind="stable")
        nearest = nearest[: SETS_PER_PARAMETER * theta.shape[1]]
        theta, residuals = theta[nearest], residuals[nearest]
    return theta, residuals, chosen[0].data_errors


def lowest(generations: Sequence[FinishedGeneration]) -> Array:
    """The set of lowest cost, of the stage ``slopes`` if it is finished, else of the search.

    Costs of ensembles of different size are not comparable: those of the largest one count.

    Parameters
    ----------
    generations : sequence of FinishedGeneration

    Returns
    -------
    ndarray, shape (d,)
    """
    slopes = [each for each in generations if each.stage == "slopes"]
    among = slopes or _largest_ensemble(generations)
    points = np.concatenate([each.points for each in among])
    costs = np.concatenate([each.costs for each in among])
    found: Array = points[int(np.argmin(costs))]
    return found


def _largest_ensemble(generations: Sequence[FinishedGeneration]) -> list[FinishedGeneration]:
    searched = [
        each for each in generations if each.stage == "search" and np.isfinite(each.costs).any()
    ]
    most = max(each.members for each in searched)
    return [each for each in searched if each.members == most]


def _near(point: Array, best: Array) -> Array:
    """A point no farther than `LARGEST_STEP` from the best set, in the cube."""
    return np.clip(best + np.clip(point - best, -LARGEST_STEP, LARGEST_STEP), 0.0, 1.0)
