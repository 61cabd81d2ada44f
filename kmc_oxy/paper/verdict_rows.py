"""A measured quantity with its interval, and whether it agrees with the paper."""

from __future__ import annotations

from dataclasses import dataclass

from kmc_oxy.analysis import Estimate


@dataclass(frozen=True)
class Verdict:
    """One row of the table.

    Parameters
    ----------
    id : str
        Row of the experiment.
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
        mean = ", geometric mean" if self.estimate.geometric else ""
        return [self.id, self.quantity + mean, self.published, *(f"{x:.4g}" for x in numbers), met]
