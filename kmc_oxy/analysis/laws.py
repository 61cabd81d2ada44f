r"""Laws of the conductance against the number of pulses, and their fits.

Laws, for the conductance G after N >= 1 pulses:

=========== ==================================================================
log         a + b ln N (paper, figure 4)
exponential a + b (1 - exp(-N/n0))
stretched   a + b (1 - exp(-(N/n0)^beta))
power       b N^c
nlsb        a + b [1 + (gamma - 1) c N]^(-1/(gamma - 1)): the non-linear soft bound
            (Brivio 2021, doi 10.3389/fnins.2021.580909; Fusi and Abbott 2007)
=========== ==================================================================

Each is fitted by least squares and judged by the corrected Akaike criterion

.. math:: \mathrm{AICc} = n \ln(S/n) + 2k + \frac{2k(k+1)}{n-k-1},

with S the sum of squares and k the number of parameters, variance included. The criterion assumes
independent residuals. Those of one device are correlated, so a preference holds for the data that
were fitted and not for every device. For a large gamma the non-linear soft bound is a logarithm,
and a short train cannot distinguish the two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize

#: A smaller difference of AICc is not significant (Burnham and Anderson 2002).
UNDECIDED_BELOW = 2.0

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Law:
    """A law that is linear in some parameters once the others are given.

    Parameters
    ----------
    name, formula : str
    linear, nonlinear : tuple of str
        Names of the parameters.
    columns : callable
        (N, nonlinear parameters) -> one array per linear parameter.
    starts : callable
        Largest N -> starting points of the search for the nonlinear parameters.
    bounds : callable
        Largest N -> lower and upper bounds of the nonlinear parameters.
    """

    name: str
    formula: str
    linear: tuple[str, ...]
    nonlinear: tuple[str, ...]
    columns: Callable[[Array, Array], list[Array]]
    starts: Callable[[float], list[list[float]]]
    bounds: Callable[[float], tuple[list[float], list[float]]]


def _soft_bound(number: Array, gamma_minus_one: float, rate: float) -> Array:
    # log1p is accurate in the limit gamma -> 1, exp(-rate N).
    return np.exp(-np.log1p(gamma_minus_one * rate * number) / gamma_minus_one)


def _scales(largest: float) -> list[float]:
    return list(np.geomspace(0.3, 10 * largest, 8))


LAWS: Mapping[str, Law] = {
    law.name: law
    for law in (
        Law(
            "log",
            "a + b ln N",
            ("a", "b"),
            (),
            lambda number, free: [np.ones_like(number), np.log(number)],
            lambda largest: [[]],
            lambda largest: ([], []),
        ),
        Law(
            "exponential",
            "a + b (1 - exp(-N/n0))",
            ("a", "b"),
            ("n0",),
            lambda number, free: [np.ones_like(number), -np.expm1(-number / free[0])],
            lambda largest: [[scale] for scale in _scales(largest)],
            lambda largest: ([0.05], [1e3 * largest]),
        ),
        Law(
            "stretched",
            "a + b (1 - exp(-(N/n0)^beta))",
            ("a", "b"),
            ("n0", "beta"),
            lambda number, free: [
                np.ones_like(number),
                -np.expm1(-((number / free[0]) ** free[1])),
            ],
            lambda largest: [[s, beta] for s in _scales(largest) for beta in (0.3, 0.6, 1.0)],
            lambda largest: ([0.05, 0.05], [1e3 * largest, 3.0]),
        ),
        Law(
            "power",
            "b N^c",
            ("b",),
            ("c",),
            lambda number, free: [number ** free[0]],
            lambda largest: [[-1.0], [-0.1], [0.1], [1.0]],
            lambda largest: ([-5.0], [5.0]),
        ),
        Law(
            "nlsb",
            "a + b [1 + (gamma - 1) c N]^(-1/(gamma - 1))",
            ("a", "b"),
            ("gamma - 1", "c"),
            lambda number, free: [np.ones_like(number), _soft_bound(number, free[0], free[1])],
            lambda largest: [
                [gamma, 1 / scale] for gamma in (0.3, 2.0, 8.0) for scale in _scales(largest)
            ],
            lambda largest: ([1e-3, 1e-4 / largest], [50.0, 50.0]),
        ),
    )
}


@dataclass(frozen=True)
class Fit:
    """A law fitted to data.

    Parameters
    ----------
    law : str
        Key of `LAWS`.
    parameters : mapping of str to float
        The linear ones in the unit of the data.
    sum_of_squares : float
        Of the residuals, in the unit of the data squared.
    points : int
    aicc : float
        Corrected Akaike criterion; only differences for the same data have a meaning.
    at_bound : bool
        Whether a nonlinear parameter is at the edge of its range: the data do not determine
        it.
    """

    law: str
    parameters: Mapping[str, float]
    sum_of_squares: float
    points: int
    aicc: float
    at_bound: bool

    @property
    def text(self) -> str:
        """Formula and parameters."""
        values = ", ".join(f"{name} = {value:.4g}" for name, value in self.parameters.items())
        return f"{LAWS[self.law].formula} with {values}"

    def __call__(self, number: ArrayLike) -> Array:
        """The law at pulse numbers `number`."""
        law = LAWS[self.law]
        free = np.array([self.parameters[name] for name in law.nonlinear])
        columns = law.columns(np.asarray(number, dtype=np.float64), free)
        return sum(
            (self.parameters[n] * c for n, c in zip(law.linear, columns, strict=True)),
            start=np.zeros(np.shape(number)),
        )


def fit(number: ArrayLike, values: ArrayLike, law: str) -> Fit:
    """Fit one law by least squares.

    Parameters
    ----------
    number : array_like, shape (n,)
        Pulse numbers, at least 1.
    values : array_like, shape (n,)
        Values at these numbers, e.g. conductances in S.
    law : str
        Key of `LAWS`.

    Returns
    -------
    Fit

    Raises
    ------
    ValueError
        If the data are not finite, too few for the law, or begin below 1.
    """
    model = LAWS[law]
    x, y = np.asarray(number, dtype=np.float64), np.asarray(values, dtype=np.float64)
    parameters = len(model.linear) + len(model.nonlinear) + 1
    if x.shape != y.shape or x.ndim != 1 or len(x) < parameters + 2:
        raise ValueError(
            f"The law {law!r} needs at least {parameters + 2} points. Got shapes {x.shape} and "
            f"{y.shape}."
        )
    if not (np.isfinite(x).all() and np.isfinite(y).all() and x.min() >= 1):
        raise ValueError("The data must be finite, with pulse numbers from 1 on.")
    # Scaled to order one for the optimiser: conductances in S are tiny numbers.
    scale = float(np.max(np.abs(y))) or 1.0
    solution, best, residuals = solve(model, x, y / scale)
    bounds = model.bounds(float(x.max()))
    squares = above_rounding(float(residuals @ residuals), len(x))
    found = dict(zip(model.linear, (solution * scale).tolist(), strict=True))
    found |= dict(zip(model.nonlinear, best.tolist(), strict=True))
    count = len(x)
    return Fit(
        law=law,
        parameters=found,
        sum_of_squares=squares * scale**2,
        points=count,
        aicc=corrected_akaike(squares * scale**2, count, parameters),
        at_bound=bool(
            np.any(np.isclose(best, bounds[0], rtol=1e-3) | np.isclose(best, bounds[1], rtol=1e-3))
        ),
    )


def above_rounding(squares: float, count: int) -> float:
    """A sum of `count` squared residuals of data of order one, at least that of rounding errors.

    Fits that are exact to rounding then count as equally good.
    """
    return max(squares, count * float(np.finfo(np.float64).eps) ** 2)


def corrected_akaike(squares: float, count: int, parameters: int) -> float:
    """AICc of a fit.

    Parameters
    ----------
    squares : float
        Sum of the squares of the residuals.
    count, parameters : int
        Points, and parameters with the variance counted.
    """
    return float(
        count * np.log(squares / count)
        + 2 * parameters
        + 2 * parameters * (parameters + 1) / (count - parameters - 1)
    )


def solve(
    law: Law, number: Array, target: Array, transform: Array | None = None
) -> tuple[Array, Array, Array]:
    """Least-squares parameters of a law; the linear ones are eliminated.

    Parameters
    ----------
    law : Law
    number : ndarray, shape (n,)
        Pulse numbers.
    target : ndarray, shape (m,)
        Data of order one.
    transform : ndarray, shape (m, n), optional
        Linear map from values at the pulse numbers to the target; default: identity.

    Returns
    -------
    ndarray, ndarray, ndarray
        Linear parameters, nonlinear ones, residuals.
    """

    def linear(free: Array) -> tuple[Array, Array]:
        design = np.column_stack(law.columns(number, free))
        if transform is not None:
            design = transform @ design
        found = np.asarray(np.linalg.lstsq(design, target, rcond=None)[0], np.float64)
        return found, design @ found - target

    largest = float(number.max())
    best = _search(linear, law.starts(largest), law.bounds(largest))
    solution, residuals = linear(best)
    return solution, best, residuals


def _search(
    linear: Callable[[Array], tuple[Array, Array]],
    starts: list[list[float]],
    bounds: tuple[list[float], list[float]],
) -> Array:
    """Least-squares nonlinear parameters; the linear ones are eliminated."""
    if not starts[0]:
        return np.empty(0)
    # The best three points of a coarse grid suffice: there are one or two local minima.
    ranked = sorted(starts, key=lambda start: float(np.sum(linear(np.array(start))[1] ** 2)))
    results = [
        optimize.least_squares(
            lambda free: linear(free)[1],
            np.clip(start, bounds[0], bounds[1]),
            bounds=bounds,
            x_scale=np.maximum(np.abs(start), 1e-3),
            xtol=1e-12,
            ftol=1e-12,
            gtol=1e-12,
            max_nfev=400,
        )
        for start in ranked[:3]
    ]
    return np.asarray(min(results, key=lambda result: float(result.cost)).x)


def fit_laws(number: ArrayLike, values: ArrayLike) -> dict[str, Fit]:
    """Fit every law for which there are enough points, the best by AICc first.

    Parameters
    ----------
    number, values : array_like, shape (n,)
        As in `fit`.

    Returns
    -------
    dict of str to Fit
        In the order of AICc.
    """
    count = len(np.asarray(number))
    laws = [law.name for law in LAWS.values() if count >= len(law.linear) + len(law.nonlinear) + 3]
    fits = [fit(number, values, law) for law in laws]
    return {item.law: item for item in sorted(fits, key=lambda item: item.aicc)}


def verdict(first: Fit, second: Fit) -> str:
    """Preference between two fits to the same data by AICc.

    Parameters
    ----------
    first, second : Fit

    Returns
    -------
    str
        ``"first over second by 12.3"``, or that they cannot be told apart.
    """
    difference = second.aicc - first.aicc
    if abs(difference) < UNDECIDED_BELOW:
        return f"{first.law} and {second.law} not told apart (AICc differs by {difference:+.1f})"
    better, worse = (first, second) if difference > 0 else (second, first)
    return f"{better.law} over {worse.law} by {abs(difference):.1f} in AICc"
