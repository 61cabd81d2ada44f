"""The crossbar's interface: shapes, errors, schemes, and that its ways of solving agree."""

from __future__ import annotations

import numpy as np
import pytest

from kmc_oxy.physics import (
    CrossbarSolver,
    programming_voltages,
    reading_voltages,
    solve_crossbar,
    vector_matrix,
)
from kmc_oxy.physics.line_voltages import SCHEMES
from kmc_oxy.physics.linear_crossbar import FloatingLines, LinearCrossbar

ROW, COLUMN = np.array([1.0, 0.0, 0.5, 0.0]), np.array([0.0, -0.5, 0.0])
NAN = np.nan


@pytest.fixture
def conductance():
    return 10 ** np.random.default_rng(1).uniform(-6, -4, (4, 3))


def test_unpacks_into_voltages_and_currents(conductance):
    solution = solve_crossbar(conductance, ROW, COLUMN, 10.0)
    cells, currents = solution
    assert cells is solution.cell_voltage_V and currents is solution.line_current_A
    assert cells.shape == (4, 3)
    assert currents.row.shape == (4,) and currents.column.shape == (3,)
    np.testing.assert_allclose(solution.cell_current_A, conductance * cells, rtol=1e-12)
    np.testing.assert_allclose(currents.row, solution.cell_current_A.sum(axis=1), rtol=1e-14)
    assert 0 <= solution.residual_A < 1e-18
    assert solution.iterations == 1


@pytest.mark.parametrize("scale", [None, 0.3])
def test_no_line_resistance_is_exact(conductance, scale):
    solution = solve_crossbar(conductance, ROW, COLUMN, 0.0, scale)
    np.testing.assert_array_equal(solution.cell_voltage_V, ROW[:, None] - COLUMN)
    assert solution.residual_A == 0 and solution.iterations == 0


def test_floating_line_without_line_resistance():
    """The middle of a divider: 3 S to 1 V and 1 S to ground."""
    solution = solve_crossbar([[3.0], [1.0]], [1.0, 0.0], [NAN], 0.0)
    np.testing.assert_allclose(solution.cell_voltage_V, [[0.25], [-0.75]], rtol=1e-15)
    assert solution.line_current_A.column[0] == 0
    np.testing.assert_allclose(solution.line_current_A.row, [0.75, -0.75], rtol=1e-15)


def test_one_cell_in_series_with_two_segments():
    solution = solve_crossbar([[0.1]], [1.0], [-1.0], 5.0)
    np.testing.assert_allclose(solution.cell_voltage_V, [[1.0]], rtol=1e-15)
    np.testing.assert_allclose(solution.line_current_A.row, [0.1], rtol=1e-15)


def test_open_cells_see_the_voltage_of_their_lines():
    conductance = np.zeros((3, 3))
    conductance[1, 1] = 1e-3
    for scale in (None, 0.2):
        solution = solve_crossbar(conductance, [1.0, 2.0, 3.0], [0.0, 0.0, 0.0], 1.0, scale)
        voltage = solution.cell_voltage_V
        np.testing.assert_array_equal(voltage[::2, ::2], [[1.0, 1.0], [3.0, 3.0]])
        # The other column's potential is raised by the current of its one cell.
        assert voltage[0, 1] == pytest.approx(1.0 - solution.line_current_A.column[1], rel=1e-12)
        assert solution.line_current_A.row[0] == 0


def test_nonlinearity_scalar_or_per_cell(conductance):
    scalar = solve_crossbar(conductance, ROW, COLUMN, 100.0, 0.4)
    array = solve_crossbar(conductance, ROW, COLUMN, 100.0, np.full((4, 3), 0.4))
    np.testing.assert_array_equal(scalar.cell_voltage_V, array.cell_voltage_V)
    linear = solve_crossbar(conductance, ROW, COLUMN, 100.0)
    soft = solve_crossbar(conductance, ROW, COLUMN, 100.0, 1e5)
    np.testing.assert_allclose(soft.cell_voltage_V, linear.cell_voltage_V, rtol=1e-9)


@pytest.mark.parametrize("size", [(4, 3), (1, 30), (30, 1), (13, 22)])
@pytest.mark.parametrize("floating", [False, True])
def test_ways_of_solving_agree(size, floating):
    rng = np.random.default_rng(2)
    conductance = 10 ** rng.uniform(-7, -3, size)
    row, column = np.zeros(size[0], bool), np.zeros(size[1], bool)
    if floating:
        row[0 if size[0] == 1 else slice(1, None, 3)] = True
        column[1 : size[1] // 2] = True
    lines = FloatingLines(row, column)
    driven = np.where(row, 0, rng.uniform(-1, 1, size[0]))[:, None] - np.where(
        column, 0, rng.uniform(-1, 1, size[1])
    )
    for ohm in (0.1, 50.0):
        circuit = LinearCrossbar(*size, ohm)
        expected, potential = circuit._dense(conductance, driven, lines)
        for way in (circuit._gradient, circuit._sparse):
            current, other = way(conductance, driven, lines)
            np.testing.assert_allclose(
                current, expected, rtol=0, atol=1e-12 * np.abs(expected).max()
            )
            np.testing.assert_allclose(other, potential, rtol=0, atol=1e-12)


def test_hard_large_array_takes_the_sparse_way():
    """Lines that conduct worse than cells: conjugate gradients give up, and the answer is right."""
    rng = np.random.default_rng(3)
    conductance = 10 ** rng.uniform(-7, -2, (30, 40))
    lines = FloatingLines(np.zeros(30, bool), np.zeros(40, bool))
    drive = rng.uniform(-1, 1, 30)[:, None] - rng.uniform(-1, 1, 40)
    circuit = LinearCrossbar(30, 40, 1e5)
    assert circuit._gradient(conductance, drive, lines) is None
    current, _ = circuit.solve(conductance, drive, lines)
    expected, _ = circuit._dense(conductance, drive, lines)
    np.testing.assert_allclose(current, expected, rtol=0, atol=1e-11 * np.abs(expected).max())


def test_answers_do_not_depend_on_history(conductance):
    solver = CrossbarSolver(4, 3, 20.0)
    first = solver.solve(conductance, ROW, COLUMN, 0.3)
    solver.solve(10 * conductance, -ROW, COLUMN, 0.1)
    again = solver.solve(conductance, ROW, COLUMN, 0.3)
    np.testing.assert_array_equal(first.cell_voltage_V, again.cell_voltage_V)


@pytest.mark.parametrize("line_ohm", [0.0, 1e-7, 30.0, 1e6])
@pytest.mark.parametrize("scale", [0.02, 0.1])
@pytest.mark.parametrize("size", [(4, 3), (9, 11)])
@pytest.mark.filterwarnings("error")
def test_steep_cells_converge_without_overflow(line_ohm, scale, size):
    """Voltages of up to 400 V0, with floating lines and open cells."""
    rng = np.random.default_rng(4)
    for floating in range(5):
        conductance = 10 ** rng.uniform(-12, -3, size)
        conductance[rng.random(size) < 0.1] = 0
        row, column = rng.uniform(-4, 4, size[0]), rng.uniform(-4, 4, size[1])
        row[: floating // 2] = NAN
        column[: floating % 2] = NAN
        solution = solve_crossbar(conductance, row, column, line_ohm, scale)
        assert solution.residual_A <= 1e-8 * np.abs(solution.cell_current_A).max()


def test_steep_cells_on_a_short_circuit_of_lines():
    """sinh(V/V0) would overflow 2000 times over; the lines limit the current to V/2R."""
    solution = solve_crossbar([[1e-6]], [4.0], [0.0], 10.0, 0.002)
    assert solution.line_current_A.row[0] == pytest.approx(0.2, rel=0.02)
    assert solution.cell_voltage_V[0, 0] == pytest.approx(
        0.002 * np.arcsinh(solution.line_current_A.row[0] / 2e-9), rel=1e-9
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"conductance": np.ones(3)}, "'conductance' parameter must be a non-empty array"),
        ({"conductance": np.ones((0, 3))}, "'conductance' parameter must be a non-empty array"),
        (
            {"conductance": np.full((4, 3), NAN)},
            "'conductance' .* finite and not negative. Got nan",
        ),
        ({"conductance": np.full((4, 3), -1.0)}, "'conductance' .* not negative. Got -1.0"),
        ({"conductance": np.full((4, 3), np.inf)}, "'conductance' .* finite .* Got inf"),
        ({"row_voltage_V": np.zeros(3)}, r"'row_voltage_V' .* shape \(rows,\) = \(4,\). Got"),
        ({"column_voltage_V": np.zeros((3, 1))}, r"'column_voltage_V' .* shape \(columns,\)"),
        ({"row_voltage_V": [0, 0, np.inf, 0]}, "'row_voltage_V' .* finite.* Got inf"),
        ({"column_voltage_V": [0, 0, -np.inf]}, "'column_voltage_V' .* finite.* Got -inf"),
        (
            {"row_voltage_V": [NAN] * 4, "column_voltage_V": [NAN] * 3},
            "'row_voltage_V' .* must drive at least one line",
        ),
        ({"line_resistance_ohm": -1.0}, "'line_resistance_ohm' .* not negative. Got -1.0"),
        ({"line_resistance_ohm": NAN}, "'line_resistance_ohm' .* Got nan"),
        ({"nonlinearity_V": 0.0}, "'nonlinearity_V' .* positive and finite. Got 0.0"),
        ({"nonlinearity_V": NAN}, "'nonlinearity_V' .* positive and finite. Got nan"),
        ({"nonlinearity_V": [1.0, 1.0, 1.0]}, r"'nonlinearity_V' .* shape \(rows, columns\)"),
        (
            {"nonlinearity_V": 1e-4, "line_resistance_ohm": 0.0},
            "'nonlinearity_V' .* at least 1/700 of the driven range",
        ),
    ],
)
def test_one_clear_error(conductance, changes, message):
    arguments = {
        "conductance": conductance,
        "row_voltage_V": ROW,
        "column_voltage_V": COLUMN,
        "line_resistance_ohm": 1.0,
        "nonlinearity_V": None,
    } | changes
    with pytest.raises(ValueError, match=message):
        solve_crossbar(**arguments)


def test_a_floating_line_that_nothing_reaches():
    with pytest.raises(ValueError, match="Got no path from column 1"):
        solve_crossbar([[1.0, 0.0], [1.0, 0.0]], [1.0, NAN], [0.0, NAN], 1.0)


def test_solver_refuses_an_empty_array():
    with pytest.raises(ValueError, match=r"'columns' parameter must be at least 1. Got 0"):
        CrossbarSolver(3, 0, 1.0)


@pytest.mark.parametrize(
    ("scheme", "row_mate", "column_mate", "other"),
    [("V/2", 1.5, 1.5, 0.0), ("V/3", 1.0, 1.0, -1.0), ("grounded", 3.0, 0.0, 0.0)],
)
def test_programming_schemes(scheme, row_mate, column_mate, other):
    row, column = programming_voltages(scheme, 4, 3, (2, 1), 3.0)
    expected = np.full((4, 3), other)
    expected[2, :] = row_mate
    expected[:, 1] = column_mate
    expected[2, 1] = 3.0
    np.testing.assert_allclose(row[:, None] - column, expected, atol=1e-15)


def test_half_of_v_on_neuron_and_input():
    row, column = programming_voltages("V/2", 4, 3, (2, 1), -2.8)
    assert row.tolist() == [0, 0, -1.4, 0] and column.tolist() == [0, 1.4, 0]
    row, column = programming_voltages("floating", 2, 2, (0, 1), 2.0)
    np.testing.assert_array_equal(row, [1.0, NAN])
    np.testing.assert_array_equal(column, [NAN, -1.0])


def test_unknown_scheme_and_cell_outside():
    with pytest.raises(ValueError, match=r"one of V/2, V/3, grounded, floating. Got 'V/4'"):
        programming_voltages("V/4", 4, 3, (0, 0), 1.0)
    for scheme in SCHEMES:
        with pytest.raises(ValueError, match=r"'cell' parameter .* Got \(4, 0\)"):
            programming_voltages(scheme, 4, 3, (4, 0), 1.0)
    with pytest.raises(ValueError, match="'cell' parameter"):
        reading_voltages(4, 3, (0, -1))


def test_reading_puts_the_cells_current_on_its_neuron(conductance):
    row, column = reading_voltages(4, 3, (1, 2))
    cells, current = solve_crossbar(conductance, row, column, 0.0)
    assert cells[1, 2] == -0.1
    assert current.row[1] / cells[1, 2] == pytest.approx(conductance[1, 2], rel=1e-15)


def test_vector_matrix_product(conductance):
    inputs = np.array([0.1, -0.05, 0.02])
    ideal = vector_matrix(conductance, inputs, 0.0)
    np.testing.assert_allclose(ideal.current_A, conductance @ inputs, rtol=1e-13)
    np.testing.assert_array_equal(ideal.ideal_A, conductance @ inputs)
    assert ideal.relative_error < 1e-14
    errors = [vector_matrix(conductance, inputs, ohm).relative_error for ohm in (1.0, 10.0, 100.0)]
    assert 0 < errors[0] < errors[1] < errors[2] < 1
    bent = vector_matrix(conductance, inputs, 0.0, 0.1)
    expected = (conductance * 0.1 * np.sinh(inputs / 0.1)).sum(axis=1)
    np.testing.assert_allclose(bent.current_A, expected, rtol=1e-13)
    assert bent.relative_error == pytest.approx(
        np.linalg.norm(expected - ideal.ideal_A) / np.linalg.norm(ideal.ideal_A), rel=1e-9
    )
    assert vector_matrix(conductance, np.zeros(3), 1.0).relative_error == 0
