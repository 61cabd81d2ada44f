"""Rows of a CSV file as numbers, with every fault at its line and column."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from kmc_oxy.inputs.tables.header_columns import Column
from kmc_oxy.inputs.tables.table_faults import MAX_LISTED, FaultCollector, refusal
from kmc_oxy.inputs.tables.text_table import Header, TextTable

MAX_ROWS = 2_000_000
#: Texts, in lower case, of a value that is missing.
MISSING = frozenset({"", "nan", "na", "n/a"})
_SHOWN_CHARACTERS = 30


def full_rows(table: TextTable, faults: FaultCollector) -> Iterator[tuple[int, list[str]]]:
    """Rows with a cell for every column; those that have not are faults."""
    header = table.header
    width = len(header.names)
    for number, (line, row) in enumerate(table.rows(), 1):
        if number > MAX_ROWS:
            message = f"has more than {MAX_ROWS:,} rows: keep those that are needed"
            raise refusal(header.source, message)
        if len(row) == width:
            yield line, row
        elif len(row) < width:
            faults.add(line, f"has {len(row)} of {width} cells", kind="width")
        elif any(cell.strip() for cell in row[width:]):
            hint = " (decimal commas need semicolons or tabs)" if header.separator == "," else ""
            message = f"has {len(row)} cells, but the header has {width}{hint}"
            faults.add(line, message, kind="width")
        else:
            yield line, row


class NumberCells:
    """Cells as numbers; a decimal comma is one where commas do not separate columns."""

    def __init__(self, header: Header, faults: FaultCollector) -> None:
        self._faults = faults
        self._commas_allowed = header.separator != ","
        self._separators = header.separator_name
        self._first_comma: tuple[int, Column] | None = None
        self._first_point: tuple[int, Column] | None = None

    def number(self, line: int, column: Column, text: str) -> float | None:
        """The number in a cell; None if it is missing or wrong."""
        try:
            value = float(text)
        except ValueError:
            return self._other_number(line, column, text)
        if value - value == 0.0 and "_" not in text:
            if self._commas_allowed and self._first_point is None and "." in text:
                self._first_point = (line, column)
            return value
        if not math.isnan(value):
            message = "must be a finite number" if math.isinf(value) else "must be a number"
            self._note(line, column, text, message)
        return None

    def _other_number(self, line: int, column: Column, text: str) -> float | None:
        """A number with a decimal comma, or what is no number."""
        if text.strip().lower() in MISSING:
            return None
        message = "must be a number"
        if not self._commas_allowed and "," in text:
            message += " with a decimal point"
        elif text.count(",") == 1 and "." not in text:
            try:
                value = float(text.replace(",", "."))
            except ValueError:
                pass
            else:
                self._first_comma = self._first_comma or (line, column)
                return value
        self._note(line, column, text, message)
        return None

    def _note(self, line: int, column: Column, text: str, message: str) -> None:
        text = text.strip()
        shown = repr(text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "...")
        self._faults.add(line, f"{message} (got {shown})", column.name, column.place, "number")

    def check_decimal_signs(self) -> None:
        """Note a file with both, where a point may separate thousands."""
        if self._first_comma and self._first_point:
            line, column = self._first_comma
            other = self._first_point[0]
            message = f"has a decimal comma, but line {other} a decimal point: write one of them"
            self._faults.add(line, message, column.name, column.place, "comma")


def first_ones(wrong: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """The first rows that are wrong, and how many each stands for: the last one for all others."""
    rows = np.flatnonzero(wrong)
    for number, row in enumerate(rows[:MAX_LISTED], 1):
        yield int(row), 1 if number < MAX_LISTED else rows.size - MAX_LISTED + 1
