"""The section `data` of a file that names measured curves, as models.

It says which columns of a CSV file are what, in which units, and what is known of the errors.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from kmc_oxy.inputs.schema import Fraction, Section
from kmc_oxy.inputs.tables import DIMENSIONS, check_unit
from kmc_oxy.units import HELD_IN

XQuantity = Literal["pulse", "time", "voltage", "field"]
YQuantity = Literal["conductance", "current", "resistance"]
Scale = Literal["absolute", "free"]


class XColumn(Section):
    """What was varied."""

    quantity: XQuantity = Field(description="what the column holds")
    column: str | None = Field(
        default=None, min_length=1, description="name of the column; null: that of the quantity"
    )
    unit: str | None = Field(
        default=None, description="unit; null: the one in the header, or else SI; none for pulses"
    )

    @model_validator(mode="after")
    def _unit_of_quantity(self) -> XColumn:
        check_unit(self.quantity, self.unit)
        return self


class YColumn(Section):
    """What was measured."""

    quantity: YQuantity = Field(description="what the column holds")
    column: str | None = Field(
        default=None, min_length=1, description="name of the column; null: that of the quantity"
    )
    unit: str | None = Field(
        default=None, description="unit; null: the one in the header, or else SI"
    )

    @model_validator(mode="after")
    def _unit_of_quantity(self) -> YColumn:
        check_unit(self.quantity, self.unit)
        return self


class TimeColumn(Section):
    """When each voltage of a sweep was measured."""

    column: str = Field(min_length=1, description="name of the column")
    unit: str | None = Field(
        default=None, description="unit; null: the one in the header, or else s"
    )

    @model_validator(mode="after")
    def _unit_of_time(self) -> TimeColumn:
        check_unit("time", self.unit)
        return self


class ErrorOfY(Section):
    """One standard deviation of the measured values."""

    column: str | None = Field(
        default=None, min_length=1, description="column of absolute errors, in the unit of y"
    )
    relative: Fraction | None = Field(default=None, gt=0, description="error relative to the value")

    @model_validator(mode="after")
    def _column_or_relative(self) -> ErrorOfY:
        if (self.column is None) == (self.relative is None):
            raise ValueError("must have either column or relative")
        return self


class DataSection(Section):
    """Measured curves in a CSV file, and which of its columns are what."""

    file: str = Field(
        min_length=1, description="CSV file, relative to the folder of the file that names it"
    )
    x: XColumn
    y: YColumn
    error: ErrorOfY | None = Field(default=None, description="errors of y; null: unknown")
    time: TimeColumn | None = Field(
        default=None, description="times of the rows, for curves against voltage"
    )
    curves: str | None = Field(
        default=None,
        min_length=1,
        description="column whose values tell the curves of the file apart; null: one curve",
    )
    scale: Scale = Field(
        default="absolute",
        description="`free`: y is known up to a factor that all curves share, as for an unknown "
        "number of patches",
    )

    @model_validator(mode="after")
    def _time_of_voltages(self) -> DataSection:
        if self.time is not None and self.x.quantity != "voltage":
            raise ValueError(f"must have no time beside x of {self.x.quantity}: it is for voltages")
        return self


def si_unit(quantity: str) -> str:
    """The unit that values of a quantity have in the code; empty for pulses."""
    dimension = DIMENSIONS[quantity]
    return HELD_IN[dimension] if dimension else ""
