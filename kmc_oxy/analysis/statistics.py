"""Means over members with confidence intervals."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class EnsembleMean:
    """Mean over members, with its confidence interval.

    Parameters
    ----------
    mean, low, high : ndarray
        Mean and the ends of its interval; the ends are NaN for fewer than two members.
    spread : ndarray
        Standard deviation over members.
    members : int
    confidence : float
    """

    mean: Array
    low: Array
    high: Array
    spread: Array
    members: int
    confidence: float


def ensemble_mean(values: ArrayLike, confidence: float = 0.95, axis: int = 0) -> EnsembleMean:
    """Mean over members with Student's interval.

    Parameters
    ----------
    values : array_like
        Observations, members along `axis`.
    confidence : float
        Between 0 and 1.
    axis : int

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
    members = array.shape[0]
    if members == 0:
        raise ValueError("The 'values' parameter must hold at least one member. Got none.")
    mean = array.mean(axis=0)
    if members < 2:
        unknown = np.full_like(mean, np.nan)
        return EnsembleMean(mean, unknown, unknown, unknown, members, confidence)
    spread = array.std(axis=0, ddof=1)
    half = stdtrit(members - 1, 0.5 + confidence / 2) * spread / np.sqrt(members)
    return EnsembleMean(mean, mean - half, mean + half, spread, members, confidence)


@dataclass(frozen=True)
class Estimate:
    """A mean over members and the ends of its 95 % interval (NaN for one member)."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Estimate:
        """Arithmetic mean of one value a member."""
        found = ensemble_mean(np.asarray(list(values), dtype=np.float64))
        return cls(float(found.mean), float(found.low), float(found.high))

    @classmethod
    def of_logarithms(cls, values: Iterable[float]) -> Estimate:
        """Geometric mean of one positive value a member."""
        found = cls.of(np.log(list(values)))
        return cls(float(np.exp(found.value)), float(np.exp(found.low)), float(np.exp(found.high)))

    @property
    def positive(self) -> bool:
        """Whether the whole interval lies above zero."""
        return self.low > 0

    @property
    def negative(self) -> bool:
        """Whether the whole interval lies below zero."""
        return self.high < 0
