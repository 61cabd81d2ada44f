"""A free oxygen on a periodic single-barrier lattice: diffusion, drift and Einstein's relation.

Displacements in units of the lattice spacing a. Each axis is a walk of its own, of which the
displacement is Skellam distributed: mean (k+ - k-) t, variance (k+ + k-) t, fourth central moment
3 variance^2 + variance.
"""

import numpy as np
import pytest
from instances import ATTEMPT_FREQUENCY_HZ, box_bonds

from kmc_oxy.physics import Engine, Landscape
from kmc_oxy.units import BOLTZMANN_EV_PER_K

TEMPERATURE_K = 76.0
BARRIER_EV = 0.1
THERMAL_EV = BOLTZMANN_EV_PER_K * TEMPERATURE_K
CHARGE_E = -2.0
RATE_HZ = ATTEMPT_FREQUENCY_HZ * np.exp(-BARRIER_EV / THERMAL_EV)
COPIES = 2500
DEVIATIONS = 4.0


def walk(shape, periodic, tilt_eV, hops_per_direction, seed):
    """Displacement of a lone oxygen per copy and axis after `hops_per_direction` / k seconds.

    The tilt is along the first axis, and the start in the middle of the box. Periodic axes are
    unwrapped step by step: seven sites are wide enough for steps of a tenth of a hop.
    """
    n_sites = int(np.prod(shape))
    bonds = box_bonds(shape, periodic)
    shift = n_sites * np.arange(COPIES)[:, None, None]
    land = Landscape(
        np.zeros(n_sites * COPIES),
        (bonds + shift).reshape(-1, 2),
        np.full(len(bonds) * COPIES, BARRIER_EV),
        CHARGE_E,
    )
    middle = tuple(extent // 2 for extent in shape)
    occupied = np.zeros((COPIES, *shape), dtype=bool)
    occupied[(slice(None), *middle)] = True
    engine = Engine(land, occupied.ravel(), TEMPERATURE_K, ATTEMPT_FREQUENCY_HZ, seed=seed)
    drop_eV = np.broadcast_to(tilt_eV * np.arange(shape[0])[:, None, None], shape)
    engine.set_potential(np.tile(-drop_eV.ravel() / CHARGE_E, COPIES))
    steps = int(np.ceil(hops_per_direction / 0.1))
    place, moved = np.array(middle), np.zeros((COPIES, 3), dtype=int)
    width = np.array(shape)
    for _ in range(steps):
        engine.advance(hops_per_direction / steps / RATE_HZ)
        site = np.flatnonzero(engine.occupied) - n_sites * np.arange(COPIES)
        now = np.stack(np.unravel_index(site, shape), axis=1)
        jump = now - place
        moved += np.where(periodic, (jump + width // 2) % width - width // 2, jump)
        place = now
    return moved


@pytest.mark.parametrize("hops_per_direction", [0.3, 3.0])
def test_mean_square_displacement(hops_per_direction):
    """<x^2> = 2 k t a^2 per axis, and no drift at rest."""
    moved = walk((7, 7, 7), (True, True, True), 0.0, hops_per_direction, seed=61)
    variance = 2.0 * hops_per_direction
    error = np.sqrt((2.0 * variance**2 + variance) / COPIES)
    for axis in range(3):
        assert abs((moved[:, axis] ** 2).mean() - variance) < DEVIATIONS * error
        assert abs(moved[:, axis].mean()) < DEVIATIONS * np.sqrt(variance / COPIES)


@pytest.mark.parametrize("tilt_eV", [0.005, 0.02])
def test_drift_and_einstein_relation(tilt_eV):
    """Drift a (k+ - k-) along the field; mobility over diffusion is 1/kT.

    A step of energy w along the field divides the saddle equally, k+- = k exp(+-w/2kT), so
    mean/variance = tanh(w/2kT), which is Einstein's relation at small fields.
    """
    hops = 2.0
    along = walk((41, 3, 3), (False, True, True), tilt_eV, hops, seed=62)[:, 0]
    up, down = np.exp(tilt_eV / 2 / THERMAL_EV), np.exp(-tilt_eV / 2 / THERMAL_EV)
    mean, variance = (up - down) * hops, (up + down) * hops
    spread = np.sqrt((2.0 * variance**2 + variance) / COPIES)
    assert abs(along.mean() - mean) < DEVIATIONS * np.sqrt(variance / COPIES)
    assert abs(((along - mean) ** 2).mean() - variance) < DEVIATIONS * spread
    ratio = along.mean() / along.var()
    error = np.hypot(np.sqrt(variance / COPIES) / variance, ratio * spread / variance)
    assert abs(ratio - np.tanh(tilt_eV / 2 / THERMAL_EV)) < DEVIATIONS * error


def test_lone_oxygen_beside_others_is_slowed_by_exclusion():
    """On a line, exclusion keeps the order of oxygens and their spread stays below that of a free
    one: single-file diffusion."""
    length, copies = 31, 1500
    bonds = box_bonds((length,), (False,))
    shift = length * np.arange(copies)[:, None, None]
    land = Landscape(
        np.zeros(length * copies),
        (bonds + shift).reshape(-1, 2),
        np.full(len(bonds) * copies, BARRIER_EV),
        CHARGE_E,
    )
    occupied = np.zeros((copies, length), dtype=bool)
    occupied[:, 1::2] = True
    engine = Engine(land, occupied.ravel(), TEMPERATURE_K, ATTEMPT_FREQUENCY_HZ, seed=63)
    engine.advance(4.0 / RATE_HZ)
    state = engine.occupied.reshape(copies, length)
    middle = np.nonzero(state)[1].reshape(copies, -1)[:, 7]  # order is kept: the same oxygen
    assert ((middle - 15) ** 2).mean() < 0.5 * 2 * 4.0
