r"""The circuit of a crossbar of linear cells with resistive lines.

Rows and columns are driven from one end. With :math:`I_{ij}` the current from row i to column j
and R the resistance of a segment, the first one included,

.. math::

    V_{ij} = u_i - w_j - R \sum_k \min(j+1, k+1) I_{ik} - R \sum_k \min(i+1, k+1) I_{kj},

where :math:`u_i` and :math:`w_j` are the potentials of the sources. The potential of a floating
line is unknown; the currents of its cells add up to zero. In the form (1 + A G) V - E u = b with
E^T G V = 0 the equations keep their precision as R goes to zero, unlike a nodal matrix of segment
conductances 1/R.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property

import numpy as np
import scipy  # loads its submodules at their first use: most runs use none
from numpy.typing import NDArray

Array = NDArray[np.float64]

DENSE_CELLS = 64
"""Arrays of at most this many cells are solved by one dense factorisation."""
GRADIENT_STEPS = 100
"""Number of conjugate-gradient steps that costs about as much as the sparse factorisation."""
REFINEMENTS = 4


class LinearCrossbar:
    """Solver of one geometry, for many conductances and drives.

    It keeps what depends on the geometry alone: resistances shared by two cells, the sparsity
    pattern and its order of elimination. A solution depends on the arguments of `solve` only, not
    on earlier solutions.

    Parameters
    ----------
    rows, columns : int
        Size of the array.
    line_resistance_ohm : float
        Resistance R of one line segment; may be zero.
    """

    def __init__(self, rows: int, columns: int, line_resistance_ohm: float) -> None:
        self.shape = (rows, columns)
        self.line_resistance_ohm = line_resistance_ohm
        self._small = rows * columns <= DENSE_CELLS

    @cached_property
    def _cell_ohm(self) -> Array:
        """A: line resistance that two cells share, shape (cells, cells), ohm."""
        rows, columns = self.shape
        along_row = np.minimum.outer(np.arange(columns), np.arange(columns)) + 1.0
        along_column = np.minimum.outer(np.arange(rows), np.arange(rows)) + 1.0
        return self.line_resistance_ohm * (
            np.kron(np.eye(rows), along_row) + np.kron(along_column, np.eye(columns))
        )

    def drop(self, current: Array) -> Array:
        """Voltage drop along the two lines of each cell, A I, shape (rows, columns), V."""
        if self._small:
            return (self._cell_ohm @ current.ravel()).reshape(self.shape)
        # Cumulated sums: from the far end the segment currents, from the source the voltages.
        along_row = _from_source(current)
        along_column = _from_source(np.ascontiguousarray(current.T))
        along_row += along_column.T
        along_row *= self.line_resistance_ohm
        return along_row

    def solve(
        self, conductance: Array, drive: Array, floating: FloatingLines
    ) -> tuple[Array, Array]:
        """Cell currents and potentials of the floating lines.

        Parameters
        ----------
        conductance : ndarray, shape (rows, columns)
            Finite and not negative, S.
        drive : ndarray, shape (rows, columns)
            b: driven row potential minus driven column potential (zero for a floating line), plus
            any source in series with the cell, V.
        floating : FloatingLines

        Returns
        -------
        current : ndarray, shape (rows, columns)
            A; positive from row to column.
        potential : ndarray, shape (floating.count,)
            V.
        """
        if not self.line_resistance_ohm:
            potential = floating.balance(conductance)(conductance * drive)
            return conductance * (drive + floating.spread(potential)), potential
        if self._small:
            return self._dense(conductance, drive, floating)
        found = self._gradient(conductance, drive, floating)
        return self._sparse(conductance, drive, floating) if found is None else found

    def _dense(
        self, conductance: Array, drive: Array, floating: FloatingLines
    ) -> tuple[Array, Array]:
        """Solve the bordered system by LAPACK."""
        g = conductance.ravel()
        cells, size = g.size, g.size + floating.count
        matrix = np.empty((size, size))
        np.multiply(self._cell_ohm, g, out=matrix[:cells, :cells])
        matrix.flat[: cells * size : size + 1] += 1.0
        right = np.zeros(size)
        right[:cells] = drive.ravel()
        if floating.count:
            incidence = floating.incidence
            weighted = incidence * g
            matrix[:cells, cells:] = -incidence.T
            # Each balance is divided by the conductance of its line: equations of equal scale.
            matrix[cells:, :cells] = weighted / np.abs(weighted).sum(axis=1, keepdims=True)
            matrix[cells:, cells:] = 0.0
        # LAPACK directly: on the smallest arrays the checks of numpy take longer than the solution.
        _, _, solution, singular = scipy.linalg.lapack.dgesv(matrix, right)
        if singular:
            raise np.linalg.LinAlgError("The matrix of the crossbar is singular.")
        return (g * solution[:cells]).reshape(self.shape), solution[cells:]

    def _gradient(
        self, conductance: Array, drive: Array, floating: FloatingLines
    ) -> tuple[Array, Array] | None:
        """Conjugate gradients on (1 + S A S) y = S b with S^2 = G; None after too many steps.

        The matrix is never formed. Its eigenvalues are at least 1, and most are close to 1 if
        lines conduct better than cells: a dozen steps are usual. A projection onto E^T S y = 0
        keeps the current balance of floating lines.
        """
        root = np.sqrt(conductance)
        balance = floating.balance(conductance)

        def project(x: Array) -> Array:
            return x + root * floating.spread(balance(root * x)) if floating.count else x

        direction = residual = project(root * drive)
        solution = np.zeros_like(residual)
        power = start = np.sum(residual * residual)
        for _ in range(GRADIENT_STEPS):
            if power <= 1e-30 * start:
                break
            image = direction + project(root * self.drop(root * direction))
            step = power / np.sum(direction * image)
            solution = solution + step * direction
            residual = residual - step * image
            previous, power = power, np.sum(residual * residual)
            direction = residual + (power / previous) * direction
        else:
            return None
        current = root * solution
        rest = drive - self.drop(current)
        potential = balance(conductance * rest)
        # One Jacobi step restores digits that y has lost where a cell hardly conducts.
        draw = conductance * (rest + floating.spread(potential))
        rows, columns = self.shape
        own_ohm = self.line_resistance_ohm * np.add.outer(
            np.arange(1.0, rows + 1.0), np.arange(1.0, columns + 1.0)
        )
        return current + (draw - current) / (1.0 + conductance * own_ohm), potential

    @cached_property
    def _pattern(self) -> tuple[NDArray[np.intp], scipy.sparse.csc_array]:
        """Order of elimination of the 2 rows*columns nodes, and the sparsity pattern in that order.

        In place of values the matrix holds indices into the list of entries of `_sparse`:
        diagonal, row segments, column segments, cells.
        """
        rows, columns = self.shape
        row_node = np.arange(rows * columns).reshape(self.shape)
        column_node = row_node + rows * columns
        order = np.concatenate(list(_dissection(row_node, column_node)))
        place = np.empty_like(order)
        place[order] = np.arange(order.size)
        first = np.concatenate(
            [row_node[:, :-1].ravel(), column_node[:-1].ravel(), row_node.ravel()]
        )
        second = np.concatenate(
            [row_node[:, 1:].ravel(), column_node[1:].ravel(), column_node.ravel()]
        )
        link = order.size + np.arange(first.size)
        entry = np.concatenate([np.arange(order.size), link, link])
        i = place[np.concatenate([np.arange(order.size), first, second])]
        j = place[np.concatenate([np.arange(order.size), second, first])]
        return order, scipy.sparse.coo_array((entry, (i, j))).tocsc()

    def _factorised(self, relative: Array, floating: FloatingLines) -> scipy.sparse.linalg.SuperLU:
        """LU factorisation of the nodal matrix times R; `relative` is R G."""
        _, pattern = self._pattern
        cells = relative.size
        row_diagonal = relative + 2.0
        row_diagonal[:, -1] -= 1.0
        row_diagonal[floating.row, 0] -= 1.0
        column_diagonal = relative + 2.0
        column_diagonal[-1] -= 1.0
        column_diagonal[0, floating.column] -= 1.0
        segments = 2 * cells - sum(self.shape)
        entries = np.concatenate(
            [
                row_diagonal.ravel(),
                column_diagonal.ravel(),
                np.full(segments, -1.0),
                -relative.ravel(),
            ]
        )
        matrix = scipy.sparse.csc_array(
            (entries[pattern.data], pattern.indices, pattern.indptr), pattern.shape
        )
        try:
            return scipy.sparse.linalg.splu(
                matrix, permc_spec="NATURAL", diag_pivot_thresh=0.0, options={"SymmetricMode": True}
            )
        except RuntimeError as error:
            raise np.linalg.LinAlgError(f"{error}.") from error

    def _sparse(
        self, conductance: Array, drive: Array, floating: FloatingLines
    ) -> tuple[Array, Array]:
        """Nodal analysis by sparse LU, refined by the residual of the well-scaled equations."""
        order, _ = self._pattern
        relative = self.line_resistance_ohm * conductance
        factor = self._factorised(relative, floating)
        node = np.empty(order.size)
        voltage = np.zeros(self.shape)
        potential = np.zeros(floating.count)
        for _ in range(REFINEMENTS):
            current = conductance * voltage
            mismatch = drive + floating.spread(potential) - self.drop(current) - voltage
            imbalance = floating.sums(current)
            if (
                np.abs(mismatch).max() <= 1e-14 * np.abs(drive).max()
                and np.abs(imbalance).max(initial=0.0) <= 1e-15 * np.abs(current).max()
            ):
                break
            # The mismatch acts as a voltage source in series with each cell, the imbalance of a
            # floating line as a current into its open end.
            injected = np.stack([-relative * mismatch, relative * mismatch])
            missing = -self.line_resistance_ohm * imbalance
            injected[0, floating.row, 0] += missing[: floating.rows]
            injected[1, 0, floating.column] += missing[floating.rows :]
            node[order] = factor.solve(injected.ravel()[order])
            row_node, column_node = node.reshape(2, *self.shape)
            voltage += row_node - column_node + mismatch
            potential += missing + np.concatenate(
                [row_node[floating.row, 0], column_node[0, floating.column]]
            )
        return conductance * voltage, potential


class FloatingLines:
    """The lines without a source, whose potentials are unknown.

    Vectors hold the floating rows first, then the floating columns. With E the incidence matrix of
    floating lines and cells (1 for a row, -1 for a column), `spread` is E u and `sums` is E^T I.
    """

    def __init__(self, row: NDArray[np.bool_], column: NDArray[np.bool_]) -> None:
        self.row = row
        self.column = column
        self.rows = int(np.count_nonzero(row))
        self.count = self.rows + int(np.count_nonzero(column))

    def check_connected(self, conductance: Array) -> None:
        """Raise ValueError for a floating line without a path to a driven one."""
        if conductance.all():
            return
        rows, columns = conductance.shape
        i, j = np.nonzero(conductance)
        links = scipy.sparse.coo_array(
            (np.ones(i.size), (i, j + rows)), shape=(rows + columns,) * 2
        )
        component = scipy.sparse.csgraph.connected_components(links, directed=False)[1]
        floats = np.concatenate([self.row, self.column])
        lost = np.flatnonzero(~np.isin(component, component[~floats]))
        if lost.size:
            line = f"row {lost[0]}" if lost[0] < rows else f"column {lost[0] - rows}"
            raise ValueError(
                "The 'conductance' parameter must connect every floating line to a driven one. "
                f"Got no path from {line} instead."
            )

    def spread(self, potential: Array) -> Array:
        """Contribution of the potentials of floating lines to the voltage of each cell, E u."""
        row, column = np.zeros(self.row.size), np.zeros(self.column.size)
        row[self.row] = potential[: self.rows]
        column[self.column] = potential[self.rows :]
        return row[:, None] - column

    def sums(self, current: Array) -> Array:
        """Current that the cells draw from each floating line, E^T I."""
        return np.concatenate([current.sum(axis=1)[self.row], -current.sum(axis=0)[self.column]])

    @cached_property
    def incidence(self) -> Array:
        """E^T, shape (count, rows*columns)."""
        incidence = np.zeros((self.count, self.row.size, self.column.size))
        incidence[np.arange(self.rows), self.row.nonzero()[0], :] = 1.0
        incidence[np.arange(self.rows, self.count), :, self.column.nonzero()[0]] = -1.0
        return incidence.reshape(self.count, -1)

    def balance(self, conductance: Array) -> Callable[[Array], Array]:
        """Function of cell currents: potentials of floating lines that cancel their imbalance."""
        if not self.count:
            return lambda current: np.zeros(0)
        between = -conductance[np.ix_(self.row, self.column)]
        laplacian = np.block(
            [
                [np.diag(conductance.sum(axis=1)[self.row]), between],
                [between.T, np.diag(conductance.sum(axis=0)[self.column])],
            ]
        )
        factor = scipy.linalg.cho_factor(laplacian, check_finite=False)
        return lambda current: (
            -scipy.linalg.cho_solve(factor, self.sums(current), check_finite=False)
        )


def _dissection(
    row_node: NDArray[np.intp], column_node: NDArray[np.intp]
) -> Iterator[NDArray[np.intp]]:
    """Nested dissection: an order of elimination with little fill.

    Only row lines connect one column of cells to the next, so the row nodes of one column separate
    the two halves. Likewise the column nodes of one row.
    """
    rows, columns = row_node.shape
    if rows * columns <= 4:
        yield row_node.ravel()
        yield column_node.ravel()
    elif columns >= rows:
        middle = columns // 2
        yield from _dissection(row_node[:, :middle], column_node[:, :middle])
        yield from _dissection(row_node[:, middle + 1 :], column_node[:, middle + 1 :])
        yield column_node[:, middle]
        yield row_node[:, middle]
    else:
        yield from _dissection(column_node.T, row_node.T)


def _from_source(current: Array) -> Array:
    """Voltage drop along each row of `current` from the source at its start, for R = 1."""
    segment = np.cumsum(current[:, ::-1], axis=1)[:, ::-1]
    return np.cumsum(segment, axis=1)
