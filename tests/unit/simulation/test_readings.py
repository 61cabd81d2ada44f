"""Readings of an array: maps, vector-matrix products, magnetic loops."""

import numpy as np
import pytest
from array_examples import RESET, WRITE, coupled, inputs, run

from kmc_oxy.physics import solve_crossbar
from kmc_oxy.protocol.steps_to_schedule import field_path


def test_map_is_what_the_instrument_shows():
    given = inputs(RESET, WRITE, {"map": {}})
    record = run(given).record
    g = record["conductance"][..., -1]
    u = 0.1 / given.conductance.nonlinearity
    np.testing.assert_allclose(
        record["apparent_conductance"][..., -1], g * np.sinh(u) / u, rtol=1e-12
    )
    assert np.isnan(record["apparent_conductance"][..., :-1]).all()
    ohmic = run(inputs(RESET, {"map": {}}, conductance={"nonlinearity": None})).record
    np.testing.assert_allclose(
        ohmic["apparent_conductance"][..., -1], ohmic["conductance"][..., -1], rtol=1e-12
    )


def test_lines_take_their_share_of_a_map():
    record = run(inputs({"pulse": {"voltage": 4, "duration": 1}}, {"map": {}}, **coupled())).record
    ratio = record["apparent_conductance"][..., -1] / record["conductance"][..., -1]
    assert (ratio > 0).all() and (ratio < 1).all()
    # The measured values are those of the circuit: column 1 driven, all other lines at ground.
    solution = solve_crossbar(record["conductance"][..., -1], [0, 0, 0], [0, 0.1], 1e3, 0.5)
    np.testing.assert_allclose(
        record["apparent_conductance"][:, 1, -1], -solution.line_current_A.row / 0.1, rtol=1e-9
    )


def test_map_uses_the_reading_voltage_of_the_array():
    simulation = run(inputs({"map": {}}, read_voltage=-0.3))
    assert [cell.voltage_V for cell in simulation.cells] == [-0.3] * 6


def test_vector_matrix_step():
    given = inputs(RESET, {"vector_matrix": {"inputs": [0.1, -0.05]}})
    simulation = run(given)
    record = simulation.record
    g = record["conductance"][..., -1]
    np.testing.assert_allclose(record["ideal_current"][:, -1], g @ [0.1, -0.05])
    sinh = 0.5 * np.sinh([0.2, -0.1])
    np.testing.assert_allclose(record["output_current"][:, -1], g @ sinh, rtol=1e-12)
    error = record["output_current"][:, -1] - record["ideal_current"][:, -1]
    assert record["product_error"][-1] == pytest.approx(
        np.linalg.norm(error) / np.linalg.norm(g @ [0.1, -0.05])
    )
    np.testing.assert_allclose([cell.voltage_V for cell in simulation.cells], [-0.1, 0.05] * 3)
    far = run(inputs(RESET, {"vector_matrix": {"inputs": [0.1, -0.05]}}, line_resistance=1e12))
    assert far.record["product_error"][-1] > 0.5


def test_field_sweep_at_fixed_occupation():
    given = inputs(
        {"pulse": {"voltage": 4, "duration": 1}},
        {"field_sweep": {"amplitude": "60 mT", "step": "1 mT"}},
    )
    simulation = run(given)
    record = simulation.record
    path_T = record["field"][1:]
    assert path_T.tolist() == field_path(0.06, 1e-3) and np.isnan(record["field"][0])
    loop_S = record["field_conductance"][..., 1:]
    # The oxygens do not move during the sweep.
    for name in ("conductance", "hops", "magnetoresistance"):
        assert (record[name][..., 1:] == record[name][..., 1:2]).all()
    g, mr = record["conductance"][..., -1], record["magnetoresistance"][..., -1]
    np.testing.assert_allclose(loop_S[..., 0], g, rtol=1e-6)
    # The loop closes, is its own mirror image, and ends saturated in parallel.
    np.testing.assert_allclose(loop_S[..., -1], loop_S[..., 0], rtol=1e-9)
    half = len(path_T) // 2
    np.testing.assert_allclose(loop_S[..., half:], loop_S[..., : half + 1], rtol=1e-9)
    # Between the coercive fields, past zero, the electrodes are antiparallel.
    between = int(np.argmin(np.abs(path_T[: half + 1] + 0.012)))
    np.testing.assert_allclose(g / loop_S[..., between] - 1, mr, rtol=1e-3)
    before = int(np.argmin(np.abs(path_T[: half + 1] - 0.012)))
    np.testing.assert_allclose(loop_S[..., before], g, rtol=1e-6)


def test_two_field_sweeps_without_a_hold_between_them_are_two_loops():
    sweep = {"field_sweep": {"amplitude": 0.05, "step": 0.01}}
    record = run(inputs(sweep, sweep)).record
    half = record["field"].size // 2
    np.testing.assert_array_equal(record["field"][:half], record["field"][half:])
    assert np.isfinite(record["field_conductance"]).all()


def test_the_current_of_a_sweep_is_that_of_the_junction():
    sweep = {"sweep": {"to": [1.5, -1.5], "step": 0.75, "dwell": "1 ms"}}
    simulation = run(inputs(RESET, sweep, {"read": {}}))
    record, stairs = simulation.record, slice(1, -1)
    current_A = record["sweep_current"]
    assert np.isnan(current_A[..., 0]).all() and np.isnan(current_A[..., -1]).all()
    voltage_V, scale_V = record["cell_voltage"][..., stairs], 0.5
    expected = record["conductance"][..., stairs] * scale_V * np.sinh(voltage_V / scale_V)
    np.testing.assert_allclose(current_A[..., stairs], expected, rtol=1e-12)
    assert (np.sign(current_A[0, 0, stairs]) == [1, 1, 1, 0, -1, -1]).all()
