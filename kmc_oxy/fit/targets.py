"""Targets of a fit file as comparisons with the legs of an experiment."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

from kmc_oxy.analysis import Leg
from kmc_oxy.fit.comparison import CriterionComparison, Range, TargetComparison
from kmc_oxy.fit.fit_file import Target
from kmc_oxy.fit.quantities import QUANTITIES
from kmc_oxy.paper import EXPERIMENTS
from kmc_oxy.units import parse_quantity


def target_comparison(
    target: Target, criterion: str | None, legs: Sequence[Leg], has_spin: bool
) -> TargetComparison | CriterionComparison:
    """A target as a comparison.

    Parameters
    ----------
    target : Target
    criterion : str or None
        Row of the paper's table that the experiment names.
    legs : sequence of Leg
        All legs of the experiment.
    has_spin : bool
        Whether there is a magnetoresistance: the spin model is not ``none``.

    Raises
    ------
    ValueError
        If it cannot be one; for the user.
    """
    if criterion is not None:
        rows = {row.id: row.judge for row in EXPERIMENTS}
        if criterion not in rows:
            raise ValueError(f"belongs to a criterion that must be one of {', '.join(rows)}")
        if "magnetoresistance" in target.quantity:
            _check_spin(has_spin)
        return CriterionComparison(rows[criterion], target.quantity, _range(target, "number"))
    quantity = QUANTITIES.get(target.quantity)
    if quantity is None:
        close = difflib.get_close_matches(target.quantity, QUANTITIES, n=1)
        question = f"; did you mean {close[0]}?" if close else f": one of {', '.join(QUANTITIES)}"
        raise ValueError(f"has an unknown quantity {target.quantity!r}{question}")
    if quantity.needs_spin:
        _check_spin(has_spin)
    numbers = range(len(legs)) if target.of is None else target.of
    if not len(legs) > max(numbers, default=-1) or not legs:
        raise ValueError(f"names leg {max(numbers, default=0)}, and the experiment has {len(legs)}")
    chosen = tuple(legs[number] for number in numbers)
    return TargetComparison(target.quantity, quantity, chosen, _range(target, quantity.dimension))


def _check_spin(has_spin: bool) -> None:
    if not has_spin:
        raise ValueError(
            "is of the magnetoresistance, which is 0 with spin.model: none: choose another model"
        )


def _range(target: Target, dimension: str) -> Range:
    def number(value: Any, missing: float) -> float:
        if value is None:
            return missing
        if isinstance(value, str) and dimension == "number":
            return parse_quantity(value, "fraction" if "%" in value else "number")
        return parse_quantity(value, dimension)

    low = number(target.at_least, -float("inf"))
    high = number(target.at_most, float("inf"))
    if low > high:
        raise ValueError("has an at_least above its at_most")
    finite = [abs(end) for end in (low, high) if abs(end) != float("inf")]
    if target.logarithmic:
        if any(end <= 0 for end in (low, high) if abs(end) != float("inf")):
            raise ValueError("is logarithmic and must have positive ends")
        return Range(low, high, number(target.unit, 0.1), True)
    width = high - low if len(finite) == 2 else max(finite)
    unit = number(target.unit, 0.1 * width)
    if not unit > 0:
        raise ValueError("needs a positive unit: the distance that counts as one standard error")
    return Range(low, high, unit)
