"""Measured curves from a CSV file: numbers in SI units, checked row by row."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kmc_oxy.inputs.tables import (
    Column,
    FaultCollector,
    Header,
    NumberCells,
    TextTable,
    first_ones,
    full_rows,
    named,
    of_quantity,
    refusal,
)
from kmc_oxy.measured.data_section import DataSection

#: More values of a column that tells curves apart are those of another column.
MAX_CURVES = 1000

Floats = NDArray[np.float64]
Lines = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class MeasuredCurve:
    """One measured curve.

    Parameters
    ----------
    label : str
        What the column that tells curves apart has in its rows; empty without one.
    x : ndarray of float64, shape (n,)
        Number of the pulse, time (s), voltage (V) or magnetic field (T).
    y : ndarray of float64, shape (n,)
        Conductance (S), current (A) or resistance (ohm).
    error : ndarray of float64, shape (n,), or None
        One standard deviation of `y`, in its unit; None if it is unknown.
    lines : ndarray of int64, shape (n,)
        Line of the file of each row, from 1.
    x_quantity : str
        ``pulse``, ``time``, ``voltage`` or ``field``.
    y_quantity : str
        ``conductance``, ``current`` or ``resistance``.
    time_s : ndarray of float64, shape (n,), or None
        When each voltage was measured (s), if the file says so.
    source : str
        Name of the file, for messages.
    """

    label: str
    x: Floats
    y: Floats
    error: Floats | None
    lines: Lines
    x_quantity: str
    y_quantity: str
    time_s: Floats | None = None
    source: str = ""


@dataclass(frozen=True)
class _Columns:
    """The columns of a file that are used."""

    x: Column
    y: Column
    error: Column | None
    time: Column | None
    key: Column | None

    @property
    def numbers(self) -> list[Column]:
        """Columns of numbers, in the order of their arrays."""
        return [c for c in (self.x, self.y, self.error, self.time) if c is not None]


def read_curves(path: str | Path, section: DataSection) -> tuple[MeasuredCurve, ...]:
    """Read the curves of a CSV file.

    Rows with a missing value are left out: an empty cell, ``nan`` or ``NA``.

    Parameters
    ----------
    path : str or Path
        The file; `section.file` is not used.
    section : DataSection

    Returns
    -------
    tuple of MeasuredCurve
        In the order of their first rows; each has at least one row.

    Raises
    ------
    CurveError
        With the faults of the file, each with its line and column.
    """
    with TextTable(Path(path)) as table:
        header = table.header
        columns = _columns(header, section)
        faults = FaultCollector(header.source)
        numbers, lines, codes, labels = _read_rows(table, columns, faults)
    if not lines.size:
        faults.check()
        raise refusal(header.source, "has no rows with values after its header")
    with np.errstate(over="ignore"):  # reported below
        for number, column in zip(numbers, columns.numbers, strict=True):
            number *= column.factor
    order = np.argsort(codes, kind="stable")
    edges = np.flatnonzero(np.diff(codes[order])) + 1
    curves = [
        _curve(label, rows, numbers, lines, columns, section, header.source)
        for label, rows in zip(labels, np.split(order, edges), strict=True)
    ]
    for curve in curves:
        _check_curve(curve, columns, faults)
    faults.check()
    return tuple(curves)


def _columns(header: Header, section: DataSection) -> _Columns:
    """The columns that a section names; the error has the unit of y."""
    x = of_quantity(header, section.x.quantity, section.x.column, section.x.unit)
    y = of_quantity(header, section.y.quantity, section.y.column, section.y.unit)
    error = time = None
    if section.error is not None and section.error.column is not None:
        unit = section.y.unit
        error = of_quantity(header, section.y.quantity, section.error.column, unit)
        # The unit of y is in its header, if nowhere else.
        error = Column(error.place, error.name, error.factor if unit else y.factor)
    if section.time is not None:
        time = of_quantity(header, "time", section.time.column, section.time.unit)
    key = named(header, section.curves) if section.curves is not None else None
    return _Columns(x, y, error, time, key)


def _read_rows(
    table: TextTable, columns: _Columns, faults: FaultCollector
) -> tuple[list[Floats], Lines, Lines, list[str]]:
    """Numbers of each column as written, line and number of the curve of each row; labels."""
    numbers = [array("d") for _ in columns.numbers]
    lines, codes = array("q"), array("q")
    labels: dict[str, int] = {}
    cells = NumberCells(table.header, faults)
    wanted = [(column, column.place) for column in columns.numbers]
    for line, row in full_rows(table, faults):
        values = []
        for column, place in wanted:
            value = cells.number(line, column, row[place])
            if value is None:
                break
            values.append(value)
        else:
            key = row[columns.key.place].strip() if columns.key else ""
            if columns.key and not key:
                message = "is empty: it must tell to which curve the row belongs"
                faults.add(line, message, columns.key.name, columns.key.place, "key")
                continue
            for kept, value in zip(numbers, values, strict=True):
                kept.append(value)
            lines.append(line)
            codes.append(labels.setdefault(key, len(labels)))
            if len(labels) > MAX_CURVES:
                name = columns.key.name if columns.key else ""
                message = f"has more than {MAX_CURVES} values: it cannot tell curves apart"
                raise refusal(table.header.source, message, line, name)
    cells.check_decimal_signs()
    return (
        [np.array(kept, float) for kept in numbers],
        np.array(lines, np.int64),
        np.array(codes, np.int64),
        list(labels),
    )


def _curve(
    label: str,
    rows: NDArray[np.intp],
    numbers: list[Floats],
    lines: Lines,
    columns: _Columns,
    section: DataSection,
    source: str,
) -> MeasuredCurve:
    x, y, *others = (number[rows] for number in numbers)
    error = others.pop(0) if columns.error else None
    if section.error is not None and section.error.relative is not None:
        error = section.error.relative * np.abs(y)
    return MeasuredCurve(
        label,
        x,
        y,
        error,
        lines[rows],
        section.x.quantity,
        section.y.quantity,
        others.pop(0) if columns.time else None,
        source,
    )


def _check_curve(curve: MeasuredCurve, columns: _Columns, faults: FaultCollector) -> None:
    """Note the rows whose numbers cannot be what their columns hold."""

    def note(wrong: NDArray[np.bool_], values: Floats, column: Column, message: str) -> None:
        for row, count in first_ones(wrong):
            text = f"{message} (got {values[row] / column.factor:.10g})"
            line = int(curve.lines[row])
            faults.add(line, text, column.name, column.place, message, count)

    # A unit may carry a number out of the range of floats.
    for values, column in ((curve.x, columns.x), (curve.y, columns.y)):
        note(~np.isfinite(values), values, column, "must be a finite number in SI units")
    if curve.x_quantity == "pulse":
        whole = (curve.x >= 0) & (curve.x == np.round(curve.x)) & (curve.x < 2.0**53)
        message = "must be a whole number, the number of the pulse from 0"
        note(~whole, curve.x, columns.x, message)
    if curve.y_quantity != "current":
        message = f"must be a {curve.y_quantity} above 0; an empty cell leaves the row out"
        note(curve.y <= 0, curve.y, columns.y, message)
    if curve.error is not None:
        column = columns.error or columns.y
        wrong = ~((curve.error > 0) & np.isfinite(curve.error))
        if columns.error is not None:
            note(wrong, curve.error, column, "must be an error above 0")
        elif curve.y_quantity == "current":
            message = (
                "must not be 0 with a relative error, which would be 0: name a column of errors "
                "(error: {column: NAME}), or leave the cell empty"
            )
            note(wrong, curve.y, column, message)
    if curve.x_quantity in ("pulse", "time"):
        _check_rise(curve, curve.x, columns.x, bool(columns.key), faults)
    if curve.time_s is not None and columns.time is not None:
        _check_rise(curve, curve.time_s, columns.time, bool(columns.key), faults)


def _check_rise(
    curve: MeasuredCurve, values: Floats, column: Column, has_key: bool, faults: FaultCollector
) -> None:
    """Note rows whose pulse number or time is not above the one before."""
    remedy = "sort the rows"
    if not has_key:
        remedy += ", or name the column that tells the curves apart as `curves`"
    falls = np.concatenate([[False], np.diff(values) <= 0])
    for row, count in first_ones(falls):
        now, before = values[[row, row - 1]] / column.factor
        message = (
            f"must rise within a curve ({now:.10g} after {before:.10g} in line "
            f"{curve.lines[row - 1]}): {remedy}"
        )
        faults.add(int(curve.lines[row]), message, column.name, column.place, "rise", count)
