"""Occupation in equilibrium is canonical, exclusion included, in both modes."""

import numpy as np
import pytest
from instances import any_shape, box, dense_cube, strip

CONFIDENCE = 1e-4
COPIES = 20_000  # a ratio of occupations wrong by five percent is seen


def canonical_start(instance, drive, copies, rng):
    """Configurations of `copies` copies drawn from the canonical ensemble, shape (copies, n)."""
    weights = instance.master.equilibrium(instance.energy_eV(drive), instance.temperature_K)
    drawn = rng.choice(instance.master.n_configurations, size=copies, p=weights)
    return instance.master.configurations[drawn], weights


@pytest.mark.parametrize("number", range(8))
def test_exact_mode_reaches_the_canonical_ensemble(number):
    """From one configuration, for many relaxation times (the exact solution says how many)."""
    rng = np.random.default_rng([41, number])
    instance = any_shape(
        rng, barrier_range_eV=(0.0, 0.08), tilt_eV=0.01, disorder_eV=0.02, temperature_K=300.0
    )
    canonical = instance.master.equilibrium(instance.energy_eV(1.0), 300.0)
    duration_s = 1e-12
    while np.abs(instance.exact([1.0], duration_s, [0])[0, 0] - canonical).max() > 1e-5:
        duration_s *= 2.0
    occupied, _ = instance.simulate(COPIES, number, None, [1.0], duration_s, [0])
    p_value = instance.master.chi_squared_p(instance.master.counts(occupied[0, 0]), canonical)
    assert p_value > CONFIDENCE


@pytest.mark.parametrize("filling", [1, 4, 7, 11])
def test_exclusion_shapes_the_occupation(filling):
    """A box of 12 sites with deep and shallow ones: from one oxygen to one hole. Without
    exclusion the deep sites would hold several."""
    rng = np.random.default_rng([42, filling])
    instance = box(
        rng,
        (2, 2, 3),
        filling,
        barrier_range_eV=(0.0, 0.02),
        tilt_eV=0.0,
        disorder_eV=0.05,
        temperature_K=300.0,
    )
    canonical = instance.master.equilibrium(instance.site_energy_eV, 300.0)
    exact = instance.exact([0.0], 1e-8, [0])[0, 0]
    np.testing.assert_allclose(exact, canonical, atol=1e-6)
    occupied, _ = instance.simulate(2000, filling, None, [0.0], 2e-11, [0])
    # The short run is compared with its own exact solution; the canonical one is 1e-2 away at most.
    exact = instance.exact([0.0], 2e-11, [0])[0, 0]
    master = instance.master
    assert master.chi_squared_p(master.counts(occupied[0, 0]), exact) > CONFIDENCE
    assert np.abs(master.occupation(exact) - master.occupation(canonical)).max() < 0.01


@pytest.mark.parametrize("make", [strip, dense_cube, any_shape])
@pytest.mark.parametrize("number", range(2))
@pytest.mark.parametrize("reach", [1, 2])
def test_the_cap_never_leaves_equilibrium(make, number, reach):
    """Drawn from the canonical ensemble, copies stay canonical at any tolerance, in every window,
    even one far too loose to follow any dynamics: the cap keeps detailed balance.

    Site energies differ by about kT, so that many configurations have weight.
    """
    copies = 10_000
    rng = np.random.default_rng([43, number])
    instance = make(rng, barrier_range_eV=(0.0, 0.3), tilt_eV=0.004, disorder_eV=0.006)
    start, canonical = canonical_start(instance, 1.0, copies, rng)
    occupied, hops = instance.simulate(
        copies, number, 0.4, [1.0], 1e-4, [7, 0], 1e-6, occupied=start, reach=reach
    )
    for state in occupied[0]:
        p_value = instance.master.chi_squared_p(instance.master.counts(state), canonical)
        assert p_value > CONFIDENCE / 10
    assert hops > 0
