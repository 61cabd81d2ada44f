"""FilamentNetwork: closed forms, limits, checks of its arguments, readings that repeat."""

from dataclasses import replace

import numpy as np
import pytest

from kmc_oxy.physics import FilamentNetwork, Lattice, NetworkParameters, current

#: Links that fall so fast that only neighbours matter, a barrier that is everywhere screened.
CHAIN = NetworkParameters(
    conductance_scale_S=2.0,
    electrode_prefactor=0.5,
    decay_length_m=0.05e-9,
    cutoff_m=1.2e-9,
    background_share=0.0,
    slab_m=0.6e-9,
    density_floor_per_site=1e12,
    leak_per_column=0.0,
    tolerance=1e-12,
)


def lattice(nx=6, ny=5, organic_layers=4, oxide_layers=1):
    return Lattice(nx, ny, organic_layers, oxide_layers, 0.835e-9, organic_layers * 0.8e-9, 1e-9)


def network(cells, parameters, background=None, weak_point_m=None):
    return FilamentNetwork(
        cells,
        np.zeros(cells.n_sites, bool) if background is None else background,
        np.zeros(cells.n_columns) if weak_point_m is None else weak_point_m,
        parameters,
    )


def screened_links(cells, parameters):
    """Links of a column's nodes to LSMO and Co and of neighbours along z, when W << z."""
    p = parameters
    z = cells.layer_z_m[: cells.organic_layers]
    density = p.density_floor_per_site / cells.spacing_m**3
    width = np.sqrt(
        2 * p.relative_permittivity * 8.8541878128e-12 * p.barrier_height_eV
        / (1.602176634e-19 * density)
    )  # fmt: skip
    assert width < z[0] / 10
    action = 5.123e9 * np.sqrt(p.barrier_height_eV) * width / 2 + (z - width) / p.decay_length_m
    bottom = p.electrode_prefactor * np.exp(-2 * action)
    top = np.exp(-2 * (cells.organic_thickness_m - z) / p.decay_length_m)
    return bottom, top, np.exp(-2 * np.diff(z) / p.decay_length_m)


def test_one_node_is_two_resistors_in_series():
    cells = lattice(nx=1, ny=1, organic_layers=1)
    p = replace(CHAIN, decay_length_m=0.5e-9)
    thickness = 0.1e-9
    (bottom,), (top,), _ = screened_links(cells, p)
    top *= np.exp(-2 * p.oxide_decay_per_m * thickness)
    occupied = np.array([True, False])
    found = network(cells, p, weak_point_m=[thickness]).conductance(occupied)
    assert found == pytest.approx(2.0 * bottom * top / (bottom + top), rel=1e-12)


@pytest.mark.parametrize("layers", [3, 4, 6])
@pytest.mark.parametrize("method", ["fast", "reference"])
def test_chain_adds_resistances(layers, method):
    cells = lattice(nx=1, ny=1, organic_layers=layers)
    # What the chain's nodes leak past their neighbours is below rounding at this decay.
    bottom, top, steps = screened_links(cells, replace(CHAIN, cutoff_m=0.81e-9))
    occupied = np.arange(cells.n_sites) < layers
    found = network(cells, replace(CHAIN, cutoff_m=0.81e-9)).conductance(occupied, method)
    resistance = 1 / bottom[0] + (1 / steps).sum() + 1 / top[-1]
    assert found == pytest.approx(2.0 / resistance, rel=1e-9)


def test_columns_out_of_reach_add_conductances():
    cells = lattice(organic_layers=3)
    p = replace(CHAIN, cutoff_m=0.82e-9)  # longer than a layer, shorter than the spacing
    single = network(lattice(1, 1, 3), p).conductance(np.arange(4) < 3)
    full = np.arange(cells.n_sites) < 3 * cells.n_columns
    assert network(cells, p).conductance(full) == pytest.approx(30 * single, rel=1e-10)


def test_two_nodes_form_a_bridge():
    """Two nodes with all five resistors of comparable size, solved by hand."""
    cells = lattice(nx=1, ny=1, organic_layers=2)
    p = replace(CHAIN, decay_length_m=0.5e-9)
    (b0, b1), (t0, t1), (c,) = screened_links(cells, p)
    d0, d1 = b0 + t0 + c, b1 + t1 + c
    v0, v1 = np.array([b0 * d1 + c * b1, b1 * d0 + c * b0]) / (d0 * d1 - c * c)
    found = network(cells, p).conductance([True, True, False])
    assert found == pytest.approx(2.0 * (t0 * v0 + t1 * v1), rel=1e-11)


def test_identical_columns_do_not_exchange_current():
    """Full layers over a uniform density: lateral links carry nothing, links along z add up."""
    cells = lattice(nx=4, ny=4, organic_layers=2)
    p = replace(CHAIN, decay_length_m=0.5e-9, cutoff_m=3e-9)
    (b0, b1), (t0, t1), _ = screened_links(cells, p)
    steps = np.array([-1, 0, 1, 2])  # nearest images of a period of four
    x, y = np.meshgrid(steps * cells.spacing_m, steps * cells.spacing_m)
    r = np.sqrt(x**2 + y**2 + 0.8e-9**2)
    c = np.exp(-2 * r[r <= p.cutoff_m] / p.decay_length_m).sum()
    d0, d1 = b0 + t0 + c, b1 + t1 + c
    v0, v1 = np.array([b0 * d1 + c * b1, b1 * d0 + c * b0]) / (d0 * d1 - c * c)
    found = network(cells, p).conductance(np.arange(cells.n_sites) < 2 * cells.n_columns)
    assert found == pytest.approx(2.0 * 16 * (t0 * v0 + t1 * v1), rel=1e-11)


def test_without_nodes_only_the_leak_conducts():
    cells = lattice()
    p = NetworkParameters(conductance_scale_S=3.0, leak_per_column=1e-9, patches=7.0)
    found = network(cells, p).conductance(np.zeros(cells.n_sites, bool))
    assert found == pytest.approx(3.0 * 1e-9 * cells.n_columns * 7.0, rel=1e-15)


def test_oxygen_in_the_oxide_is_no_node():
    cells = lattice()
    nothing = np.zeros(cells.n_sites, bool)
    net = network(cells, NetworkParameters())
    assert net.conductance(~cells.organic) == net.conductance(nothing)


def test_background_in_the_oxide_does_not_count():
    cells = lattice()
    occupied = np.random.default_rng(0).random(cells.n_sites) < 0.3
    marked = network(cells, NetworkParameters(), background=~cells.organic)
    assert marked.conductance(occupied) == network(cells, NetworkParameters()).conductance(occupied)


def test_an_oxygen_on_a_background_site_is_one_node():
    """Only the density at LSMO tells whether a background site is occupied."""
    cells = lattice()
    background = np.random.default_rng(1).random(cells.n_sites) < 0.3
    above = background & cells.organic & (cells.layer > 1)
    net = network(cells, NetworkParameters(), background)
    assert net.conductance(above) == net.conductance(np.zeros(cells.n_sites, bool))


@pytest.mark.parametrize(("method", "rounding"), [("fast", 0.0), ("reference", 1e-7)])
def test_nodes_that_reach_no_electrode_carry_nothing(method, rounding):
    """Links to both electrodes underflow to zero: a floating cluster beside nothing at all."""
    cells = Lattice(3, 3, 40, 1, 0.835e-9, 400e-9, 1e-9)
    middle = (cells.layer > 18) & (cells.layer < 22)
    net = network(cells, NetworkParameters(cutoff_m=15e-9, slab_m=6e-9))
    assert net.conductance(middle, method) == pytest.approx(net.leak_S, rel=rounding, abs=0)
    only_bottom = cells.layer < 3
    assert net.conductance(only_bottom, method) == pytest.approx(net.leak_S, rel=rounding, abs=0)


def test_a_floating_cluster_does_not_disturb_a_conducting_network():
    # Neighbours up to 0.9 nm, electrodes 1.2 nm away at a decay that underflows.
    cells = Lattice(12, 1, 3, 1, 0.835e-9, 2.4e-9, 1e-9)
    p = replace(CHAIN, decay_length_m=0.0015e-9, cutoff_m=0.84e-9)
    column = cells.column == 0
    floating = (cells.layer == 1) & (cells.column > 4) & (cells.column < 8)
    net = network(cells, replace(p, leak_per_column=0.0))
    assert net.conductance(floating) == 0.0
    assert net.conductance((column | floating) & cells.organic) == net.conductance(
        column & cells.organic
    )


def test_scale_and_patches_multiply():
    cells = lattice()
    occupied = np.random.default_rng(2).random(cells.n_sites) < 0.4
    one = network(cells, NetworkParameters(conductance_scale_S=1.0)).conductance(occupied)
    many = network(cells, NetworkParameters(conductance_scale_S=4.0, patches=3.0))
    assert many.conductance(occupied) == pytest.approx(12 * one, rel=1e-14)


def test_readings_do_not_depend_on_earlier_ones():
    """Bit for bit the same in any order and from a new object, so a restart changes nothing."""
    cells = lattice(nx=10, ny=9, organic_layers=6)
    rng = np.random.default_rng(3)
    states = rng.random((12, cells.n_sites)) < rng.random((12, 1))

    def draw():
        return FilamentNetwork.draw(
            cells, NetworkParameters(), np.random.default_rng(4), np.random.default_rng(5)
        )

    net = draw()
    forward = [net.conductance(state) for state in states]
    backward = [net.conductance(state) for state in states[::-1]]
    assert backward[::-1] == forward
    assert [draw().conductance(state) for state in states] == forward
    assert len(set(forward)) == len(states)


def test_draw_uses_its_two_streams_and_parameters():
    cells = lattice(nx=40, ny=40)
    p = NetworkParameters(background_share=0.25, weak_points_m=0.2e-9)
    one, other = (
        FilamentNetwork.draw(cells, p, np.random.default_rng(a), np.random.default_rng(9))
        for a in (6, 7)
    )
    np.testing.assert_array_equal(one.weak_point_m, other.weak_point_m)
    assert (one.background != other.background).any()
    assert not one.background[~cells.organic].any()
    assert one.background[cells.organic].mean() == pytest.approx(0.25, abs=0.02)
    assert (one.weak_point_m >= 0).all()
    assert np.sqrt((one.weak_point_m**2).mean()) == pytest.approx(0.2e-9, rel=0.1)


@pytest.mark.parametrize(
    ("occupied", "got"),
    [
        (np.zeros(7, bool), r"shape \(7,\)"),
        (np.zeros((150, 1), bool), r"shape \(150, 1\)"),
        (np.full(150, np.nan), "NaN"),
        (np.full(150, 2), "int64"),
        (["a"] * 150, "type <U1"),
    ],
)
def test_wrong_occupation_is_refused(occupied, got):
    net = network(lattice(), NetworkParameters())
    with pytest.raises(ValueError, match=rf"The 'occupied' parameter must be .* Got .*{got}"):
        net.conductance(occupied)


@pytest.mark.parametrize("values", [np.zeros(3), np.full(30, np.nan), np.full(30, -1e-10), "x"])
def test_wrong_weak_points_are_refused(values):
    with pytest.raises(ValueError, match=r"The 'weak_point_m' parameter must be .* Got .* instead"):
        network(lattice(), NetworkParameters(), weak_point_m=values)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("decay_length_m", 0.0),
        ("cutoff_m", np.nan),
        ("level_width_eV", -0.1),
        ("leak_per_column", -1e-9),
        ("background_share", 1.1),
        ("tolerance", 1e-15),
        ("smoothing_m", np.inf),
    ],
)
def test_wrong_parameters_are_refused(name, value):
    with pytest.raises(ValueError, match=rf"The '{name}' parameter must be .* Got .* instead"):
        NetworkParameters(**{name: value})


def test_a_slab_that_holds_no_layer_is_refused():
    with pytest.raises(ValueError, match="The 'slab_m' parameter must reach"):
        network(lattice(), NetworkParameters(slab_m=0.3e-9))


def test_an_unknown_method_is_refused():
    net = network(lattice(), NetworkParameters())
    with pytest.raises(ValueError, match="The 'method' parameter must be"):
        net.conductance(np.zeros(150, bool), method="slow")


def test_a_solve_that_does_not_converge_is_an_error(monkeypatch):
    cells = lattice(nx=10, ny=10, organic_layers=6)
    occupied = np.random.default_rng(8).random(cells.n_sites) < 0.2
    net = network(cells, NetworkParameters(leak_per_column=0.0, tolerance=1e-12))
    monkeypatch.setattr(net, "_max_iterations", lambda: 2)
    with pytest.raises(RuntimeError, match="did not converge in 2 steps"):
        net.conductance(occupied)
    monkeypatch.undo()
    assert net.conductance(occupied) == pytest.approx(net.conductance(occupied, "reference"))


def test_current_is_ohmic_at_low_bias_and_odd():
    voltage = np.array([-2.0, -1e-4, 0.0, 1e-4, 2.0])
    found = current(1e-6, voltage, 0.5)
    np.testing.assert_allclose(found[[1, 3]], 1e-6 * voltage[[1, 3]], rtol=1e-7)
    np.testing.assert_allclose(found, -found[::-1])
    assert found[4] == pytest.approx(1e-6 * 0.5 * np.sinh(4.0))
    np.testing.assert_array_equal(current(1e-6, voltage, np.inf), 1e-6 * voltage)
    for wrong in (0.0, -1.0, np.nan):
        with pytest.raises(ValueError, match="The 'nonlinearity_V' parameter must be positive"):
            current(1.0, 1.0, wrong)


def crowded(cells, share=0.3, seed=4):
    return np.random.default_rng(seed).random(cells.n_sites) < share


def test_depletion_width_is_the_one_of_the_links():
    """A node's link to LSMO gives its column's W back, where the node is inside it."""
    cells = lattice(nx=6, ny=5, organic_layers=3)
    p = NetworkParameters(background_share=0.0, slab_m=1e-9)
    net = network(cells, p)
    occupied = crowded(cells, 0.1)
    net.conductance(occupied)
    site, bottom, *_ = net._kernel.links()
    first = site < cells.n_columns
    z = cells.layer_z_m[0]
    width = net.depletion_width_m(occupied).ravel()[site[first]]
    assert (width > z).all()
    k0 = 5.123e9 * np.sqrt(p.barrier_height_eV)
    expected = np.log(p.electrode_prefactor) - 2 * k0 * (z - z**2 / (2 * width))
    expected -= p.barrier_height_eV / p.level_width_eV * (1 - z / width) ** 2
    assert np.log(bottom[first]) == pytest.approx(expected, rel=1e-12)


def test_multistep_path_adds_its_closed_form():
    cells = lattice()
    p = NetworkParameters(conductance_scale_S=3.0, patches=7.0)
    path = replace(p, multistep_per_column=1e-4, multistep_steps=4.0)
    occupied = crowded(cells, 0.1)
    net = network(cells, path)
    k0 = 5.123e9 * np.sqrt(p.barrier_height_eV)
    added = 3.0 * 7.0 * 1e-4 * np.exp(-k0 * net.depletion_width_m(occupied) / 4.0).sum()
    for method in ("fast", "reference"):
        without = network(cells, p).conductance(occupied, method)
        assert net.conductance(occupied, method) - without == pytest.approx(added, rel=1e-4)


def test_multistep_path_carries_no_spin():
    cells = lattice()
    occupied = crowded(cells)
    p = NetworkParameters(background_share=0.0)
    path = replace(p, multistep_per_column=1e-3)
    nets = [network(cells, one) for one in (p, path)]
    spin = [net.spin_transmission(occupied, 1e-6, 1.0) for net in nets]
    charge = [net.conductance(occupied) for net in nets]
    assert spin[1] / spin[0] == pytest.approx(charge[0] / charge[1], rel=1e-3)
    assert spin[1] < 0.9 * spin[0]


def test_oxygen_in_the_oxide_thickens_it_there():
    """One column of one node: the link to Co falls by exp(-2 kappa growth) an oxygen."""
    cells = lattice(nx=1, ny=1, organic_layers=1, oxide_layers=2)
    p = replace(CHAIN, decay_length_m=0.5e-9, oxide_growth_m=0.1e-9)
    (bottom,), (top,), _ = screened_links(cells, p)
    net = network(cells, p)
    # Twice in another order: a reading depends on the occupation alone, the oxide's included.
    for in_oxide in (0, 2, 1, 0, 2):
        occupied = np.array([True, in_oxide > 0, in_oxide > 1])
        link = top * np.exp(-2 * p.oxide_decay_per_m * p.oxide_growth_m * in_oxide)
        expected = 2.0 * bottom * link / (bottom + link)
        assert net.conductance(occupied) == pytest.approx(expected, rel=1e-12)


def test_oxide_keeps_its_thickness_by_default():
    cells = lattice(oxide_layers=2)
    net = network(cells, NetworkParameters())
    occupied = crowded(cells)
    emptied = occupied & cells.organic
    assert net.conductance(occupied) == net.conductance(emptied)


@pytest.mark.parametrize(
    ("name", "value"),
    [("multistep_per_column", -1.0), ("multistep_steps", 0.5), ("oxide_growth_m", -1e-10)],
)
def test_switches_have_ranges(name, value):
    with pytest.raises(ValueError, match=name):
        NetworkParameters(**{name: value})
