"""The filament network against an independent dense solve, and laws every such network obeys."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.linalg
from scipy.ndimage import gaussian_filter

from kmc_oxy.physics import FilamentNetwork, Lattice, NetworkParameters

SI = {"e": 1.602176634e-19, "eps0": 8.8541878128e-12, "k_per_m": 5.123e9}


def device(nx=28, ny=28, organic_layers=12, oxide_layers=2):
    return Lattice(
        nx, ny, organic_layers, oxide_layers, 0.835e-9, organic_layers * 10e-9 / 12, 2e-9
    )


def draw(cells, parameters, seed):
    return FilamentNetwork.draw(
        cells, parameters, np.random.default_rng([seed, 1]), np.random.default_rng([seed, 2])
    )


def occupation(cells, rng, filling, first_layer, organic):
    """Random sites, weighted `first_layer` next to LSMO, `organic` elsewhere in Gaq3, else 1."""
    weight = np.where(cells.organic, organic, 1.0)
    weight[cells.layer == 0] = first_layer
    occupied = np.zeros(cells.n_sites, bool)
    n_oxygen = round(filling * cells.n_sites)
    occupied[rng.choice(cells.n_sites, n_oxygen, replace=False, p=weight / weight.sum())] = True
    return occupied


ON = {"first_layer": 30.0, "organic": 2.0}
OFF = {"first_layer": 1e-9, "organic": 0.02}
RANDOM = {"first_layer": 1.0, "organic": 1.0}
STATES = {"on": ON, "off": OFF, "random": RANDOM}


def dense_conductance(net, occupied):
    """The recipe written out with positions and full matrices, in S."""
    cells, p = net.lattice, net.parameters
    shape = (cells.n_layers, cells.ny, cells.nx)
    z_of = cells.layer_z_m
    in_slab = (z_of < p.slab_m) & (np.arange(cells.n_layers) < cells.organic_layers)
    count = occupied.reshape(shape)[in_slab].sum(axis=0).astype(float)
    smooth = gaussian_filter(count, p.smoothing_m / cells.spacing_m, mode="wrap", truncate=4.0)
    density = (
        smooth / (cells.spacing_m**2 * p.slab_m) + p.density_floor_per_site / cells.spacing_m**3
    )
    width = np.sqrt(
        2 * p.relative_permittivity * SI["eps0"] * p.barrier_height_eV / (SI["e"] * density)
    ).ravel()

    node = np.flatnonzero((occupied | net.background) & cells.organic)
    x, y, z = cells.position_m[node].T
    w_m = width[cells.column[node]]
    w = -p.barrier_height_eV * np.maximum(1 - z / w_m, 0) ** 2 / p.level_width_eV
    k0 = SI["k_per_m"] * np.sqrt(p.effective_mass * p.barrier_height_eV)
    action = np.where(
        z < w_m, k0 * (z - z**2 / (2 * w_m)), k0 * w_m / 2 + (z - w_m) / p.decay_length_m
    )
    bottom = p.electrode_prefactor * np.exp(-2 * action + w)
    top = np.exp(
        -2 * (cells.organic_thickness_m - z) / p.decay_length_m
        - 2 * p.oxide_decay_per_m * net.weak_point_m[cells.column[node]]
    )

    def nearest(difference, period):
        return difference - period * np.round(difference / period)

    lx, ly = cells.box_m
    r = np.sqrt(
        nearest(x[:, None] - x, lx) ** 2 + nearest(y[:, None] - y, ly) ** 2 + (z[:, None] - z) ** 2
    )
    link = np.where(
        (r > 0) & (r <= p.cutoff_m),
        np.exp(-2 * r / p.decay_length_m + (w[:, None] + w) / 2),
        0.0,
    )
    energy = 0.0
    if node.size:
        matrix = np.diag(link.sum(axis=1) + bottom + top) - link
        v = scipy.linalg.solve(matrix, bottom, assume_a="pos")
        drop = v[:, None] - v
        energy = bottom @ (1 - v) ** 2 + top @ v**2 + 0.5 * (link * drop**2).sum()
    leak = p.leak_per_column * cells.n_columns
    return (energy + leak) * p.conductance_scale_S * p.patches


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("method", ["fast", "reference"])
def test_default_device_against_a_dense_solve(state, method):
    cells = device()
    for seed in range(2):
        net = draw(cells, NetworkParameters(), seed)
        occupied = occupation(cells, np.random.default_rng(seed), 0.075, **STATES[state])
        exact = dense_conductance(net, occupied)
        assert net.conductance(occupied, method) == pytest.approx(exact, rel=1e-6, abs=0)


@pytest.mark.parametrize("state", STATES)
def test_random_networks_against_a_dense_solve(state):
    """Hundreds of small networks: sizes down to wrapping ones, densities from none to full."""
    errors = []
    for seed in range(150):
        rng = np.random.default_rng([seed, 7])
        cells = device(*rng.integers(1, 11, 2), rng.integers(1, 8), rng.integers(0, 3))
        p = NetworkParameters(
            background_share=rng.choice([0.0, 0.08, 0.3]),
            decay_length_m=rng.uniform(0.3e-9, 0.8e-9),
            smoothing_m=rng.choice([0.0, 1e-9, 2.5e-9]),
            leak_per_column=rng.choice([1e-12, 1e-9]),
            weak_points_m=rng.choice([0.0, 0.15e-9]),
        )
        net = draw(cells, p, seed)
        filling = rng.choice([0.0, 0.02, 0.075, 0.3, 1.0])
        occupied = occupation(cells, rng, filling, **STATES[state])
        exact = dense_conductance(net, occupied)
        found = net.conductance(occupied)
        assert found > 0
        errors.append(found / exact - 1)
    # The iteration approaches from above: rounding aside, no error is negative.
    assert max(errors) < 1e-6
    assert min(errors) > -1e-8


@pytest.mark.parametrize("tolerance", [1e-2, 1e-4, 1e-8, 1e-10])
def test_the_tolerance_is_kept_and_used(tolerance):
    cells = device(14, 14)
    worst = 0.0
    for seed in range(12):
        occupied = occupation(cells, np.random.default_rng(seed), 0.1, **ON)
        loose, tight = (
            draw(cells, NetworkParameters(tolerance=value), seed).conductance(occupied)
            for value in (tolerance, 1e-12)
        )
        worst = max(worst, loose / tight - 1)
        assert loose >= tight * (1 - 1e-12)
    assert 0.05 * tolerance < worst < tolerance


def test_shifting_everything_by_a_lattice_vector_changes_nothing():
    cells = device(9, 7, 6)
    rng = np.random.default_rng(11)
    p = NetworkParameters(tolerance=1e-11)
    occupied = occupation(cells, rng, 0.15, **ON)
    background = (rng.random(cells.n_sites) < 0.08) & cells.organic
    weak = 0.15e-9 * np.abs(rng.standard_normal(cells.n_columns))

    def shifted(values, layers):
        return np.roll(values.reshape(layers, 7, 9), (2, 5), axis=(1, 2)).ravel()

    here = FilamentNetwork(cells, background, weak, p).conductance(occupied)
    there = FilamentNetwork(
        cells, shifted(background, cells.n_layers), shifted(weak, 1), p
    ).conductance(shifted(occupied, cells.n_layers))
    assert there == pytest.approx(here, rel=1e-10)
    unmoved = FilamentNetwork(cells, background, weak, p).conductance(
        shifted(occupied, cells.n_layers)
    )
    assert unmoved != pytest.approx(here, rel=1e-3)


@pytest.mark.parametrize("state", STATES)
def test_an_added_oxygen_never_lowers_the_conductance(state):
    """Rayleigh: above the slab it only adds links; in the slab it also thins the barrier."""
    cells = device(8, 8, 6)
    p = NetworkParameters(tolerance=1e-11)
    for seed in range(5):
        rng = np.random.default_rng([seed, 13])
        net = draw(cells, p, seed)
        occupied = occupation(cells, rng, 0.05, **STATES[state])
        before = net.conductance(occupied)
        for site in rng.permutation(np.flatnonzero(cells.organic & ~occupied))[:40]:
            occupied[site] = True
            after = net.conductance(occupied)
            assert after >= before * (1 - 1e-10)
            before = after


def test_oxygen_at_the_electrode_switches_the_device_on():
    """The whole point of the barrier: the same oxygens conduct orders of magnitude better."""
    cells = device()
    net = draw(cells, replace(NetworkParameters(), leak_per_column=0.0), 0)
    rng = np.random.default_rng(17)
    on, off = (net.conductance(occupation(cells, rng, 0.075, **s)) for s in (ON, OFF))
    assert on > 1e3 * off
