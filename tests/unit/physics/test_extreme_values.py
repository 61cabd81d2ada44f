"""Conductance, spin, potential and circuit at the limits of numbers: finite, or refused."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kmc_oxy.physics import (
    FilamentNetwork,
    Lattice,
    NetworkParameters,
    SpinParameters,
    current,
    screened_potential_V,
    solve_crossbar,
    vector_matrix,
)
from kmc_oxy.physics.filament_geometry import smoothing_taps

pytestmark = pytest.mark.filterwarnings("error")
SCRIPT = Path(__file__).resolve().parents[3] / "scripts" / "verify" / "extreme_physics.py"
LATTICE = Lattice(3, 3, 3, 1, 0.835e-9, 2.4e-9, 1e-9)


def conductance(**parameters):
    network = FilamentNetwork(
        LATTICE,
        np.zeros(LATTICE.n_sites, bool),
        np.zeros(LATTICE.n_columns),
        NetworkParameters(**parameters),
    )
    return network.conductance(np.arange(LATTICE.n_sites) % 2 == 0)


@pytest.mark.parametrize("name", ["oxide_growth_m", "decay_length_m", "conductance_scale_S"])
@pytest.mark.parametrize("value", [1e300, np.inf, np.nan, -1.0, 1e-300])
def test_network_parameters_beyond_numbers_are_refused(name, value):
    with pytest.raises(ValueError, match=f"'{name}'"):
        conductance(**{name: value})


def test_an_oxide_that_grows_without_limit_leaves_the_columns_without_oxygen():
    assert conductance() > conductance(oxide_growth_m=1e100) > 0


def test_a_conductance_beyond_numbers_is_an_error():
    """Nothing but a multi-step path through so wide a barrier that its conductance is zero."""
    barrier = {"barrier_height_eV": 1e6, "multistep_steps": 1.0, "decay_length_m": 1e-15}
    with pytest.raises(RuntimeError, match="conductance"):
        conductance(leak_per_column=0.0, multistep_per_column=1.0, **barrier)
    largest = dict.fromkeys(("leak_per_column", "patches", "conductance_scale_S"), 1e100)
    assert 1e300 < conductance(**largest, tolerance=0.5) < np.inf


def test_smoothing_far_beyond_the_patch_is_uniform():
    np.testing.assert_array_equal(smoothing_taps(5, 1e-9, 1e90), np.full(5, 0.2))
    np.testing.assert_allclose(smoothing_taps(5, 1e-9, 1e-6), np.full(5, 0.2), rtol=1e-3)


def test_fully_polarised_electrodes_are_refused_where_a_state_would_not_conduct():
    with pytest.raises(ValueError, match="'polarisation_co'"):
        SpinParameters("julliere", polarisation_lsmo=1.0, polarisation_co=-1.0)
    SpinParameters("impurity_exchange", polarisation_lsmo=1.0, polarisation_co=-1.0)


def test_a_current_that_overflows_is_refused():
    with pytest.raises(ValueError, match="'nonlinearity_V'"):
        current(1e-6, [0.0, 1.0], 1e-300)
    assert current(1e-6, 1.0, 1e300) == pytest.approx(1e-6)


def test_a_screened_potential_that_is_no_number_is_refused():
    layer = np.ones(3)
    for length_m in (0.0, np.inf, 1e200, -1e300):
        with pytest.raises(ValueError, match="'screening_length_m'"):
            screened_potential_V(1e-9 * layer, 3 * layer, 1e200 * layer, length_m)


@pytest.mark.parametrize("nonlinearity_V", [1e-300, 1e-30, 1e-12])
def test_a_residual_that_is_not_small_is_an_error(nonlinearity_V):
    with pytest.raises(RuntimeError, match="'nonlinearity_V'"):
        solve_crossbar(np.full((3, 2), 1e-5), [1.0, 0, 0], [0.0, 0], 10.0, nonlinearity_V)


def test_a_product_is_scaled_before_its_norm_is_taken():
    """Squares of these currents vanish or overflow."""
    conductance = np.random.default_rng(0).uniform(1e-6, 1e-4, (4, 3))
    usual = vector_matrix(conductance, [0.1, 0.2, 0.3], 10.0).relative_error
    for scale in (1e-250, 1e250):
        found = vector_matrix(conductance, scale * np.array([0.1, 0.2, 0.3]), 10.0)
        assert found.relative_error == pytest.approx(usual, rel=1e-9)
        assert usual > 0
    far = vector_matrix(conductance, [1.0, 1.0, 1.0], 0.0, nonlinearity_V=0.002)
    assert far.relative_error == pytest.approx(np.sinh(500) / 500, rel=1e-9)
    with pytest.raises(RuntimeError, match="largest current is inf"):
        vector_matrix(conductance * 1e300, [1e20, 1e20, 1e20], 0.0)


def test_random_extreme_values_give_numbers_or_reasons():
    done = subprocess.run(
        [sys.executable, SCRIPT, "--cases", "700", "--seed", "7"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
