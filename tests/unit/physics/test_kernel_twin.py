"""The compiled kernel against its plain twin, draw by draw."""

import itertools

import numpy as np
import pytest
from twin import Twin

from kmc_oxy.physics import Engine, Landscape, Lattice
from kmc_oxy.physics import engine as engine_module


def graph(kind, rng):
    if kind == "lattice":
        lattice = Lattice(4, 3, 3, 1, 1e-9, 3e-9, 1e-9)
        return lattice.n_sites, lattice.bonds
    if kind == "chain":
        return 30, np.array([(i, i + 1) for i in range(29)])
    if kind == "complete":  # degree 8: the path of any degree
        return 9, np.array(list(itertools.combinations(range(9), 2)))
    n = 20  # "random": triangles, and degrees up to about 10, so two vectors of logarithms
    pairs = np.array(list(itertools.combinations(range(n), 2)))
    return n, pairs[rng.random(len(pairs)) < 0.25]


@pytest.mark.parametrize("kind", ["lattice", "chain", "complete", "random"])
@pytest.mark.parametrize(("tolerance", "reach"), [(None, 2), (0.9, 1), (0.9, 2)])
@pytest.mark.parametrize("seed", range(2))
def test_same_hops_as_the_twin(kind, tolerance, reach, seed):
    rng = np.random.default_rng(seed)
    n, bonds = graph(kind, rng)
    barrier = rng.uniform(0, 0.3, len(bonds))
    land = Landscape(rng.normal(0, 0.03, n), bonds, barrier, charge_e=-1)
    occupied = np.zeros(n, bool)
    occupied[rng.choice(n, n // 4, replace=False)] = True
    potential = rng.normal(0, 0.05, n)
    duration_s = 2e-10 if tolerance is None else 1.9e-4
    temperature_K = 300.0
    engine = Engine(
        land,
        occupied,
        temperature_K=temperature_K,
        seed=seed,
        stream=(3,),
        tolerance=tolerance,
        reach=reach,
    )
    bit_generator_state = engine.state_dict()["bit_generator"]
    engine.set_potential(potential)
    rates = land.rates(potential, temperature_K, 1e13)
    windows = [None]
    edges = [0.0, duration_s]
    if tolerance is not None:
        numbers = range(-16, -14)  # windows from 10^(-16/4) s on, as documented in the engine
        windows = [round(16 * (np.log2(1 / tolerance) - k * np.log2(10) / 4)) for k in numbers]
        edges = [0.0, 10 ** (-15 / 4), duration_s]
        engine.advance(duration_s, resolution_s=10 ** (-16 / 4))
    else:
        engine.advance(duration_s)

    twin = Twin(n, land.bonds, *rates, occupied, bit_generator_state, gamma=windows[0], reach=reach)
    for number, gamma in enumerate(windows):
        if number:
            twin.lower_gamma(gamma)
        twin.run(edges[number + 1] - edges[number])

    assert engine.hops == twin.hops
    assert engine.trials == twin.trials
    assert engine.hops > 30
    assert engine.occupied.tolist() == twin.occupied
    state = engine.state_dict()
    listed = [x for g in range(1024) for x in twin.members[g]]
    assert state["kernel_members"].tolist() == listed
    assert state["kernel_anchor"] == twin.anchor


@pytest.mark.parametrize("tolerance", [None, 0.9])
def test_an_edge_leaves_no_trace_of_the_rates_before(tolerance):
    rng = np.random.default_rng(5)
    n, bonds = graph("lattice", rng)
    land = Landscape(rng.normal(0, 0.03, n), bonds, rng.uniform(0, 0.3, len(bonds)), charge_e=-1)
    occupied = np.zeros(n, bool)
    occupied[rng.choice(n, n // 4, replace=False)] = True
    engine = Engine(land, occupied, temperature_K=300.0, tolerance=tolerance)
    for volts in (0.2, -0.2, 0.2):
        engine.set_potential(np.linspace(0, volts, n))
        engine.advance(1e-10)
    alone = Engine(land, engine.occupied, temperature_K=300.0, tolerance=tolerance)
    alone.set_potential(np.linspace(0, -0.3, n))
    engine.set_potential(np.linspace(0, -0.3, n))
    for each in (engine, alone):
        each.advance(1e-30)  # enters the window, and makes no hop
    assert engine.occupied.tolist() == alone.occupied.tolist()
    assert engine._kernel.total_rate == alone._kernel.total_rate


@pytest.mark.parametrize("uniform", [False, True])
def test_links_and_shared_rows_change_nothing(monkeypatch, uniform):
    """What large lattices are kept as: the same hops as with a row of neighbours a site."""
    rng = np.random.default_rng(8)
    lattice = Lattice(8, 8, 9, 1, 1e-9, 9e-9, 1e-9)
    n, bonds = lattice.n_sites, lattice.bonds
    barrier = np.full(len(bonds), 0.1) if uniform else rng.uniform(0, 0.3, len(bonds))
    land = Landscape(np.zeros(n), bonds, barrier, charge_e=-1)
    occupied = rng.random(n) < 0.4
    potential = 0.005 * lattice.layer
    states = []
    for patterns_from in (n + 1, n):
        monkeypatch.setattr(engine_module, "PATTERNS_FROM", patterns_from)
        engine = Engine(land, occupied, temperature_K=300.0)
        assert (engine._graph.path > 6) == (patterns_from == n)
        engine.set_potential(potential)
        assert (engine._table.nbytes < 8 * n) == (uniform and patterns_from == n)
        engine.advance(1e-10)
        engine.set_potential(-potential)
        engine.advance(1e-10)
        assert engine.hops > 300
        states.append(engine.state_dict())
    first, second = states
    for key, value in first.items():
        np.testing.assert_array_equal(value, second[key], err_msg=key)
