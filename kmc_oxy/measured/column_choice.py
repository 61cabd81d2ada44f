"""The section `data` from a few words: what a command line leaves out is in the header."""

from __future__ import annotations

import typing
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from kmc_oxy.inputs import Fault
from kmc_oxy.inputs.tables import CurveError, TextTable, check_unit, quantities_in, refusal
from kmc_oxy.measured.data_section import (
    DataSection,
    Scale,
    XQuantity,
    YQuantity,
)

X_QUANTITIES: tuple[str, ...] = typing.get_args(XQuantity)
Y_QUANTITIES: tuple[str, ...] = typing.get_args(YQuantity)


@dataclass(frozen=True)
class ColumnChoice:
    """A file of measured curves, and what was said about its columns.

    Parameters
    ----------
    path : Path
    x, y : str
        ``QUANTITY[:COLUMN[:UNIT]]``; empty: by the names in the header.
        A column with a colon in its name needs the second one, ``time:a:b:``.
    curves : str
        Column that tells curves apart; empty: one curve.
    scale : str
        ``absolute`` or ``free``.
    """

    path: Path
    x: str = ""
    y: str = ""
    curves: str = ""
    scale: Scale = "absolute"

    def section(self, shown: Collection[str]) -> DataSection:
        """The section `data` that says the same.

        Parameters
        ----------
        shown : collection of str
            Quantities of x that are of use; decides if several columns are named after one.

        Returns
        -------
        DataSection

        Raises
        ------
        CurveError
            If a text cannot be understood, or the header does not decide.
        """
        x = _parsed(self.x, "x", X_QUANTITIES)
        y = _parsed(self.y, "y", Y_QUANTITIES)
        if x is None or y is None:
            with TextTable(self.path) as table:
                header = table.header
            named = quantities_in(header)
            x = x or {"quantity": _decided(header.source, "x", named, X_QUANTITIES, shown)}
            y = y or {"quantity": _decided(header.source, "y", named, Y_QUANTITIES, Y_QUANTITIES)}
        try:
            return DataSection.model_validate(
                {
                    "file": str(self.path),
                    "x": x,
                    "y": y,
                    "curves": self.curves or None,
                    "scale": self.scale,
                }
            )
        except ValidationError as error:  # no text of the user leads here
            raise refusal(str(self.path), str(error)) from None


def _parsed(text: str, axis: str, quantities: tuple[str, ...]) -> dict[str, str] | None:
    """Keys of a column from ``QUANTITY[:COLUMN[:UNIT]]``; None from an empty text."""
    if not text:
        return None
    quantity, _, rest = text.partition(":")
    if quantity not in quantities:
        message = f"must begin with one of {', '.join(quantities)} (got {quantity[:30]!r})"
        raise _option_fault(axis, message)
    column, colon, unit = rest.rpartition(":")
    if not colon:
        column, unit = rest, ""
    try:
        check_unit(quantity, unit or None)
    except ValueError as error:
        raise _option_fault(axis, str(error)) from None
    keys = {"quantity": quantity, "column": column.strip(), "unit": unit}
    return {key: value for key, value in keys.items() if value}


def _decided(
    source: str,
    axis: str,
    named: list[str],
    quantities: tuple[str, ...],
    shown: Collection[str],
) -> str:
    """The one quantity of an axis that a column of the header is named after."""
    among = [quantity for quantity in named if quantity in quantities]
    useful = [quantity for quantity in among if quantity in shown]
    found = useful or among
    if len(found) == 1:
        return found[0]
    remedy = f"say which column it is by --data-{axis} QUANTITY:COLUMN"
    if found:
        raise refusal(source, f"has columns named {' and '.join(found)}: {remedy}")
    raise refusal(source, f"has no column named {' or '.join(quantities)}: {remedy}")


def _option_fault(axis: str, message: str) -> CurveError:
    return CurveError([Fault(0, 0, 0, f"--data-{axis}", "", message)])
