"""Feedback of the state of the device: network, screened charge, heating; its use by cells."""

from contextlib import nullcontext

import numpy as np
import pytest
from scipy.optimize import brentq

from kmc_oxy import inputs as inputs_of
from kmc_oxy.inputs import InputError
from kmc_oxy.inputs.schema import Input, largest_span
from kmc_oxy.physics import (
    MAX_RATIO,
    Engine,
    FilamentNetwork,
    Landscape,
    Lattice,
    NetworkParameters,
    current,
    screened_potential_V,
)
from kmc_oxy.protocol import flatten
from kmc_oxy.simulation import CrossPoint, FeedbackError, Simulation, TaskParameters
from kmc_oxy.simulation.cells import RATE_TOLERANCE, interval_end_s
from kmc_oxy.simulation.feedback import Feedback, nearest_decreasing, network_profile_V
from kmc_oxy.storage import open_output, read_tree, write_tree
from kmc_oxy.units import VACUUM_PERMITTIVITY_F_PER_M

PROTOCOL = [
    {"pulse": {"voltage": 4, "duration": "10 ms"}},
    {"train": {"voltage": -2.8, "duration": "1 ms", "count": 2}},
]
ALL = {"potential": "network", "screening_length": "0.01 nm", "thermal_resistance": 1e3}


def inputs(feedback=None, protocol=PROTOCOL, **changes):
    device = {"lattice": {"nx": 6, "ny": 5}, "feedback": feedback or {}}
    return Input.model_validate({"device": device, "protocol": protocol, **changes})


def build(given, tolerance=0.1):
    schedule = flatten(given.protocol)
    return Simulation(
        given, schedule, TaskParameters(point=0, member=0, seed=5, tolerance=tolerance)
    )


def drain(simulation):
    for _ in simulation.run():
        pass
    return simulation.record


def assert_same(first, second):
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])


# --- the network at full voltage ---------------------------------------------------------------


def column_network(layers, occupied_layers, **changes):
    """A network of single-file nodes: one column, links to the next layer only."""
    cells = Lattice(1, 1, layers, 1, 0.8e-9, layers * 0.8e-9, 1e-9)
    parameters = NetworkParameters(
        background_share=0.0, weak_points_m=0.0, cutoff_m=0.85e-9, slab_m=0.5e-9, **changes
    )
    network = FilamentNetwork(cells, np.zeros(cells.n_sites), np.zeros(1), parameters)
    occupied = np.zeros(cells.n_sites, dtype=bool)
    occupied[list(occupied_layers)] = True
    return network, occupied


def drops_and_links(network, occupied, voltage_V, link_V):
    """Drop of every link from its first end to its second, its strength, and its two nodes."""
    site, node_V = network.node_potentials_V(occupied, voltage_V, link_V)
    _, bottom, top, first, second, link = network._kernel.links()
    n = len(site)
    lsmo, co = np.full(n, n), np.full(n, n + 1)
    ends = (np.concatenate([lsmo, np.arange(n), first]), np.concatenate([np.arange(n), co, second]))
    every_V = np.append(node_V, [voltage_V, 0.0])
    return every_V[ends[0]] - every_V[ends[1]], np.concatenate([bottom, top, link]), ends, n


@pytest.mark.parametrize("voltage_V", [0.1, -0.1, 2.0, -4.0, 10.0])
def test_a_single_node_divides_the_voltage_by_the_closed_form(voltage_V):
    """Two links in series: b sinh((V - v)/V0) = t sinh(v/V0)."""
    link_V = 0.1
    network, occupied = column_network(3, [1])
    site, (node_V,) = network.node_potentials_V(occupied, voltage_V, link_V)
    assert site.tolist() == [1]
    _, (bottom,), (top,), *_ = network._kernel.links()
    up, down = np.exp(voltage_V / link_V), np.exp(-voltage_V / link_V)
    expected_V = 0.5 * link_V * np.log((bottom * up + top) / (bottom * down + top))
    assert node_V == pytest.approx(expected_V, abs=1e-5 * abs(voltage_V))


@pytest.mark.parametrize("ratio", [1e-6, 1.0, 10.0, 40.0])
def test_links_in_series_share_the_voltage_by_the_inverse_of_their_law(ratio):
    """A chain: dV_k = V0 asinh(I/(g_k V0)), with the one current that makes them add up to V."""
    link_V = 0.02
    # The decay is so short, and the mass so large, that only nearest neighbours matter.
    network, occupied = column_network(
        4, range(4), decay_length_m=0.05e-9, effective_mass=50.0, electrode_prefactor=1.0
    )
    site, node_V = network.node_potentials_V(occupied, ratio * link_V, link_V)
    _, bottom, top, _, _, link = network._kernel.links()
    assert site.tolist() == [3, 2, 1, 0] and len(link) == 3
    chain = np.concatenate([top[:1], link, bottom[-1:]])  # from Co down to LSMO
    assert np.ptp(np.log10(chain)) > 5

    def too_much(log_current):
        return np.arcsinh(np.exp(log_current - np.log(chain))).sum() - ratio

    log_current = brentq(too_much, np.log(chain.min()) - 20, np.log(chain.max()) + ratio)
    drops_V = link_V * np.arcsinh(np.exp(log_current - np.log(chain)))
    np.testing.assert_allclose(node_V, np.cumsum(drops_V)[:-1], atol=3e-5 * ratio * link_V)


def patch(state, **changes):
    """A patch of 10 x 10 columns, with many or few oxygens at LSMO."""
    cells = Lattice(10, 10, 12, 2, 0.835e-9, 10e-9, 2e-9)
    network = FilamentNetwork.draw(
        cells, NetworkParameters(**changes), np.random.default_rng(1), np.random.default_rng(2)
    )
    share = np.where(cells.organic, 0.02, 0.3)
    if state == "on":
        share[cells.layer == 0] = 0.7
    return network, np.random.default_rng(3).random(cells.n_sites) < share


@pytest.mark.parametrize("state", ["on", "off"])
@pytest.mark.parametrize("ratio", [0.1, 8.0, 40.0, 100.0, 400.0])
def test_current_is_conserved_at_every_node(state, ratio):
    """For links over more than ten decades, relative to the current through the node."""
    network, occupied = patch(state)
    link_V = 0.05
    drop, strength, ends, n = drops_and_links(network, occupied, ratio * link_V, link_V)
    assert np.ptp(np.log10(strength[strength > 0])) > 10
    flow = strength * np.sinh(drop / link_V)
    net, through = np.zeros(n + 2), np.zeros(n + 2)
    for end, sign in zip(ends, (1, -1), strict=True):
        np.add.at(net, end, sign * flow)
        np.add.at(through, end, strength * np.cosh(drop / link_V))
    # As a potential: the distance of each node from the balance of its neighbours.
    assert np.abs(net[:n] / through[:n]).max() < 1e-5 * ratio
    assert net[n] == pytest.approx(-net[n + 1], rel=1e-3)


@pytest.mark.parametrize("state", ["on", "off"])
def test_large_link_nonlinearity_is_the_linear_network(state):
    network, occupied = patch(state)
    voltage_V = 3.0
    drop, strength, ends, n = drops_and_links(network, occupied, voltage_V, 1e9)
    current_G0 = (strength * drop)[ends[0] == n].sum()
    p = network.parameters
    ohmic_S = network.conductance(occupied, "reference") - network.leak_S
    assert current_G0 / voltage_V * p.conductance_scale_S == pytest.approx(ohmic_S, rel=1e-4)
    _, dense_V = network.node_potentials_V(occupied, voltage_V, 1e9)
    matrix = np.zeros((n, n))
    tied = np.zeros(n)
    for a, b, g in zip(*ends, strength, strict=True):
        inner = [k for k in (a, b) if k < n]
        for k in inner:
            matrix[k, k] += g
        if len(inner) == 2:
            matrix[a, b] -= g
            matrix[b, a] -= g
        elif a == n:
            tied[b] += g * voltage_V
    np.testing.assert_allclose(dense_V, np.linalg.solve(matrix, tied), atol=3e-5 * voltage_V)


def test_a_reading_does_not_notice_that_the_network_was_divided():
    network, occupied = patch("on")
    alone = FilamentNetwork(
        network.lattice, network.background, network.weak_point_m, network.parameters
    )
    assert network.conductance(occupied) == alone.conductance(occupied)
    network.node_potentials_V(occupied, 4.0, 0.1)
    assert network.conductance(occupied) == alone.conductance(occupied)
    spin = [net.spin_transmission(occupied, 1e-5, 1.0) for net in (network, alone)]
    assert spin[0] == spin[1]


def test_a_ratio_beyond_numbers_is_refused():
    network, occupied = patch("off")
    for link_V in (0.0, -1.0, 4 / (1.01 * MAX_RATIO)):
        with pytest.raises(ValueError, match=r"'link_nonlinearity_V' .* 4 V applied"):
            network.node_potentials_V(occupied, 4.0, link_V)


@pytest.mark.parametrize("state", ["on", "off"])
@pytest.mark.parametrize("voltage_V", [2.0, -4.0])
def test_the_profile_falls_from_lsmo_to_co_and_is_the_mean_of_each_layer(state, voltage_V):
    network, occupied = patch(state)
    profile_V = network_profile_V(network, occupied, voltage_V, 0.05)
    cells = network.lattice
    whole = np.concatenate([[voltage_V], profile_V, [0.0]]) * np.sign(voltage_V)
    assert (np.diff(whole) <= 0).all() and whole[1] > whole[-2]
    site, node_V = network.node_potentials_V(occupied, voltage_V, 0.05)
    means = np.bincount(cells.layer[site], node_V) / np.bincount(cells.layer[site])
    in_order = np.diff(means * np.sign(voltage_V)) < 0
    kept = np.r_[True, in_order] & np.r_[in_order, True]
    assert kept.sum() >= 6
    np.testing.assert_allclose(profile_V[:12][kept], means[kept], atol=1e-12)
    last_nm, oxide_nm = cells.layer_z_m[11], cells.layer_z_m[12:]
    expected = profile_V[11] * (cells.stack_m - oxide_nm) / (cells.stack_m - last_nm)
    np.testing.assert_allclose(profile_V[12:], expected, rtol=1e-12)
    np.testing.assert_allclose(
        network_profile_V(network, occupied, -voltage_V, 0.05), -profile_V, rtol=1e-9
    )


def test_layers_without_nodes_lie_between_their_neighbours():
    network, occupied = column_network(5, [1, 3])
    z_m, whole_m = network.lattice.layer_z_m, network.lattice.stack_m
    profile_V = network_profile_V(network, occupied, 1.0, 0.1)
    assert profile_V[2] == pytest.approx((profile_V[1] + profile_V[3]) / 2)
    assert profile_V[0] == pytest.approx(1 - z_m[0] / z_m[1] * (1 - profile_V[1]))
    assert profile_V[4] == pytest.approx(profile_V[3] * (whole_m - z_m[4]) / (whole_m - z_m[3]))
    empty = network_profile_V(network, np.zeros_like(occupied), 2.0, 0.1)
    np.testing.assert_allclose(empty, 2 * (1 - z_m / whole_m))
    assert not network_profile_V(network, occupied, 0.0, 0.1).any()


def test_pooling_is_the_nearest_falling_sequence():
    weights = np.array([1, 2, 1, 5])
    np.testing.assert_allclose(nearest_decreasing(np.array([4.0, 3, 2, 1]), weights), [4, 3, 2, 1])
    np.testing.assert_allclose(nearest_decreasing(np.array([1.0, 4, 3, 0]), weights), [3, 3, 3, 0])
    np.testing.assert_allclose(nearest_decreasing(np.array([1.0, 1, 5, 7]), weights), [43 / 9] * 4)


# --- screened charge ---------------------------------------------------------------------------


@pytest.mark.parametrize("screening_nm", [0.3, 2.0, 30.0])
@pytest.mark.parametrize("charged", [37, 150, 190])
def test_a_charged_sheet_has_the_potential_of_greens_function(screening_nm, charged):
    """sigma lambda/eps sinh(z</lambda) sinh((D - z>)/lambda)/sinh(D/lambda), in thin layers."""
    layers, stack_m, epsilon = 200, 12e-9, 3.2
    thickness_m = np.full(layers, stack_m / layers)
    sigma = 0.46  # C/m2
    density = np.zeros(layers)
    density[charged] = sigma / thickness_m[0]
    screening_m = screening_nm * 1e-9
    found_V = screened_potential_V(thickness_m, np.full(layers, epsilon), density, screening_m)
    z_m = (np.arange(layers) + 0.5) * thickness_m[0]
    low, high = np.minimum(z_m, z_m[charged]), np.maximum(z_m, z_m[charged])
    exact_V = (
        sigma * screening_m / (epsilon * VACUUM_PERMITTIVITY_F_PER_M)
        * np.sinh(low / screening_m) * np.sinh((stack_m - high) / screening_m)
        / np.sinh(stack_m / screening_m)
    )  # fmt: skip
    away = np.arange(layers) != charged
    np.testing.assert_allclose(found_V[away], exact_V[away], rtol=2e-3)
    # Inside the sheet the potential is smooth over a quarter of its thickness.
    np.testing.assert_allclose(found_V[charged], exact_V[charged], rtol=0.06)


def test_charged_slabs_have_the_potential_of_the_equation_at_any_screening():
    """Compared with finite differences, across a step of the permittivity, also unscreened."""
    thickness_m = np.array([2e-9, 1e-9, 3e-9])
    permittivity, density = np.array([3.0, 3.0, 9.0]), np.array([1e8, -3e8, 2e8])
    fine = 200
    step_m = 5e-12
    cells = np.repeat(np.arange(3), np.round(thickness_m / step_m).astype(int))
    epsilon = permittivity[cells] * VACUUM_PERMITTIVITY_F_PER_M
    centre = [fine, 2 * fine + fine // 2, 3 * fine + 300]
    for screening_m in (1e-10, 5e-10, 2e-9, 1.0):
        between = 2 / (1 / epsilon[:-1] + 1 / epsilon[1:]) / step_m**2
        ends = 2 * epsilon[[0, -1]] / step_m**2
        diagonal = epsilon / screening_m**2 + np.append(between, ends[1])
        diagonal[1:] += between
        diagonal[0] += ends[0]
        matrix = np.diag(diagonal) - np.diag(between, 1) - np.diag(between, -1)
        exact_V = np.linalg.solve(matrix, density[cells])
        expected_V = [(exact_V[k - 1] + exact_V[k]) / 2 for k in centre]
        found_V = screened_potential_V(thickness_m, permittivity, density, screening_m)
        np.testing.assert_allclose(found_V, expected_V, rtol=2e-3)


def test_two_layers_have_the_potential_of_the_same_charge_in_six():
    def found_V(layers):
        each = np.ones(layers)
        return screened_potential_V(2e-9 * each / layers, 3 * each, 1e7 * each, 1e-9)

    np.testing.assert_allclose(found_V(2), found_V(6)[[1, 4]], rtol=1e-12)


def test_the_charge_is_what_has_moved_since_the_start():
    given = inputs({"screening_length": "0.01 nm"})
    device = CrossPoint.build(given, 0, 0, 0, 5)
    feedback = Feedback(device)
    start_V, temperature_K = feedback.potential_and_temperature(0.0, device.occupied_at_start)
    assert not start_V.any() and temperature_K == 76.0
    moved = device.occupied_at_start.copy()
    cells = device.lattice
    taken = np.flatnonzero(moved & (cells.layer == 12))[0]
    put = np.flatnonzero(~moved & (cells.layer == 0))[0]
    moved[taken], moved[put] = False, True
    layer_V = feedback.potential_and_temperature(0.0, moved)[0][:: cells.n_columns]
    # Negative where oxygen has arrived, positive where it has left: rho lambda^2/eps.
    volume_m3 = cells.spacing_m**2 * 10e-9 / 12
    rho = -2 * 1.602176634e-19 / volume_m3 / cells.n_columns
    expected_V = rho * 1e-22 / (3.2 * VACUUM_PERMITTIVITY_F_PER_M)
    assert layer_V[0] == pytest.approx(expected_V, rel=1e-6)
    assert layer_V[12] > 0 and np.abs(layer_V[3:11]).max() < 1e-9 * layer_V[12]
    # It is added to the potential of the voltage.
    np.testing.assert_allclose(
        feedback.potential_and_temperature(2.0, moved)[0]
        - feedback.potential_and_temperature(0.0, moved)[0],
        2 * device.potential_per_volt,
    )


# --- heat --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("nonlinearity", "patches"), [(None, 1), (None, 7), (0.5, 7)])
def test_heating_is_the_power_of_a_patch(nonlinearity, patches):
    given = inputs(
        {"thermal_resistance": "1e6 K/W"},
        conductance={"nonlinearity": nonlinearity, "patches": patches},
    )
    device = CrossPoint.build(given, 0, 0, 0, 5)
    occupied = device.occupied_at_start
    junction_S = device.network.conductance(occupied)
    for voltage_V in (3.0, -3.0):
        potential_V, temperature_K = Feedback(device).potential_and_temperature(voltage_V, occupied)
        if nonlinearity is None:
            power_W = junction_S / patches * voltage_V**2
        else:
            power_W = voltage_V * float(current(junction_S, voltage_V, 0.5)) / patches
        assert temperature_K - 76 == pytest.approx(1e6 * power_W, rel=1e-9)
        assert temperature_K > 76.00001
        np.testing.assert_array_equal(potential_V, device.potential_per_volt * voltage_V)
    assert Feedback(device).potential_and_temperature(0.0, occupied)[1] == 76.0


def test_runaway_is_told_and_what_to_do(tmp_path, capsys):
    from kmc_oxy.cli import main

    simulation = build(inputs({"thermal_resistance": 1e12}))
    with pytest.raises(FeedbackError, match=r"runaway: at 4 V .* 2000 K .*thermal_resistance"):
        drain(simulation)
    source = tmp_path / "hot.yaml"
    source.write_text(
        "device: {lattice: {nx: 4, ny: 4}, feedback: {thermal_resistance: 1e12 K/W}}\n"
        "protocol: [pulse: {voltage: 4 V, duration: 1 ms}]\nensemble: {seed: 1}\n"
    )
    assert main(["run", str(source), "-o", str(tmp_path / "hot.h5"), "-q"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("kmc-oxy: thermal runaway: at 4 V") and "--debug" not in said


def test_the_engine_takes_a_temperature_with_its_potential():
    """Hops of a pair of sites at another temperature: those of an engine made at it."""
    land = Landscape([0.0, 0.02], [(0, 1)], [0.05], charge_e=-2)
    hops = []
    for made_K, set_K in ((76.0, 110.0), (110.0, None)):
        engine = Engine(land, [True, False], temperature_K=made_K, seed=3)
        engine.set_potential(np.zeros(2), set_K)
        engine.advance(1e-7)
        assert engine.temperature_K == 110.0
        hops.append(engine.hops)
    assert hops[0] == hops[1] > 100
    # The same potential at another temperature has another table of rates.
    engine.set_potential(np.zeros(2), 60.0)
    before = engine.hops
    engine.advance(1e-7)
    assert engine.hops - before < hops[0] / 10
    taken_up = Engine.from_state(land, engine.state_dict())
    assert taken_up.temperature_K == 60.0
    with pytest.raises(ValueError, match="'temperature_K'"):
        engine.set_potential(np.zeros(2), 0.0)
    assert engine.temperature_K == 60.0


# --- cells ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("nothing", [{"thermal_resistance": 1e-30}, {"screening_length": 1e-25}])
def test_a_feedback_of_no_effect_changes_no_byte(nothing):
    """Its intervals end at the ends of the windows of the cap."""
    assert_same(drain(build(inputs())), drain(build(inputs(nothing))))


def test_a_cell_takes_it_anew_at_edges_and_at_the_ends_of_windows(monkeypatch):
    asked, original = [], Feedback.potential_and_temperature

    def spy(self, voltage_V, occupied):
        asked.append((voltage_V, simulation.cells[0].engine.time_s))
        return original(self, voltage_V, occupied)

    monkeypatch.setattr(Feedback, "potential_and_temperature", spy)
    given = inputs(ALL, [{"pulse": {"voltage": 4, "duration": "10 ms", "rest": None}}])
    simulation = build(given)
    drain(simulation)
    moments = [0.0]
    while (end_s := interval_end_s(moments[-1], 1e-4)) < 10e-3:
        moments.append(end_s)
    assert [volts for volts, _ in asked] == [4.0] * len(moments)
    np.testing.assert_allclose([time_s for _, time_s in asked], moments, rtol=1e-9)
    # The edge is that of the lines: the cap counts from it.
    assert simulation.cells[0].age_s == pytest.approx(10e-3)


def test_a_change_too_small_for_the_rates_is_not_applied(monkeypatch):
    changes, original = [], Feedback.log_rate_change

    def spy(self, engine, potential_V, temperature_K):
        change = original(self, engine, potential_V, temperature_K)
        if changes and engine.since_edge_s > 0:
            # The bound holds for every bond.
            device = self._device
            before, after = (
                np.log(device.landscape.rates(p, t, 1e13))
                for p, t in (
                    (engine.potential_V, engine.temperature_K), (potential_V, temperature_K)
                )
            )  # fmt: skip
            assert np.abs(after - before).max() <= change * (1 + 1e-9)
        changes.append((change, engine.potential_V is potential_V))
        return change

    monkeypatch.setattr(Feedback, "log_rate_change", spy)
    edges, set_potential = [], Engine.set_potential
    monkeypatch.setattr(
        Engine, "set_potential", lambda self, *felt: (edges.append(1), set_potential(self, *felt))
    )
    simulation = build(inputs(ALL))
    edges.clear()
    drain(simulation)
    applied = sum(change > RATE_TOLERANCE for change, _ in changes)
    assert 0 < applied <= len(edges) <= applied + 6 < len(changes)


@pytest.mark.parametrize("calls", [3, 7, 20])
def test_interrupted_anywhere_it_goes_on_bit_for_bit(calls, tmp_path, monkeypatch):
    given = inputs(ALL)
    whole = drain(build(given))
    # Short kernel calls: many of them within an interval.
    monkeypatch.setattr("kmc_oxy.physics.engine.TRIALS_PER_CALL", 1 << 6)
    simulation = build(given)
    middles = 0
    while not simulation.done:
        run = simulation.run()
        for _ in range(calls):
            if next(run, "end") == "end":
                break
        middles += simulation.cells[0].begun
        path = tmp_path / "state.npz"
        with open(path, "wb") as file:
            write_tree(file, simulation.state_dict())
        simulation = Simulation.from_state(
            given,
            simulation.schedule,
            read_tree(path),
            TaskParameters(point=0, member=0, seed=5, tolerance=0.1),
        )
    assert middles > 0
    assert_same(simulation.record, whole)


def test_cells_of_a_coupled_array_follow_the_circuit_and_themselves():
    given = inputs(
        {"screening_length": "0.01 nm", "thermal_resistance": 1e-3},
        [{"pulse": {"voltage": -4, "duration": "1 ms"}}, {"map": {}}],
        crossbar={"rows": 2, "columns": 2, "line_resistance": 1e3},
        conductance={"patches": 10**4},
    )
    record = drain(build(given))
    assert (np.abs(record["cell_voltage"][..., 0]) < 3.9999).all()
    assert np.isfinite(record["apparent_conductance"][..., -1]).all()


# --- input ---------------------------------------------------------------------------------------


def test_it_is_off_by_default():
    assert not inputs().device.feedback.is_on
    for one in ({"potential": "network"}, {"screening_length": 1e-12}, {"thermal_resistance": 1}):
        assert inputs(one).device.feedback.is_on


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("device: {feedback: {potential: self}}", "prescribed"),
        ("device: {feedback: {screening_length: 0 nm}}", "must be greater than 0 m"),
        ("device: {feedback: {thermal_resistance: 1 ohm}}", "is a resistance, not a thermal res"),
        ("device: {feedback: {thermal_resistance: -1}}", "must be at least 0 K/W"),
        ("device: {feedback: {potential: network, link_nonlinearity: 5 mV}}",
         "device.feedback.link_nonlinearity: must be at least 1/500 of the 4 V"),
        ("device: {feedback: {thermal_resistance: 1}}\nconductance: {nonlinearity: 5 mV}",
         "conductance.nonlinearity: must be at least 1/500 of the 4 V"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(text, message):
    train = "train: {voltage: -4 V, duration: 1 ms, count: 2}"
    protocol = "\nprotocol: [repeat: {count: 2, steps: [" + train + "]}]"
    with pytest.raises(InputError) as caught:
        inputs_of.loads(text + protocol)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("step", "largest_V"),
    [
        ({"read": {"voltage": -0.3}}, 0.3),
        ({"pulse": {"voltage": 1, "duration": 1, "rest": {"voltage": -3}}}, 3.0),
        ({"pulse": {"voltage": 1, "duration": 1, "rest": None}}, 1.0),
        ({"sweep": {"amplitude": -2}}, 2.0),
        ({"sweep": {"to": [1, -5, 0]}}, 5.0),
        ({"program": {"cell": [0, 0], "voltage": 2, "target": 1e-9, "reverse": -6}}, 6.0),
        ({"vector_matrix": {"inputs": [0.1, -0.4]}}, 0.5),
        ({"map": {}}, 0.0),
        ({"field_sweep": {"voltage": 0.2}}, 0.2),
        ({"relax": {"voltage": 0.7, "duration": 1}}, 0.7),
        ({"repeat": {"count": 1, "steps": [{"read": {"voltage": 8}}]}}, 8.0),
    ],
)
def test_the_largest_voltage_of_every_kind_of_step(step, largest_V):
    given = inputs(protocol=[step], crossbar={"rows": 1, "columns": 2})
    assert largest_span(given.protocol)[0] == largest_V


def test_the_limit_of_the_input_is_that_of_the_solver():
    network, occupied = column_network(3, [1])
    for ratio, refused in ((0.99 * MAX_RATIO, False), (1.01 * MAX_RATIO, True)):
        feedback = {"potential": "network", "link_nonlinearity": 4 / ratio}
        for taken in (
            lambda feedback=feedback: inputs(feedback),
            lambda ratio=ratio: network.node_potentials_V(occupied, 4.0, 4 / ratio),
        ):
            with pytest.raises(ValueError) if refused else nullcontext():
                taken()


def test_the_limit_rounds_alike_in_the_input_and_the_solver():
    voltage_V = 0.6105146924340767
    feedback = {"potential": "network", "link_nonlinearity": voltage_V / MAX_RATIO}
    assert voltage_V / feedback["link_nonlinearity"] > MAX_RATIO
    with pytest.raises(ValueError, match="link_nonlinearity"):
        inputs(feedback, protocol=[{"read": {"voltage": voltage_V}}])


def test_a_pulse_with_a_network_runs_from_yaml(tmp_path):
    from kmc_oxy.cli import main

    source, output = tmp_path / "in.yaml", tmp_path / "out.h5"
    source.write_text(
        "device: {lattice: {nx: 6, ny: 6}, feedback: {potential: network}}\n"
        "protocol: [pulse: {voltage: 4 V, duration: 10 ms}]\n"
        "scan: {device.feedback.link_nonlinearity: [20 mV, 1 V]}\n"
        "ensemble: {seed: 1}\n"
    )
    assert main(["run", str(source), "-o", str(output), "-q"]) == 0
    with open_output(output) as file:
        values = file["conductance"][:, 0, 0, 0, :]
        assert (values > 0).all() and (values[0] != values[1]).all()
