r"""The circuit of a crossbar: cells between LSMO rows and Co columns, with resistive lines.

Rows are LSMO lines ("neurons"), columns Co lines ("inputs"). Row i is driven at its column-0 end,
column j at its row-0 end; every segment of a line, the one between the source and the first cell
included, has the same resistance. A floating line has no source. The voltage of a cell
is V(LSMO) - V(Co), and its current is positive from row to column.

Cells are linear, I = G V, or obey I = G V0 sinh(V/V0). Newton's method replaces the curve of a cell
by its tangent, which is a linear cell in series with a source. It solves that linear circuit and
returns to the curve at the current of the tangent. This takes a handful of steps. If it does not
converge, the steps are damped. The circuit minimises the convex co-content

.. math:: \sum_{ij} G_{ij} V_0^2 \cosh(V_{ij}/V_0) + \text{half of the power lost in the lines}

over the potentials. Its third derivative is bounded by the second over V0, and for such functions a
Newton step of size d (largest change of a V/V0) times ln(1 + d)/d always descends (Sun and
Tran-Dinh 2019, doi 10.1007/s10107-018-1282-4).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kmc_oxy.physics.linear_crossbar import FloatingLines, LinearCrossbar

Array = NDArray[np.float64]

FAST_STEPS = 30
DAMPED_STEPS = 3000
TOLERANCE = 1e-12
"""Largest mismatch of a cell voltage in a solution, relative to the largest driven voltage."""
RESIDUAL = 1e-6
"""Largest residual of a solution, relative to the largest current of a cell."""
MAX_EXPONENT = 700.0
"""Above this, sinh(V/V0) overflows a double."""


class LineCurrents(NamedTuple):
    """Current at the driven end of each line (A), positive from rows to columns as in the cells.

    `row`, shape (rows,), flows from the sources into the rows; `column`, shape (columns,), flows
    out of the columns into their sources. Both have the same sum. A floating line has zero.
    """

    row: Array
    column: Array


class _Pair(NamedTuple):
    cell_voltage_V: Array
    line_current_A: LineCurrents


class CrossbarSolution(_Pair):
    """Cell voltages and line currents; unpacks into these two.

    Attributes
    ----------
    cell_voltage_V : ndarray, shape (rows, columns)
        Row potential minus column potential at each cell: V(LSMO) - V(Co).
    line_current_A : LineCurrents
        Currents of the rows and of the columns at their driven ends.
    cell_current_A : ndarray, shape (rows, columns)
        Current through each cell, from row to column.
    residual_A : float
        Largest difference between the current of a cell at its voltage and the current that the
        lines supply.
    iterations : int
        Number of linear circuits solved; 0 if the solution is explicit.
    """

    cell_current_A: Array
    residual_A: float
    iterations: int


class CrossbarSolver:
    """Solver of one geometry, for many conductances and drives.

    It keeps what depends on the geometry alone: line resistances between cells, the sparsity
    pattern and its fill-reducing order. A solution depends on the arguments of `solve` only, not
    on earlier solutions.

    Parameters
    ----------
    rows, columns : int
        Size of the array.
    line_resistance_ohm : float
        Resistance of one line segment; may be zero.

    Raises
    ------
    ValueError
        If a parameter is out of range.
    """

    def __init__(self, rows: int, columns: int, line_resistance_ohm: float) -> None:
        for name, size in (("rows", rows), ("columns", columns)):
            if size < 1:
                raise ValueError(f"The {name!r} parameter must be at least 1. Got {size} instead.")
        if not 0 <= line_resistance_ohm < np.inf:
            raise ValueError(
                "The 'line_resistance_ohm' parameter must be finite and not negative. "
                f"Got {line_resistance_ohm} instead."
            )
        self.shape = (rows, columns)
        self.line_resistance_ohm = float(line_resistance_ohm)
        self._circuit = LinearCrossbar(rows, columns, self.line_resistance_ohm)

    def solve(
        self,
        conductance: ArrayLike,
        row_voltage_V: ArrayLike,
        column_voltage_V: ArrayLike,
        nonlinearity_V: ArrayLike | None = None,
    ) -> CrossbarSolution:
        """Cell voltages and line currents; parameters and errors as in `solve_crossbar`."""
        # Numbers beyond the range of a double are found in the solution.
        with np.errstate(all="ignore"):
            checked = self._checked(conductance, row_voltage_V, column_voltage_V, nonlinearity_V)
            try:
                solution = self._solve(*checked)
            except np.linalg.LinAlgError as error:
                raise RuntimeError(f"The crossbar's circuit cannot be solved: {error}") from error
            largest_A = float(np.abs(solution.cell_current_A).max())
            # Currents that cancel are exact only to the rounding of their terms.
            rounding_A = 1e-12 * checked[0].max() * np.abs(checked[1]).max()
        numbers = (solution.cell_voltage_V, solution.residual_A, *solution.line_current_A)
        finite = all(np.isfinite(number).all() for number in numbers)
        if not (finite and solution.residual_A <= RESIDUAL * largest_A + rounding_A):
            raise RuntimeError(
                "The crossbar's circuit has no accurate solution: the currents of cells and lines "
                f"differ by {solution.residual_A:g} A, the largest current is {largest_A:g} A. "
                "Make 'nonlinearity_V' larger, or check the conductances and line resistance."
            )
        return solution

    def _solve(
        self, conductance: Array, drive: Array, floating: FloatingLines, scale: Array | None
    ) -> CrossbarSolution:
        """The solution of checked arguments, which may be no numbers."""
        if not self.line_resistance_ohm and not floating.count:
            voltage = drive
            current = _cell_current(conductance, voltage, scale)
            iterations = 0
        else:
            if scale is None:
                current, potential = self._circuit.solve(conductance, drive, floating)
                iterations = 1
            else:
                current, potential, iterations = self._newton(conductance, drive, floating, scale)
            voltage = drive + floating.spread(potential) - self._circuit.drop(current)
        balance = np.abs(_cell_current(conductance, voltage, scale) - current)
        row, column = current.sum(axis=1), current.sum(axis=0)
        row[floating.row] = 0.0
        column[floating.column] = 0.0
        solution = CrossbarSolution(voltage, LineCurrents(row, column))
        solution.cell_current_A = current
        solution.residual_A = float(balance.max())
        solution.iterations = iterations
        return solution

    def _checked(
        self,
        conductance: ArrayLike,
        row_voltage_V: ArrayLike,
        column_voltage_V: ArrayLike,
        nonlinearity_V: ArrayLike | None,
    ) -> tuple[Array, Array, FloatingLines, Array | None]:
        """Arguments as arrays: conductance, driven voltages, floating lines, V0."""
        g = _shaped("conductance", conductance, self.shape, "(rows, columns)")
        if not (g.min() >= 0 and g.max() < np.inf):
            raise ValueError(
                "The 'conductance' parameter must be finite and not negative. "
                f"Got {g[~((g >= 0) & (g < np.inf))][0]} instead."
            )
        drive, floating, span = self._checked_drive(g, row_voltage_V, column_voltage_V)
        if nonlinearity_V is None:
            return g, drive, floating, None
        scale = np.asarray(nonlinearity_V, dtype=np.float64)
        if scale.ndim:
            scale = _shaped("nonlinearity_V", scale, self.shape, "(rows, columns)")
        if not (scale.min() > 0 and scale.max() < np.inf):
            raise ValueError(
                "The 'nonlinearity_V' parameter must be positive and finite. "
                f"Got {scale[~((scale > 0) & (scale < np.inf))].flat[0]} instead."
            )
        if not self.line_resistance_ohm and span > MAX_EXPONENT * scale.min():
            raise ValueError(
                f"The 'nonlinearity_V' parameter must be at least 1/{MAX_EXPONENT:.0f} of the "
                f"driven range of {span} V, if no line resistance limits the current. "
                f"Got {scale.min()} instead."
            )
        return g, drive, floating, scale

    def _checked_drive(
        self, conductance: Array, row_voltage_V: ArrayLike, column_voltage_V: ArrayLike
    ) -> tuple[Array, FloatingLines, float]:
        """Driven voltage of each cell, the floating lines, and the range of all sources (V)."""
        row = _shaped("row_voltage_V", row_voltage_V, self.shape[:1], "(rows,)")
        column = _shaped("column_voltage_V", column_voltage_V, self.shape[1:], "(columns,)")
        floating = FloatingLines(np.isnan(row), np.isnan(column))
        if floating.count == sum(self.shape):
            raise ValueError(
                "The 'row_voltage_V' parameter must drive at least one line, if "
                "'column_voltage_V' drives none. Got NaN for every line instead."
            )
        driven = np.concatenate([row, column])
        if floating.count:
            floating.check_connected(conductance)
            driven = driven[~np.isnan(driven)]
            row = np.where(floating.row, 0.0, row)
            column = np.where(floating.column, 0.0, column)
        span = float(driven.max()) - float(driven.min())
        if not span < np.inf:
            name = "column_voltage_V" if np.isfinite(row).all() else "row_voltage_V"
            raise ValueError(
                f"The {name!r} parameter must be finite, or NaN where a line floats. "
                f"Got {driven[np.abs(driven).argmax()]} instead."
            )
        return row[:, None] - column, floating, span

    def _newton(
        self, conductance: Array, drive: Array, floating: FloatingLines, scale: Array
    ) -> tuple[Array, Array, int]:
        """Currents of sinh cells, potentials of the floating lines, number of linear circuits."""
        # The voltage of a cell without conductance is set to zero here: it carries no current.
        drawing = conductance > 0
        saturation = np.where(drawing, conductance, 1.0) * scale
        ideal = drive * drawing
        if floating.count:
            potential = floating.balance(conductance)(conductance * drive)
            ideal = (drive + floating.spread(potential)) * drawing
        voltage = ideal
        if self.line_resistance_ohm:
            # No cell draws more than the lines could carry in a short circuit.
            limit = np.abs(ideal).max() / self.line_resistance_ohm
            bound = scale * np.arcsinh(np.minimum(limit, 1e300 * saturation) / saturation)
            voltage = np.maximum(np.minimum(ideal, bound), -bound)
        close = TOLERANCE * np.abs(drive).max()
        for iteration in range(1, FAST_STEPS + DAMPED_STEPS + 1):
            # The tangent of each cell: a linear cell in series with a source.
            ratio = voltage / scale
            series = voltage - scale * np.tanh(ratio)
            current, potential = self._circuit.solve(
                conductance * np.cosh(ratio), drive - series, floating
            )
            on_lines = (drive + floating.spread(potential) - self._circuit.drop(current)) * drawing
            on_curve = scale * np.arcsinh(current / saturation)
            mismatch = np.abs(on_curve - on_lines).max()
            if mismatch <= close:
                return current, potential, iteration
            if not mismatch < np.inf:
                break
            if iteration < FAST_STEPS:
                # Return to the curve at the current of the tangent. That voltage is nearer to
                # zero than the voltage of the tangent, so that nothing overflows. If the two
                # differ in sign, the tangent only gives a bound.
                voltage = np.where(on_curve * on_lines > 0, on_curve, 0.5 * on_lines)
            elif iteration == FAST_STEPS:
                # A state that satisfies the equations of the lines, as all damped steps after it
                # do. With line resistance any cell voltages satisfy them.
                voltage = np.zeros(self.shape) if self.line_resistance_ohm else ideal
            else:
                step = on_lines - voltage
                size = np.abs(step / scale).max()
                voltage = voltage + np.log1p(size) / size * step
        raise RuntimeError(
            f"The crossbar's circuit did not converge in {iteration} Newton steps. "
            "Make 'nonlinearity_V' larger, or check the conductances."
        )


def _cell_current(conductance: Array, voltage: Array, scale: Array | None) -> Array:
    """Currents of cells at given voltages, A."""
    if scale is None:
        return conductance * voltage
    # A cell without conductance may have a voltage at which sinh overflows.
    ratio = np.where(conductance > 0, voltage / scale, 0.0)
    return conductance * scale * np.sinh(ratio)


def _shaped(name: str, value: ArrayLike, shape: tuple[int, ...], meaning: str) -> Array:
    array = np.asarray(value, dtype=np.float64)
    if array.shape != shape:
        raise ValueError(
            f"The {name!r} parameter must have shape {meaning} = {shape}. "
            f"Got shape {array.shape} instead."
        )
    return array


@lru_cache(maxsize=8)
def _solver(rows: int, columns: int, line_resistance_ohm: float) -> CrossbarSolver:
    return CrossbarSolver(rows, columns, line_resistance_ohm)


def solve_crossbar(
    conductance: ArrayLike,
    row_voltage_V: ArrayLike,
    column_voltage_V: ArrayLike,
    line_resistance_ohm: float,
    nonlinearity_V: ArrayLike | None = None,
) -> CrossbarSolution:
    """Cell voltages and line currents of a driven crossbar.

    Parameters
    ----------
    conductance : array_like, shape (rows, columns)
        Low-bias conductance of each cell, S; zero is an open cell.
    row_voltage_V, column_voltage_V : array_like, shape (rows,) and (columns,)
        Potentials of the sources, V; NaN leaves a line floating.
    line_resistance_ohm : float
        Resistance of each line segment, the one before the first cell included. Without line
        resistance the solution is exact, and explicit if no line floats.
    nonlinearity_V : array_like, shape () or (rows, columns), optional
        V0 of I = G V0 sinh(V/V0), V. Linear cells if not given.

    Returns
    -------
    CrossbarSolution
        ``cell_voltage_V, line_current_A = solve_crossbar(...)``; the residual and the cell
        currents are attributes.

    Raises
    ------
    ValueError
        If a shape is wrong, a value is out of range, or a line is connected to no source.
    RuntimeError
        If Newton's method does not converge, or the solution is not accurate to 1e-6.
    """
    shape = np.shape(conductance)
    if len(shape) != 2 or 0 in shape:
        raise ValueError(
            "The 'conductance' parameter must be a non-empty array of shape (rows, columns). "
            f"Got shape {shape} instead."
        )
    solver = _solver(*shape, float(line_resistance_ohm))
    return solver.solve(conductance, row_voltage_V, column_voltage_V, nonlinearity_V)


class VectorMatrixProduct(NamedTuple):
    """Vector-matrix product of an array, and the ideal one.

    `current_A` and `ideal_A`, shape (rows,): currents out of the rows (A), and conductance @
    input_voltage_V. `relative_error`: Euclidean norm of the difference over that of the ideal.
    """

    current_A: Array
    ideal_A: Array
    relative_error: float


def vector_matrix(
    conductance: ArrayLike,
    input_voltage_V: ArrayLike,
    line_resistance_ohm: float,
    nonlinearity_V: ArrayLike | None = None,
) -> VectorMatrixProduct:
    """Multiply a vector by the array: inputs on the columns, every row at virtual ground.

    Parameters
    ----------
    conductance, line_resistance_ohm, nonlinearity_V
        As in `solve_crossbar`.
    input_voltage_V : array_like, shape (columns,)
        Voltages of the inputs.

    Returns
    -------
    VectorMatrixProduct

    Raises
    ------
    ValueError, RuntimeError
        As `solve_crossbar`; or if the ideal product is no finite number.
    """
    ground = np.zeros(np.shape(conductance)[:1])
    solution = solve_crossbar(
        conductance, ground, input_voltage_V, line_resistance_ohm, nonlinearity_V
    )
    current = -solution.line_current_A.row
    with np.errstate(all="ignore"):
        ideal = np.asarray(conductance, dtype=np.float64) @ np.asarray(input_voltage_V)
        # Squares of the currents may be beyond the range of a double; hypot needs none.
        size = float(np.abs(ideal).max())
        error = 0.0
        if size:
            error = math.hypot(*((current - ideal) / size)) / math.hypot(*(ideal / size))
    if not (size < np.inf and error < np.inf):
        raise RuntimeError(
            f"The product is beyond the range of numbers: the largest ideal current is {size:g} A."
        )
    return VectorMatrixProduct(current, ideal, error)
