"""Stop conditions of trains and repeats: ``until: conductance > 1 uS``."""

from __future__ import annotations

import re
from typing import Annotated, NamedTuple

from pydantic import BeforeValidator

from kmc_oxy.inputs.schema.fields import Dimension

#: A condition, as a regular expression that JSON Schema understands as well.
CONDITION_PATTERN = r"^\s*conductance\s*[<>]\s*\S.*$"
_PARTS = re.compile(r"\s*(\w+)\s*([<>])\s*(.*)", re.S)


class StopCondition(NamedTuple):
    """A bound on the low-bias conductance of a cell."""

    is_lower_bound: bool  #: whether the conductance has to be above the bound
    bound_S: float

    def is_met(self, conductance_S: float) -> bool:
        """Whether a conductance is beyond the bound."""
        above = conductance_S > self.bound_S
        return above if self.is_lower_bound else conductance_S < self.bound_S


def stop_condition(text: object) -> StopCondition:
    """Read a condition.

    Parameters
    ----------
    text : object
        ``"conductance > 1 uS"``.

    Returns
    -------
    StopCondition

    Raises
    ------
    ValueError
        If it is none; the message is for the user.
    """
    match = _PARTS.fullmatch(text) if isinstance(text, str) else None
    if match is None or match[1] != "conductance":
        raise ValueError("must be a condition such as `conductance > 1 uS` or `conductance < 1 uS`")
    bound_S = Dimension("conductance").parse(match[3])
    if bound_S <= 0:
        raise ValueError("must compare with a conductance above 0")
    return StopCondition(match[2] == ">", bound_S)


def _checked(text: object) -> object:
    stop_condition(text)
    return text


Until = Annotated[str, BeforeValidator(_checked)]
