"""The exact reference itself, against closed forms and a general matrix exponential."""

import numpy as np
import pytest
from instances import any_shape, box_bonds
from master_equation import MasterEquation
from scipy.linalg import expm


@pytest.mark.parametrize("number", range(6))
def test_agrees_with_matrix_exponential_where_rates_are_mild(number):
    rng = np.random.default_rng([11, number])
    instance = any_shape(
        rng, barrier_range_eV=(0.0, 0.1), tilt_eV=0.03, disorder_eV=0.02, temperature_K=300.0
    )
    k_ij, k_ji = instance.rates(1.0)
    rates = instance.master.rate_matrix(k_ij, k_ji)
    start = instance.master.certain(instance.start)
    duration_s = 5.0 / k_ij.max()
    generator = rates - np.diag(rates.sum(axis=1))
    ours = instance.master.propagate(start, k_ij, k_ji, duration_s, (1, 0))
    np.testing.assert_allclose(ours[0], start @ expm(generator * duration_s / 2), atol=1e-13)
    np.testing.assert_allclose(ours[1], start @ expm(generator * duration_s), atol=1e-13)


@pytest.mark.parametrize("decades", [0, 10, 20, 30])
def test_two_sites_closed_form(decades):
    k, back = 3e12 * 10.0**-decades, 1e12 * 10.0**-decades
    master = MasterEquation(2, [(0, 1)], 1)
    for duration_s in (1e-13, 1e-3, 1e5, 1e20):
        moved = master.propagate(master.certain([True, False]), [k], [back], duration_s)[0]
        exact = k / (k + back) * -np.expm1(-(k + back) * duration_s)
        assert moved[master.index_of([False, True])] == pytest.approx(exact, rel=1e-11)


def test_slow_exit_survives_thirty_decades_of_flicker():
    """A flickering pair with an exit 1e-30 as fast: it is left at the exit rate times its share."""
    master = MasterEquation(3, [(0, 1), (1, 2)], 1)
    flick, flock, leave = 1e13, 3e13, 1e-17
    for duration_s in (1e10, 1e17, 1e18):
        p = master.propagate(
            master.certain([True, False, False]), [flick, leave], [flock, 0.0], duration_s
        )[0]
        rate = leave * flick / (flick + flock)
        gone = p[master.index_of([False, False, True])]
        assert gone == pytest.approx(-np.expm1(-rate * duration_s), rel=1e-11)


def test_exclusion_and_conservation():
    """Independent of disorder, a full lattice is one configuration and a hole moves like a
    particle."""
    bonds = box_bonds((2, 3))
    rng = np.random.default_rng(5)
    k, back = rng.uniform(1, 2, (2, len(bonds)))
    assert MasterEquation(6, bonds, 6).n_configurations == 1
    one, five = MasterEquation(6, bonds, 1), MasterEquation(6, bonds, 5)
    start = np.arange(6) == 2
    particle = one.occupation(one.propagate(one.certain(start), k, back, 0.4)[0])
    # A hole goes from i to j when a particle goes from j to i.
    hole = 1 - five.occupation(five.propagate(five.certain(~start), back, k, 0.4)[0])
    np.testing.assert_allclose(particle, hole, atol=1e-13)
    assert particle.sum() == pytest.approx(1.0, rel=1e-13)


def test_equilibrium_is_stationary_and_is_reached():
    rng = np.random.default_rng(6)
    instance = any_shape(rng, barrier_range_eV=(0.0, 0.3), tilt_eV=0.05, disorder_eV=0.03)
    canonical = instance.master.equilibrium(instance.energy_eV(1.0), 76.0)
    reached = instance.exact([1.0], 1e40, [0])[0, 0]
    np.testing.assert_allclose(reached, canonical, rtol=1e-9, atol=1e-300)


def test_chi_squared_tells_right_from_wrong():
    """P-values of true samples are uniform; a tenth of the weight misplaced is always seen."""
    rng = np.random.default_rng(7)
    master = MasterEquation(6, box_bonds((6,)), 2)
    p = rng.dirichlet(np.full(master.n_configurations, 0.5))
    values = [master.chi_squared_p(rng.multinomial(4000, p), p) for _ in range(400)]
    assert 0.3 < np.mean(np.array(values) < 0.5) < 0.7
    assert np.mean(np.array(values) < 0.01) < 0.04
    wrong = 0.9 * p + 0.1 * np.roll(p, 3)
    assert max(master.chi_squared_p(rng.multinomial(4000, wrong), p) for _ in range(50)) < 1e-4
    impossible = np.zeros(master.n_configurations)
    impossible[0] = 1.0
    assert master.chi_squared_p(rng.multinomial(4000, p), impossible) < 1e-4
