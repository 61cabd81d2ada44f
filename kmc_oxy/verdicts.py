"""A measured quantity with its interval, and whether it agrees with the paper."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from kmc_oxy.analysis import ensemble_mean


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


@dataclass(frozen=True)
class Verdict:
    """One row of the table.

    Parameters
    ----------
    id : str
        Of the experiment.
    quantity, published : str
        What is measured, and the published value or finding.
    estimate : Estimate
    met : bool or None
        None for a quantity that is reported and not judged.
    """

    id: str
    quantity: str
    published: str
    estimate: Estimate
    met: bool | None

    def row(self) -> list[str]:
        """As written in the table: id, quantity, published, simulated, low, high, met."""
        numbers = (self.estimate.value, self.estimate.low, self.estimate.high)
        met = {True: "yes", False: "no", None: "reported"}[self.met]
        return [self.id, self.quantity, self.published, *(f"{x:.4g}" for x in numbers), met]
