"""SpinValve: the share of spin that arrives against dense solves, signs, limits, field loops."""

from dataclasses import replace

import numpy as np
import pytest

from kmc_oxy.physics import FilamentNetwork, Lattice, NetworkParameters, SpinParameters, SpinValve
from kmc_oxy.physics.spin_valve import magnetisation_path

CELLS = Lattice(10, 10, 6, 1, 0.835e-9, 5e-9, 1e-9)


def draw(seed, parameters=None, cells=CELLS):
    return FilamentNetwork.draw(
        cells,
        NetworkParameters() if parameters is None else parameters,
        np.random.default_rng([seed, 1]),
        np.random.default_rng([seed, 2]),
    )


def state(seed, first_layer, above, cells=CELLS):
    """Random oxygens: share of the first layer's sites, and of the other organic ones."""
    share = np.where(cells.layer == 0, first_layer, above) * cells.organic
    return np.random.default_rng([seed, 3]).random(cells.n_sites) < share


def dense_transmission(net, occupied, relaxation, exchange):
    """The spin equation with full matrices, on the links that the conductance tests check."""
    total = net.conductance(occupied)
    _, bottom, top, first, second, link = net._kernel.links()
    n = bottom.size
    links = np.zeros((n, n))
    links[first, second] = links[second, first] = link * (1 + exchange)
    laplacian = np.diag(links.sum(axis=1)) - links
    charge = (laplacian - np.diag(np.diag(laplacian))) / (1 + exchange)
    charge -= np.diag(charge.sum(axis=1))
    arriving = top * np.linalg.solve(charge + np.diag(bottom + top), bottom)
    s = np.linalg.solve(laplacian + np.diag(bottom + relaxation), bottom)
    return arriving @ s / arriving.sum() * (1 - net.leak_S / total)


@pytest.mark.parametrize(("first_layer", "above"), [(0.8, 0.2), (0.1, 0.1), (0.0, 0.02)])
def test_transmission_against_a_dense_solve(first_layer, above):
    for seed in range(40):
        rng = np.random.default_rng([seed, 4])
        relaxation, exchange = 10 ** rng.uniform(-8, -2), rng.choice([0.0, 1.0, 10.0])
        net, occupied = draw(seed), state(seed, first_layer, above)
        found = net.spin_transmission(occupied, relaxation, exchange)
        exact = dense_transmission(net, occupied, relaxation, exchange)
        assert found == pytest.approx(exact, abs=1e-4)


def test_one_node_shares_spin_between_electrode_and_relaxation():
    cells = Lattice(1, 1, 1, 1, 0.835e-9, 0.835e-9, 1e-9)
    p = NetworkParameters(
        leak_per_column=0.0, background_share=0.0, weak_points_m=0.0, conductance_scale_S=1.0
    )
    net, occupied = draw(0, p, cells), np.array([True, False])
    top = np.exp(-0.835e-9 / p.decay_length_m)
    bottom = 1 / (1 / net.conductance(occupied) - 1 / top)
    found = net.spin_transmission(occupied, relaxation=3 * bottom, exchange=3.0)
    assert found == pytest.approx(1 / 4, rel=1e-9)


@pytest.mark.parametrize("seed", range(10))
def test_an_error_of_the_spin_accumulation_makes_no_conductance_negative(seed):
    net = draw(seed, NetworkParameters(leak_per_column=1e-30, oxide_decay_per_m=0.0))
    valve = SpinValve(net, SpinParameters(polarisation_lsmo=-1, polarisation_co=1, relaxation=0))
    assert min(valve.conductances(state(seed, 0.9, 0.4))) >= 0


def test_limits_of_relaxation():
    net, occupied = draw(1), state(1, 0.5, 0.15)
    network_share = 1 - net.leak_S / net.conductance(occupied)
    assert net.spin_transmission(occupied, 0.0, 1.0) == pytest.approx(network_share, rel=1e-12)
    shares = [net.spin_transmission(occupied, 10.0**k, 1.0, 1e-9) for k in range(-9, 3)]
    assert (np.diff(shares) < 0).all()
    assert shares[0] > 0.999 * network_share
    assert shares[-1] < 1e-6


def test_exchange_helps_the_spin_along():
    net, occupied = draw(2), state(2, 0.5, 0.15)
    shares = [net.spin_transmission(occupied, 1e-4, x, 1e-9) for x in (0.0, 0.1, 1.0, 10.0)]
    assert (np.diff(shares) > 0).all()


def test_without_nodes_no_spin_arrives():
    net = draw(3, NetworkParameters(background_share=0.0))
    nothing = np.zeros(CELLS.n_sites, bool)
    assert net.spin_transmission(nothing, 1e-5, 1.0) == 0.0
    assert SpinValve(net).magnetoresistance(nothing) == 0.0


def test_magnetoresistance_appears_with_oxygen_and_grows_with_it():
    """Paper, figure 2: a spin valve in the potentiated state, none in the depressed one.

    The first layer's filling as the engine leaves it after -4 V (0.15) up to +4 V (0.85).
    """
    cells = Lattice(28, 28, 12, 2, 0.835e-9, 10e-9, 2e-9)
    for seed in range(3):
        valve = SpinValve(draw(seed, cells=cells))
        states = [state(seed, filling, 0.002, cells) for filling in (0.15, 0.3, 0.5, 0.7, 0.85)]
        found = np.array([valve.magnetoresistance(occupied) for occupied in states])
        conductance = [valve.network.conductance(occupied) for occupied in states]
        assert (np.diff(conductance) > 0).all()
        assert (np.diff(found) < 0).all()
        assert found[-1] < -0.1
        assert abs(found[0]) < abs(found[-1]) / 20


@pytest.mark.parametrize(("model", "eta"), [("julliere", 1.0), ("none", 0.0)])
def test_models_without_a_network(model, eta):
    valve = SpinValve(draw(4), SpinParameters(model=model))
    occupied = state(4, 0.5, 0.1)
    assert valve.transmission(occupied) == eta
    parallel, antiparallel = valve.conductances(occupied)
    mean = valve.network.conductance(occupied)
    assert parallel == pytest.approx(mean * (1 - 0.36 * eta))
    assert antiparallel == pytest.approx(mean * (1 + 0.36 * eta))
    found = valve.magnetoresistance(occupied)
    assert found == pytest.approx((parallel - antiparallel) / antiparallel)


def test_antiparallel_conducts_better():
    valve, occupied = SpinValve(draw(5)), state(5, 0.5, 0.2)
    parallel, antiparallel = valve.conductances(occupied)
    assert 0 < parallel < antiparallel
    assert -1 < valve.magnetoresistance(occupied) < 0


def test_readings_do_not_depend_on_their_order():
    states = [state(seed, 0.4, 0.1) for seed in range(5)]
    valve = SpinValve(draw(6))
    forward = [valve.magnetoresistance(occupied) for occupied in states]
    backward = [SpinValve(draw(6)).magnetoresistance(occupied) for occupied in states[::-1]]
    assert backward[::-1] == forward
    before = [draw(6).conductance(occupied) for occupied in states]
    after = []
    for occupied in states:
        valve.transmission(occupied)
        after.append(valve.network.conductance(occupied))
    assert after == before


def sweep_there_and_back():
    up = np.linspace(-50e-3, 50e-3, 401)
    valve, occupied = SpinValve(draw(7)), state(7, 0.9, 0.2)
    rise, kept = valve.field_sweep(occupied, up)
    fall, kept = valve.field_sweep(occupied, up[::-1], kept)
    return valve.conductances(occupied), up, rise, fall, kept


def test_the_loop_has_two_steps():
    """Low when parallel, high between the coercive fields (paper, figure 2b)."""
    (parallel, antiparallel), field_T, rise, _, kept = sweep_there_and_back()
    assert kept == pytest.approx((-1, -1))
    plateau = (field_T > 10e-3) & (field_T < 15e-3)
    outside = (field_T < 0) | (field_T > 30e-3)
    np.testing.assert_allclose(rise[plateau], antiparallel, rtol=1e-3)
    np.testing.assert_allclose(rise[outside], parallel, rtol=1e-3)
    half = (parallel + antiparallel) / 2
    crossings = field_T[:-1][np.diff(rise > half)]
    np.testing.assert_allclose(crossings, [5e-3, 20e-3], atol=0.3e-3)


def test_the_loop_is_hysteretic_and_symmetric():
    (parallel, antiparallel), field_T, rise, fall, _ = sweep_there_and_back()
    np.testing.assert_allclose(fall, rise, rtol=1e-12)  # G_fall(-H) = G_rise(H)
    at = np.searchsorted(field_T, 12e-3)
    assert fall[::-1][at] == pytest.approx(parallel, rel=1e-3)
    assert rise[at] == pytest.approx(antiparallel, rel=1e-3)
    assert parallel < 0.9 * antiparallel


def test_minor_loops_remember():
    """Turning back between the coercive fields leaves LSMO switched at zero field."""
    path = np.concatenate([np.linspace(0, 12e-3, 50), np.linspace(12e-3, 0, 50)])
    lsmo = magnetisation_path(path, 5e-3, 1e-3, -1.0)
    co = magnetisation_path(path, 20e-3, 1e-3, -1.0)
    assert lsmo[-1] > 0.999
    assert co[-1] < -0.999
    # Neither the rate of the sweep nor a closed excursion inside the branches changes anything.
    assert magnetisation_path(path[::7], 5e-3, 1e-3, -1.0)[-1] == pytest.approx(
        lsmo[path.size - 1 - (path.size - 1) % 7], rel=1e-12
    )
    assert magnetisation_path([3e-3, -3e-3, 3e-3], 5e-3, 1e-3, 0.2).tolist() == [0.2] * 3


def test_an_empty_path_changes_nothing():
    valve = SpinValve(draw(8))
    conductance_S, kept = valve.field_sweep(state(8, 0.1, 0.1), [], (0.5, -0.5))
    assert conductance_S.shape == (0,)
    assert kept == (0.5, -0.5)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model", "two-current"),
        ("polarisation_lsmo", -1.1),
        ("polarisation_co", np.nan),
        ("relaxation", -1e-5),
        ("exchange", np.inf),
        ("coercive_co_T", -1e-3),
        ("switching_width_T", 0.0),
    ],
)
def test_wrong_parameters_are_refused(name, value):
    with pytest.raises(ValueError, match=rf"The '{name}' parameter must .* Got .* instead"):
        replace(SpinParameters(), **{name: value})


@pytest.mark.parametrize("numbers", [(-1e-9, 1.0), (np.nan, 1.0), (0.0, -1.0), (0.0, 1.0, 0.0)])
def test_wrong_numbers_are_refused(numbers):
    with pytest.raises(ValueError, match="parameter must be at least"):
        draw(9).spin_transmission(state(9, 0.1, 0.1), *numbers)


def test_wrong_fields_are_refused():
    with pytest.raises(ValueError, match="The 'field_T' parameter must be"):
        magnetisation_path([0.0, np.nan], 1e-3, 1e-3, 0.0)
    with pytest.raises(ValueError, match="The 'magnetisation' parameter must lie"):
        magnetisation_path([0.0], 1e-3, 1e-3, 2.0)
