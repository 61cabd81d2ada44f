"""The free parameters of a fit: their ranges, and the unit cube in which the search moves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Parameter:
    """One free parameter.

    Parameters
    ----------
    key : str
        Dotted key of the input.
    unit : str
        Unit of its values in the code; "1" for a pure number.
    low, high, start : float
        Range and first value, in that unit.
    is_log : bool
        Whether the cube is linear in the logarithm.
    prior : (float, float) or None
        Mean and standard deviation of what is known besides the range, in the cube.
    """

    key: str
    unit: str
    low: float
    high: float
    start: float
    is_log: bool = False
    prior: tuple[float, float] | None = None

    def to_cube(self, value: float) -> float:
        """Place of a value between the ends of the range, 0 to 1.

        Parameters
        ----------
        value : float
            In `unit`.
        """
        return place_in_range(value, self.low, self.high, self.is_log)

    def from_cube(self, place: float) -> float:
        """Value at a place between the ends of the range, in `unit`.

        Parameters
        ----------
        place : float
            0 to 1; beyond them the nearest end.
        """
        place = min(1.0, max(0.0, place))
        if self.is_log:
            value = self.low * math.exp(place * math.log(self.high / self.low))
        else:
            value = self.low + place * (self.high - self.low)
        return min(self.high, max(self.low, value))


def place_in_range(value: float, low: float, high: float, is_log: bool) -> float:
    """Place of a value between the ends of a range, 0 to 1, linear or in the logarithm.

    Parameters
    ----------
    value, low, high : float
    is_log : bool
    """
    if is_log:
        return math.log(value / low) / math.log(high / low)
    return (value - low) / (high - low)


def values_at(parameters: Sequence[Parameter], point: Array) -> dict[str, float]:
    """Value of every parameter at a point of the cube, by key.

    Parameters
    ----------
    parameters : sequence of Parameter
    point : ndarray, shape (d,)
    """
    return {
        each.key: each.from_cube(float(place))
        for each, place in zip(parameters, point, strict=True)
    }


def start_point(parameters: Sequence[Parameter]) -> Array:
    """The start in the cube, shape (d,)."""
    return np.array([each.to_cube(each.start) for each in parameters])
