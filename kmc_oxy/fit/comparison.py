"""Comparison of a simulated experiment with measured curves or published findings.

An experiment gives residuals: for each data point or target the distance between simulation and
measurement in units of its standard error, one value for each member of the ensemble. The members
are the independent observations: their mean is compared with zero, and their covariance says how
uncertain that mean is, with all correlations along a train.

Measured conductances and resistances are compared by their logarithms, currents by their values.
With ``scale: free`` the measured values are known up to a common factor, which is the one of least
squares.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from kmc_oxy.analysis import Datasets, Leg, mean_over_members
from kmc_oxy.fit.matched_curves import SimulatedCurve
from kmc_oxy.fit.quantities import LegValues, Quantity
from kmc_oxy.measured import MeasuredCurve
from kmc_oxy.paper import Verdict
from kmc_oxy.units import HELD_IN

Array = NDArray[np.float64]

#: Standard error of a measured value without one, relative to it.
DEFAULT_ERROR = 0.05
#: Standard error of a current, besides, relative to the largest one of its curve.
CURRENT_FLOOR = 0.01


@dataclass(frozen=True, eq=False)
class Residuals:
    """Distances of one experiment from what was measured, in units of their standard errors.

    Parameters
    ----------
    members : ndarray, shape (members, n)
        Their mean over members is the residual.
    errors : ndarray, shape (n,)
        Standard error of the measurement in these units: 1 for data, 0 for a target.
    free : int
        Number of nuisance factors that were fitted: 1 with a free scale.
    scale : float
        Factor between simulated and measured values; 1 without a free scale.
    """

    members: Array
    errors: Array
    free: int = 0
    scale: float = 1.0


@dataclass(frozen=True, eq=False)
class DataComparison:
    """Measured curves of one experiment.

    Parameters
    ----------
    curves : tuple of SimulatedCurve
        All of one quantity.
    free_scale : bool
        Whether the measured values are known up to a common factor.
    """

    curves: tuple[SimulatedCurve, ...]
    free_scale: bool

    @property
    def size(self) -> int:
        """Number of residuals."""
        return sum(len(each.curve.y) for each in self.curves)

    def simulated(self, output: Datasets) -> list[Array]:
        """Simulated values of each curve, shape (members, n), SI."""
        return [each.values(output) for each in self.curves]

    def simulation(self, output: Datasets) -> dict[str, Any]:
        """What is simulated, for pictures: the curves, and the factor to the measured values."""
        return {"curves": self.simulated(output), "scale": self.residuals(output).scale}

    def residuals(self, output: Datasets) -> Residuals:
        """Distances from the data, of all curves one after the other.

        Parameters
        ----------
        output : Datasets

        Returns
        -------
        Residuals
        """
        values = np.concatenate(self.simulated(output), axis=1)
        measured = np.concatenate([each.curve.y for each in self.curves])
        errors = np.concatenate([absolute_errors(each.curve) for each in self.curves])
        mean = values.mean(axis=0)
        if self.curves[0].curve.y_quantity == "current":
            scale = 1.0
            if self.free_scale:
                scale = float((mean * measured / errors**2).sum() / ((mean / errors) ** 2).sum())
            deviations = scale * (values - mean) / errors
            residual = (scale * mean - measured) / errors
            direction = scale * mean / errors
        else:
            relative = errors / measured
            # Values of the mean: currents of patches in parallel add.
            with np.errstate(divide="ignore", invalid="ignore"):
                distance = np.log(mean / measured)
                deviations = (values / mean - 1) / relative
            scale = 1.0
            if self.free_scale:
                weight = relative**-2
                scale = float(np.exp(-(distance * weight).sum() / weight.sum()))
            residual = (distance + np.log(scale)) / relative
            direction = 1 / relative
        if self.free_scale:
            unit = direction / np.linalg.norm(direction)
            deviations = deviations - (deviations @ unit)[:, None] * unit
        return Residuals(residual + deviations, np.ones(len(measured)), int(self.free_scale), scale)


def absolute_errors(curve: MeasuredCurve) -> Array:
    """Standard errors of a measured curve, with the default where none are known, SI."""
    if curve.error is not None:
        return curve.error
    errors: Array = DEFAULT_ERROR * np.abs(curve.y)
    if curve.y_quantity == "current":
        errors = errors + CURRENT_FLOOR * np.abs(curve.y).max()
    return errors


@dataclass(frozen=True)
class Range:
    """The range of a target.

    Parameters
    ----------
    low, high : float
        Infinite for none.
    unit : float
        Distance that counts as one standard error.
    is_log : bool
        Whether the distance is that of the logarithms.
    """

    low: float
    high: float
    unit: float
    is_log: bool = False

    def distance(self, value: float) -> float:
        """Signed distance of a value from the range, in units; 0 inside, NaN for no number."""
        low, high, x = self.low, self.high, value
        if self.is_log:
            if not x > 0:
                return np.nan
            low, high, x = (np.log(end) if end > 0 else -np.inf for end in (low, high, x))
        return float((min(x - low, 0.0) + max(x - high, 0.0)) / self.unit)


def compressed(distance: float) -> float:
    """A distance from a range, of which what exceeds a few units counts by its logarithm.

    Far from the optimum one quantity would outweigh all others: an on/off ratio that is wrong by
    decades, for instance.
    """
    return float(np.arcsinh(distance))


@dataclass(frozen=True, eq=False)
class TargetComparison:
    """One target of an experiment.

    Parameters
    ----------
    name : str
        Name of the quantity.
    quantity : Quantity
    legs : tuple of Leg
        The legs that it is measured on.
    range : Range
    """

    name: str
    quantity: Quantity
    legs: tuple[Leg, ...]
    range: Range

    size: ClassVar[int] = 1

    @property
    def value_unit(self) -> str:
        """Unit of the quantity; "1" for a pure number."""
        return HELD_IN[self.quantity.dimension] or "1"

    def values(self, output: Datasets) -> Array:
        """The quantity of each member, shape (members,), or (1,) for one of the ensemble."""
        read = [
            LegValues(
                leg, leg.values(output, "conductance"), leg.values(output, "magnetoresistance")
            )
            for leg in self.legs
        ]
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.quantity.measure(read)

    def simulation(self, output: Datasets) -> dict[str, Any]:
        """What is simulated: the quantity of each member."""
        return {"values": self.values(output)}

    def residuals(self, output: Datasets) -> Residuals:
        """Distance from the range.

        Parameters
        ----------
        output : Datasets

        Returns
        -------
        Residuals
            One residual, `compressed`; 0 for every member if the mean is inside the range.
        """
        values = self.values(output)
        members = output.shape()["member"]
        mean = float(mean_over_members(values).mean) if len(values) > 1 else float(values[0])
        distance = self.range.distance(mean)
        scatter = np.zeros(members)
        if len(values) == members and distance and np.isfinite(distance):
            scatter = (values - values.mean()) / self.range.unit
            if self.range.is_log:
                scatter = scatter / mean
        # The slope of the compressed distance.
        members_of = compressed(distance) + scatter / np.hypot(1.0, distance)
        return Residuals(members_of[:, None], np.zeros(1))


@dataclass(frozen=True, eq=False)
class CriterionComparison:
    """One target that names a quantity of the paper's criteria.

    Parameters
    ----------
    judge : callable
        Output -> rows of the paper's table.
    part : str
        Part of the quantity's name; of several quantities the worst counts.
    range : Range
    """

    judge: Callable[[Datasets], Sequence[Verdict]]
    part: str
    range: Range

    size: ClassVar[int] = 1
    value_unit: ClassVar[str] = "1"

    @property
    def name(self) -> str:
        """Name of the quantity."""
        return self.part

    def values(self, output: Datasets) -> Array:
        """The quantities whose names contain the part."""
        rows = [row for row in self.judge(output) if self.part in row.quantity]
        return np.array([row.estimate.value for row in rows])

    def simulation(self, output: Datasets) -> dict[str, Any]:
        """What is simulated: the quantities."""
        return {"values": self.values(output)}

    def residuals(self, output: Datasets) -> Residuals:
        """Distance from the range; as `TargetComparison.residuals`, without members' scatter."""
        distances = [self.range.distance(float(value)) for value in self.values(output)]
        worst = max(distances, key=abs) if np.isfinite(distances).all() else np.nan
        return Residuals(np.full((output.shape()["member"], 1), compressed(worst)), np.zeros(1))


Comparison = DataComparison | TargetComparison | CriterionComparison
