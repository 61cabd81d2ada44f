"""Means over members with confidence intervals.

A positive quantity that spreads widely over members is averaged by its logarithms (`is_wide`):
the same rule holds in tables, figures, reports and criteria, and each names the mean that it shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

Array = NDArray[np.float64]

#: Standard deviation over the mean from which on logarithms are averaged.
WIDE = 0.5
#: An interval of a geometric mean whose ends are further apart than this ratio says nothing.
UNDETERMINED = 1e4


@dataclass(frozen=True, eq=False)
class EnsembleMean:
    """Mean over members, with its confidence interval and the spread of the members.

    Parameters
    ----------
    mean, low, high : ndarray
        Mean and the ends of its interval; the ends are NaN for fewer than two members.
    spread_low, spread_high : ndarray
        Ends of a band of one standard deviation over members on either side of the mean.
    members : int
        Largest number of members with a finite value.
    confidence : float
    geometric : bool
        Whether all of these are of the logarithms: a geometric mean, a band by a factor.
    """

    mean: Array
    low: Array
    high: Array
    spread_low: Array
    spread_high: Array
    members: int
    confidence: float
    geometric: bool

    @property
    def name(self) -> str:
        """Name of the mean."""
        return mean_name(self.geometric)

    def at(self, readings: slice | NDArray[np.bool_]) -> EnsembleMean:
        """The same of some of the readings."""
        return replace(
            self,
            mean=self.mean[readings],
            low=self.low[readings],
            high=self.high[readings],
            spread_low=self.spread_low[readings],
            spread_high=self.spread_high[readings],
        )


def mean_name(geometric: bool) -> str:
    """Name of a mean, for tables, axes and captions."""
    return "geometric mean" if geometric else "mean"


def ensemble_mean(
    values: ArrayLike, confidence: float = 0.95, axis: int = 0, geometric: bool = False
) -> EnsembleMean:
    """Mean over members with Student's interval. Values that are not finite are left out.

    Parameters
    ----------
    values : array_like
        Observations, members along `axis`.
    confidence : float
        Between 0 and 1.
    axis : int
    geometric : bool
        Average the logarithms. All values must be positive.

    Returns
    -------
    EnsembleMean

    Raises
    ------
    ValueError
        If there is no member, or `confidence` is out of range.
    """
    if not 0 < confidence < 1:
        raise ValueError(
            f"The 'confidence' parameter must lie between 0 and 1. Got {confidence} instead."
        )
    array = np.moveaxis(np.asarray(values, dtype=np.float64), axis, 0)
    if array.shape[0] == 0:
        raise ValueError("The 'values' parameter must hold at least one member. Got none.")
    finite = np.isfinite(array)
    count = np.asarray(finite.sum(axis=0))
    if geometric:
        array = np.log(array, where=finite, out=np.zeros_like(array))
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(finite, array, 0.0).sum(axis=0) / count
        squares = (np.where(finite, array - mean, 0.0) ** 2).sum(axis=0)
        spread = np.sqrt(np.where(count > 1, squares, np.nan) / (count - 1))
        half = stdtrit(count - 1, 0.5 + confidence / 2) * spread / np.sqrt(count)
    back = np.exp if geometric else np.asarray
    return EnsembleMean(
        mean=back(mean),
        low=back(mean - half),
        high=back(mean + half),
        spread_low=back(mean - spread),
        spread_high=back(mean + spread),
        members=int(count.max(initial=0)),
        confidence=confidence,
        geometric=geometric,
    )


def interval_text(mean: EnsembleMean, shown: Callable[[float], str]) -> str:
    """The interval of a single mean: ``low to high``, or that it is not determined.

    Parameters
    ----------
    mean : EnsembleMean
        Of one quantity.
    shown : callable
        Writes a number.
    """
    low, high = float(mean.low), float(mean.high)
    if mean.geometric and high > UNDETERMINED * low:
        return f"not determined by {mean.members} members"
    return f"{shown(low)} to {shown(high)}"


def is_wide(values: ArrayLike) -> bool:
    """Whether a positive quantity spreads so much over members that its logarithms are averaged.

    It does if, at any reading, the standard deviation over members exceeds `WIDE` times the mean,
    or the 95 % interval of the mean reaches zero.

    Parameters
    ----------
    values : array_like
        Members first. False if a value is not positive: it has no logarithm.
    """
    array = np.asarray(values, dtype=np.float64)
    if np.any(array <= 0):
        return False
    plain = ensemble_mean(array)
    return bool(np.any(plain.spread_high > (1 + WIDE) * plain.mean) or np.any(plain.low <= 0))


def mean_over_members(values: ArrayLike, arithmetic: bool = False) -> EnsembleMean:
    """Mean over members: geometric if the quantity is positive and `is_wide`.

    Of a quantity that is nowhere negative, limits below zero are set to zero.

    Parameters
    ----------
    values : array_like
        Members first.
    arithmetic : bool
        Always the arithmetic mean: of a count, or of a fit, which compares that one.
    """
    if not arithmetic and is_wide(values):
        return ensemble_mean(values, geometric=True)
    plain = ensemble_mean(values)
    if np.any(np.asarray(values) < 0):
        return plain
    return replace(
        plain, low=np.maximum(plain.low, 0.0), spread_low=np.maximum(plain.spread_low, 0.0)
    )


def least_squares_slope(x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
    """Slope of least squares along the last axis of `y`.

    Parameters
    ----------
    x : array_like, shape (n,)
    y : array_like, shape (..., n)

    Returns
    -------
    ndarray, shape (...)
    """
    abscissa = np.asarray(x, dtype=np.float64)
    centred = abscissa - abscissa.mean()
    found: NDArray[np.float64] = (np.asarray(y) * centred).sum(axis=-1) / (centred**2).sum()
    return found


@dataclass(frozen=True)
class Estimate:
    """A mean over members and the ends of its 95 % interval (NaN for one member).

    Parameters
    ----------
    value, low, high : float
    geometric : bool
        Whether the mean is that of the logarithms.
    """

    value: float
    low: float
    high: float
    geometric: bool = False

    @classmethod
    def of(cls, values: Iterable[float]) -> Estimate:
        """Arithmetic mean of one value a member."""
        found = ensemble_mean(np.asarray(list(values), dtype=np.float64))
        return cls(float(found.mean), float(found.low), float(found.high))

    @classmethod
    def of_positive(cls, values: Iterable[float]) -> Estimate:
        """Mean of one value a member that is not negative, as `mean_over_members` has it."""
        found = mean_over_members(np.asarray(list(values), dtype=np.float64))
        return cls(float(found.mean), float(found.low), float(found.high), found.geometric)

    @property
    def positive(self) -> bool:
        """Whether the whole interval lies above zero."""
        return self.low > 0

    @property
    def negative(self) -> bool:
        """Whether the whole interval lies below zero."""
        return self.high < 0
