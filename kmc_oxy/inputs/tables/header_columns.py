"""Columns of a header: found by name or by quantity, with the unit in parentheses."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from kmc_oxy.inputs.tables.table_faults import CurveError, refusal
from kmc_oxy.inputs.tables.text_table import Header
from kmc_oxy.units import find_unit, units_of

#: Dimension of each quantity of a column; a pulse number has none.
DIMENSIONS: Mapping[str, str] = {
    "pulse": "",
    "time": "duration",
    "voltage": "voltage",
    "field": "magnetic field",
    "conductance": "conductance",
    "current": "current",
    "resistance": "resistance",
}

# A name and, in round or square brackets at its end, a unit.
_NAME_AND_UNIT = re.compile(r"(.*?)\s*[(\[]\s*([^()\[\]]*?)\s*[)\]]", re.S)
_SHOWN_COLUMNS = 12


@dataclass(frozen=True)
class Column:
    """A column of a file.

    Parameters
    ----------
    place : int
        Its position, from 0.
    name : str
        As in the header.
    factor : float
        Size of its unit in the unit of the code; 1 without one.
    """

    place: int
    name: str
    factor: float = 1.0


def split_name(name: str) -> tuple[str, str]:
    """A name of a header without its unit, and the unit; both empty if there is none.

    Parameters
    ----------
    name : str
        ``"G (uS)"``, ``"time [s]"``, ``"N"``.

    Returns
    -------
    (str, str)
        ``("G", "uS")``.
    """
    match = _NAME_AND_UNIT.fullmatch(name)
    return (match[1], match[2]) if match and match[1] else (name, "")


def named(header: Header, name: str) -> Column:
    """The column of a name, which may leave out the unit in parentheses.

    Parameters
    ----------
    header : Header
    name : str

    Returns
    -------
    Column
        With a factor of 1.

    Raises
    ------
    CurveError
        If there is no such column, or more than one.
    """
    name = name.strip()
    places = [place for place, known in enumerate(header.names) if known == name]
    if not places:
        places = [place for place, known in enumerate(header.names) if split_name(known)[0] == name]
    if not places:
        raise _no_such_column(header, name)
    return _only(header, name, places)


def of_quantity(header: Header, quantity: str, column: str | None, unit: str | None) -> Column:
    """The column of a quantity, with the size of its unit.

    Parameters
    ----------
    header : Header
    quantity : str
        A key of `DIMENSIONS`.
    column : str or None
        Name of the column; None: the one that is named after the quantity.
    unit : str or None
        Unit of the values, of the quantity's dimension; None: the unit in the header, or else
        that of the code.

    Returns
    -------
    Column

    Raises
    ------
    CurveError
        If there is not exactly one such column, or its header has another unit.
    """
    found = named(header, column) if column is not None else _named_after(header, quantity)
    return Column(found.place, found.name, _factor(header, found.name, quantity, unit))


def quantities_in(header: Header) -> list[str]:
    """Quantities that at least one column is named after, in the order of `DIMENSIONS`."""
    return [quantity for quantity in DIMENSIONS if _places_named_after(header, quantity)]


def _places_named_after(header: Header, quantity: str) -> list[int]:
    return [
        place
        for place, name in enumerate(header.names)
        if split_name(name)[0].casefold() == quantity
    ]


def _named_after(header: Header, quantity: str) -> Column:
    places = _places_named_after(header, quantity)
    if not places:
        raise refusal(
            header.source,
            f"no column is named {quantity}: name the column of it as `column` "
            f"({_columns_text(header)})",
            header.line,
        )
    return _only(header, quantity, places)


def _only(header: Header, name: str, places: list[int]) -> Column:
    if len(places) > 1:
        raise refusal(
            header.source,
            f"{len(places)} columns have the name {name!r}: name the one that is meant in full, "
            "or give them different names",
            header.line,
        )
    return Column(places[0], header.names[places[0]])


def _no_such_column(header: Header, name: str) -> CurveError:
    by_lower = {known.casefold(): known for known in header.names}
    close = difflib.get_close_matches(name.casefold(), by_lower, n=1)
    question = f"did you mean {by_lower[close[0]]!r}? " if close else ""
    message = f"no column has the name {name!r}: {question}({_columns_text(header)})"
    return refusal(header.source, message, header.line)


def _columns_text(header: Header) -> str:
    """The columns that there are, for a message."""
    if len(header.names) == 1:
        return (
            f"the file has one column, {header.names[0]!r}; columns are separated by commas, "
            "semicolons or tabs"
        )
    names = ", ".join(repr(name) for name in header.names[:_SHOWN_COLUMNS])
    more = len(header.names) - _SHOWN_COLUMNS
    return f"columns: {names}" + (f" and {more} more" if more > 0 else "")


def _factor(header: Header, name: str, quantity: str, unit: str | None) -> float:
    """Size of the unit of a column, which `unit` and the header must agree about."""
    written = split_name(name)[1]
    known = find_unit(written) if written else None
    if not DIMENSIONS[quantity]:
        if known is not None:
            message = f"has the unit {written}: pulses are counted, without a unit"
            raise refusal(header.source, message, header.line, name)
        return 1.0
    if unit is None and written:
        try:
            check_unit(quantity, written)
        except ValueError as error:
            message = f"{error}; `unit` gives the unit where the header does not"
            raise refusal(header.source, message, header.line, name) from None
    given = find_unit(unit) if unit is not None else known
    if unit is not None and known is not None and known != given:
        message = f"has the unit {written} in the header, but {unit} is given as its unit"
        raise refusal(header.source, message, header.line, name)
    return given[1] if given else 1.0


def check_unit(quantity: str, unit: str | None) -> None:
    """Refuse a unit that is none of a quantity.

    Parameters
    ----------
    quantity : str
        A key of `DIMENSIONS`.
    unit : str or None
        None is accepted.

    Raises
    ------
    ValueError
        With the units that there are.
    """
    if unit is None:
        return
    dimension = DIMENSIONS[quantity]
    if not dimension:
        raise ValueError("must have no unit: pulses are counted")
    found = find_unit(unit)
    if found is None or found[0] != dimension:
        raise ValueError(
            f"must have a unit of {dimension} ({', '.join(units_of(dimension))}; got {unit[:20]!r})"
        )
