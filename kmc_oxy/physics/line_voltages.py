"""Line voltages that program or read one cell of an array."""

from __future__ import annotations

import numpy as np

from kmc_oxy.physics.crossbar import Array

SCHEMES = ("V/2", "V/3", "grounded", "floating")


def programming_voltages(
    scheme: str, rows: int, columns: int, cell: tuple[int, int], voltage_V: float
) -> tuple[Array, Array]:
    """Line voltages that put `voltage_V` on one cell.

    Parameters
    ----------
    scheme : {"V/2", "V/3", "grounded", "floating"}
        "V/2": the row of the cell at V/2, its column at -V/2, all other lines at ground.
        Half-selected cells (same row or column) have V/2, the others 0. "V/3": the other rows at
        -V/6 and the other columns at V/6. Half-selected cells have V/3, the others -V/3.
        "grounded": the row at V, all other lines at ground. Cells of the same row have V, the
        others 0. "floating": as "V/2", but all other lines float.
    rows, columns : int
        Size of the array.
    cell : (int, int)
        Row and column of the cell.
    voltage_V : float
        V(LSMO) - V(Co) of the cell without line resistance.

    Returns
    -------
    row_voltage_V, column_voltage_V : ndarray, shapes (rows,) and (columns,)

    Raises
    ------
    ValueError
        If the scheme is unknown or the cell is not in the array.
    """
    half = 0.5 * voltage_V
    try:
        chosen, others = {
            "V/2": (half, 0.0),
            "V/3": (half, voltage_V / 6.0),
            "grounded": (voltage_V, 0.0),
            "floating": (half, np.nan),
        }[scheme]
    except KeyError:
        raise ValueError(
            f"The 'scheme' parameter must be one of {', '.join(SCHEMES)}. Got {scheme!r} instead."
        ) from None
    i, j = _cell(rows, columns, cell)
    row, column = np.full(rows, -others), np.full(columns, others)
    row[i] = chosen
    column[j] = chosen - voltage_V
    return row, column


def reading_voltages(
    rows: int, columns: int, cell: tuple[int, int], voltage_V: float = -0.1
) -> tuple[Array, Array]:
    """Line voltages that read one cell: its column at -`voltage_V`, all other lines at ground.

    The row of the cell is the virtual ground whose current is measured. The other cells of the row
    have no voltage, so that this is the current of the cell, up to line resistance. Parameters,
    returns and errors as in `programming_voltages`.
    """
    _, j = _cell(rows, columns, cell)
    row, column = np.zeros(rows), np.zeros(columns)
    column[j] = -voltage_V
    return row, column


def _cell(rows: int, columns: int, cell: tuple[int, int]) -> tuple[int, int]:
    i, j = cell
    if not (0 <= i < rows and 0 <= j < columns):
        raise ValueError(
            f"The 'cell' parameter must be a row below {rows} and a column below {columns}. "
            f"Got {(i, j)} instead."
        )
    return i, j
