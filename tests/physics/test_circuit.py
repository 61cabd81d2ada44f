"""The crossbar's circuit against an independent nodal analysis, badcrossbar and circuit laws."""

from __future__ import annotations

import logging
from itertools import pairwise

import numpy as np
import pytest

from kmc_oxy.physics import CrossbarSolver, programming_voltages, solve_crossbar

NAN = np.nan


def eliminate(matrix, right):
    """Gaussian elimination with partial pivoting, in extended precision."""
    a = np.column_stack([matrix, right]).astype(np.longdouble)
    n = len(a)
    for k in range(n):
        pivot = k + int(np.abs(a[k:, k]).argmax())
        a[[k, pivot]] = a[[pivot, k]]
        a[k + 1 :] -= np.outer(a[k + 1 :, k] / a[k, k], a[k])
    x = np.zeros(n, dtype=np.longdouble)
    for k in reversed(range(n)):
        x[k] = (a[k, n] - a[k, k + 1 : n] @ x[k + 1 :]) / a[k, k]
    return x


def nodal_analysis(conductance, row_voltage, column_voltage, line_ohm, scale=None):
    """Cell voltages from Kirchhoff's law at each node, element by element, in extended precision.

    Without line resistance every line is one node. Newton's method in the node potentials, each
    step scaled so that no cell's voltage changes by more than twice its V0.
    """
    rows, columns = conductance.shape
    node = {}
    for i in range(rows):
        for j in range(columns):
            node["row", i, j] = len(node) if line_ohm else i
            node["column", i, j] = len(node) if line_ohm else rows + j
    count = max(node.values()) + 1
    matrix = np.zeros((count, count), dtype=np.longdouble)
    source = np.zeros(count, dtype=np.longdouble)
    fixed = {}

    def link(a, b, g):
        for p, q in ((a, b), (b, a)):
            matrix[p, p] += g
            matrix[p, q] -= g

    for kind, voltages, length in (
        ("row", row_voltage, columns),
        ("column", column_voltage, rows),
    ):
        for line, voltage in enumerate(voltages):
            nodes = [
                node[(kind, line, k) if kind == "row" else (kind, k, line)] for k in range(length)
            ]
            if not line_ohm:
                if not np.isnan(voltage):
                    fixed[nodes[0]] = voltage
                continue
            segment = 1 / np.longdouble(line_ohm)
            for a, b in pairwise(nodes):
                link(a, b, segment)
            if not np.isnan(voltage):
                matrix[nodes[0], nodes[0]] += segment
                source[nodes[0]] += segment * voltage

    def voltages_of(potential):
        return np.array(
            [
                [
                    potential[node["row", i, j]] - potential[node["column", i, j]]
                    for j in range(columns)
                ]
                for i in range(rows)
            ]
        )

    potential = np.zeros(count, dtype=np.longdouble)
    for a, voltage in fixed.items():
        potential[a] = voltage
    for _ in range(500):
        cell = voltages_of(potential)
        jacobian, balance = matrix.copy(), matrix @ potential - source
        for i in range(rows):
            for j in range(columns):
                g = np.longdouble(conductance[i, j])
                if scale is None:
                    current, slope = g * cell[i, j], g
                else:
                    v0 = np.longdouble(np.broadcast_to(scale, conductance.shape)[i, j])
                    current = g * v0 * np.sinh(cell[i, j] / v0)
                    slope = g * np.cosh(cell[i, j] / v0)
                a, b = node["row", i, j], node["column", i, j]
                balance[a] += current
                balance[b] -= current
                for p, q in ((a, b), (b, a)):
                    jacobian[p, p] += slope
                    jacobian[p, q] -= slope
        for a in fixed:
            jacobian[a] = 0
            jacobian[a, a] = 1
            balance[a] = 0
        step = eliminate(jacobian, -balance)
        change = np.abs(voltages_of(step))
        share = 1.0 if scale is None else 1.0 / max(1.0, float((change / (2 * scale)).max()))
        potential += share * step
        if share * change.max() < 1e-15:
            return voltages_of(potential).astype(float)
    raise AssertionError("the reference did not converge")


def random_case(rng, floating):
    rows, columns = rng.integers(1, 9, 2)
    conductance = 10 ** rng.uniform(-7, -3, (rows, columns))
    if rows > 1 and columns > 1 and rng.random() < 0.5:
        cell = (int(rng.integers(rows)), int(rng.integers(columns)))
        scheme = "floating" if floating else "V/2"
        drive = programming_voltages(scheme, rows, columns, cell, rng.uniform(-4, 4))
    else:
        drive = rng.uniform(-2, 2, rows), rng.uniform(-2, 2, columns)
        if floating:
            lines = np.concatenate(drive)
            lines[rng.permutation(lines.size)[: rng.integers(1, lines.size)]] = NAN
            drive = lines[:rows], lines[rows:]
    return conductance, *drive


@pytest.mark.parametrize("cells", ["linear", "sinh", "sinh of each cell"])
@pytest.mark.parametrize("floating", [False, True], ids=["driven", "floating"])
@pytest.mark.parametrize("line_ohm", [0.0, 1.0, 150.0, 2e4])
def test_independent_nodal_analysis(cells, floating, line_ohm):
    rng = np.random.default_rng([int(line_ohm), floating, len(cells)])
    for _ in range(4):
        case = random_case(rng, floating)
        scale = {
            "linear": None,
            "sinh": rng.uniform(0.2, 1.5),
            "sinh of each cell": rng.uniform(0.2, 1.5, case[0].shape),
        }[cells]
        solution = solve_crossbar(*case, line_ohm, scale)
        expected = nodal_analysis(*case, line_ohm, scale)
        np.testing.assert_allclose(solution.cell_voltage_V, expected, rtol=0, atol=1e-9)
        assert solution.residual_A <= 1e-9 * max(np.abs(solution.cell_current_A).max(), 1e-9)


@pytest.mark.parametrize("scheme", ["V/2", "floating"])
@pytest.mark.parametrize("scale", [None, 0.4])
def test_large_arrays_too(scheme, scale):
    """Beyond the dense factorisation: 11x9 cells, with all lines but two floating or none."""
    rng = np.random.default_rng(3)
    conductance = 10 ** rng.uniform(-6, -3, (11, 9))
    drive = programming_voltages(scheme, 11, 9, (6, 4), 2.5)
    for line_ohm in (2.0, 3e3):
        solution = solve_crossbar(conductance, *drive, line_ohm, scale)
        expected = nodal_analysis(conductance, *drive, line_ohm, scale)
        np.testing.assert_allclose(solution.cell_voltage_V, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("size", [(1, 1), (4, 3), (8, 8), (40, 25)])
@pytest.mark.parametrize("line_ohm", [0.5, 100.0])
def test_badcrossbar(size, line_ohm):
    """It drives rows only and grounds columns behind the last row: our array upside down."""
    badcrossbar = pytest.importorskip("badcrossbar")
    logging.getLogger().setLevel(logging.WARNING)
    rng = np.random.default_rng(4)
    conductance = 10 ** rng.uniform(-6, -3, size)
    inputs = rng.uniform(-1, 1, size[0])
    theirs = badcrossbar.compute(inputs[::-1, None], 1 / conductance[::-1], line_ohm)
    solution = solve_crossbar(conductance, inputs, np.zeros(size[1]), line_ohm)
    voltage = (theirs.voltages.word_line - theirs.voltages.bit_line)[::-1]
    np.testing.assert_allclose(solution.cell_voltage_V, voltage, rtol=0, atol=1e-10)
    current = theirs.currents.device[::-1]
    scale = np.abs(current).max()
    np.testing.assert_allclose(solution.cell_current_A, current, rtol=0, atol=1e-10 * scale)
    np.testing.assert_allclose(
        solution.line_current_A.column, theirs.currents.output.ravel(), rtol=1e-10
    )


@pytest.mark.parametrize("size", [(5, 7), (20, 30)])
def test_reciprocity(size):
    """One volt on line a drives as much current through grounded line b as the other way round."""
    rng = np.random.default_rng(5)
    conductance = 10 ** rng.uniform(-7, -3, size)
    solver = CrossbarSolver(*size, 80.0)

    def transfer(a, b):
        voltage = np.zeros(sum(size))
        voltage[a] = 1.0
        lines = solver.solve(conductance, voltage[: size[0]], voltage[size[0] :]).line_current_A
        # Out of the array at line b: rows carry positive current into it.
        return np.concatenate([-lines.row, lines.column])[b]

    for a, b in ((0, size[0] + 2), (1, size[0] - 1), (size[0], size[0] + size[1] - 1)):
        assert transfer(a, b) == pytest.approx(transfer(b, a), rel=1e-9)
        assert transfer(a, b) != 0


@pytest.mark.parametrize("size", [(4, 3), (12, 14)])
@pytest.mark.parametrize("scheme", ["V/3", "floating"])
@pytest.mark.parametrize("scale", [None, 0.5])
def test_limit_of_no_line_resistance(size, scheme, scale):
    """Voltages approach those of ideal lines in proportion to R, down to rounding."""
    rng = np.random.default_rng(6)
    conductance = 10 ** rng.uniform(-9, -4, size)
    drive = programming_voltages(scheme, *size, (1, 2), 3.0)
    ideal = solve_crossbar(conductance, *drive, 0.0, scale).cell_voltage_V
    off = [
        np.abs(solve_crossbar(conductance, *drive, ohm, scale).cell_voltage_V - ideal).max()
        for ohm in (1e-1, 1e-3, 1e-9)
    ]
    assert off[1] == pytest.approx(1e-2 * off[0], rel=0.1)
    assert off[2] < 1e-11


@pytest.mark.parametrize("size", [(4, 3), (16, 16)])
@pytest.mark.parametrize("scale", [None, 0.3])
@pytest.mark.parametrize("floating", [False, True])
def test_power_balance(size, scale, floating):
    """What the sources give is what cells and line segments turn into heat."""
    rng = np.random.default_rng(7)
    conductance = 10 ** rng.uniform(-6, -3, size)
    row, column = rng.uniform(-1, 1, size[0]), rng.uniform(-1, 1, size[1])
    if floating:
        row[1] = column[0] = NAN
    ohm = 50.0
    solution = solve_crossbar(conductance, row, column, ohm, scale)
    current = solution.cell_current_A
    lines = solution.line_current_A
    given = np.nansum(row * lines.row) - np.nansum(column * lines.column)
    along_rows = np.cumsum(current[:, ::-1], axis=1)
    along_columns = np.cumsum(current[::-1], axis=0)
    heat = np.sum(solution.cell_voltage_V * current) + ohm * (
        np.sum(along_rows**2) + np.sum(along_columns**2)
    )
    assert given == pytest.approx(heat, rel=1e-11)
    assert lines.row.sum() == pytest.approx(lines.column.sum(), rel=1e-11)
