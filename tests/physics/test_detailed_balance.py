"""Rates against the landscape's formula in 60-digit arithmetic: detailed balance, 66 decades."""

from decimal import Decimal, localcontext

import numpy as np
import pytest

from kmc_oxy.physics import Landscape
from kmc_oxy.units import BOLTZMANN_EV_PER_K

RELATIVE = 1e-12
ATTEMPT_HZ = 1e13


def pairs(rng, count, offset_eV, energy_eV, barrier_eV, drop_V):
    """`count` independent bonds: a landscape, its potential and both ends of each bond."""
    site_energy = offset_eV + rng.uniform(-energy_eV, energy_eV, 2 * count)
    bonds = np.arange(2 * count).reshape(count, 2)
    barrier = rng.uniform(0.0, barrier_eV, count)
    barrier[rng.random(count) < 0.1] = 0.0
    potential = rng.uniform(-drop_V, drop_V, 2 * count)
    potential[rng.random(2 * count) < 0.1] = 0.0
    charge = float(rng.choice([-2.0, -1.0, 1.0]))
    return Landscape(site_energy, bonds, barrier, charge), potential


def exact_rates(land, potential, temperature_K):
    """(k_ij, k_ji, k_ij/k_ji) of every bond from the exact values of the given doubles."""
    with localcontext() as context:
        context.prec = 60
        thermal = Decimal(BOLTZMANN_EV_PER_K) * Decimal(temperature_K)
        charge, nu = Decimal(land.charge_e), Decimal(ATTEMPT_HZ)
        rows = []
        for (i, j), barrier in zip(land.bonds, land.barrier_eV, strict=True):
            rest_i, rest_j = Decimal(land.site_energy_eV[i]), Decimal(land.site_energy_eV[j])
            phi_i, phi_j = Decimal(potential[i]), Decimal(potential[j])
            e_i, e_j = rest_i + charge * phi_i, rest_j + charge * phi_j
            saddle = max(rest_i, rest_j) + Decimal(barrier) + charge * (phi_i + phi_j) / 2
            saddle = max(saddle, e_i, e_j)
            k_ij = nu * (-(saddle - e_i) / thermal).exp()
            k_ji = nu * (-(saddle - e_j) / thermal).exp()
            rows.append((k_ij, k_ji, (-(e_j - e_i) / thermal).exp()))
        return rows


def worst_errors(land, potential, temperature_K):
    """Largest relative error of k_ij/k_ji and of the rates, and the decades that these span."""
    k_ij, k_ji = land.rates(potential, temperature_K, ATTEMPT_HZ)
    ratio_error, rate_error, decades = 0.0, 0.0, []
    with localcontext() as context:
        context.prec = 60
        exact = exact_rates(land, potential, temperature_K)
        for ours, back, (want, want_back, ratio) in zip(k_ij, k_ji, exact, strict=True):
            got = Decimal(float(ours)) / Decimal(float(back))
            ratio_error = max(ratio_error, float(abs(got / ratio - 1)))
            rate_error = max(
                rate_error,
                float(abs(Decimal(float(ours)) / want - 1)),
                float(abs(Decimal(float(back)) / want_back - 1)),
            )
            decades += [float(want.log10()), float(want_back.log10())]
    return ratio_error, rate_error, max(decades) - min(decades)


@pytest.mark.parametrize(
    ("name", "temperature_K", "scales"),
    [
        # offset, site energy, barrier, potential drop
        ("no field", 76.0, (0.0, 0.03, 1.0, 0.0)),
        ("device", 76.0, (-0.5, 0.1, 1.0, 0.1)),
        ("barriers smeared out", 76.0, (0.0, 0.03, 0.3, 0.25)),
        ("all barriers smeared out", 76.0, (0.0, 0.01, 0.0, 0.25)),
        ("small energies", 76.0, (0.0, 1e-9, 1e-9, 1e-9)),
        ("huge common offset", 76.0, (1024.0, 0.2, 1.0, 0.1)),
        ("room temperature, high barriers", 300.0, (0.0, 0.5, 3.0, 0.5)),
        ("hot", 5000.0, (0.0, 10.0, 30.0, 10.0)),
    ],
)
def test_detailed_balance_and_formula(name, temperature_K, scales):
    rng = np.random.default_rng([21, len(name)])
    land, potential = pairs(rng, 300, *scales)
    ratio_error, rate_error, _ = worst_errors(land, potential, temperature_K)
    assert ratio_error < RELATIVE
    assert rate_error < RELATIVE


def test_detailed_balance_over_66_decades():
    """One set whose rates span the paper's whole range, barriers smeared out and not."""
    rng = np.random.default_rng(22)
    land, potential = pairs(rng, 1500, 0.0, 0.05, 1.0, 0.12)
    ratio_error, rate_error, decades = worst_errors(land, potential, 76.0)
    assert decades > 66
    assert ratio_error < RELATIVE
    assert rate_error < RELATIVE
    step = np.abs(np.diff(land.energy_eV(potential).reshape(-1, 2), axis=1)[:, 0])
    # The set holds both kinds: with the saddle above both ends, and with the field above it.
    k_ij, k_ji = land.rates(potential, 76.0, ATTEMPT_HZ)
    activationless = np.maximum(k_ij, k_ji) == ATTEMPT_HZ
    assert 50 < activationless.sum() < 1450
    assert step.max() > 0.25


def test_field_beyond_the_barrier_is_activationless():
    """Figure 5c: once half the drop exceeds the barrier, the downhill hop runs at nu, no faster."""
    land = Landscape([0.0, 0.0], [(0, 1)], [0.1], charge_e=-2.0)
    for drop_eV in (0.2, 0.21, 0.5, 1.0):
        k_ij, k_ji = land.rates([0.0, drop_eV / 2.0], 76.0, ATTEMPT_HZ)
        assert k_ij[0] == pytest.approx(ATTEMPT_HZ, rel=1e-12)
        thermal = BOLTZMANN_EV_PER_K * 76.0
        assert k_ji[0] == pytest.approx(ATTEMPT_HZ * np.exp(-drop_eV / thermal), rel=1e-12)


def test_a_bond_has_no_direction():
    """Naming a bond (j, i) swaps its two rates."""
    rng = np.random.default_rng(23)
    land, potential = pairs(rng, 500, 0.3, 0.1, 0.5, 0.2)
    mirrored = Landscape(land.site_energy_eV, land.bonds[:, ::-1], land.barrier_eV, land.charge_e)
    k_ij, k_ji = land.rates(potential, 76.0, ATTEMPT_HZ)
    m_ij, m_ji = mirrored.rates(potential, 76.0, ATTEMPT_HZ)
    np.testing.assert_allclose(k_ij, m_ji, rtol=RELATIVE)
    np.testing.assert_allclose(k_ji, m_ij, rtol=RELATIVE)


def test_tunnelling_floor_keeps_the_ratio():
    rng = np.random.default_rng(24)
    plain, potential = pairs(rng, 300, 0.0, 0.05, 1.0, 0.1)
    floor = Landscape(
        plain.site_energy_eV, plain.bonds, plain.barrier_eV, plain.charge_e, tunnel_rate_Hz=1e-3
    )
    k_ij, k_ji = floor.rates(potential, 76.0, ATTEMPT_HZ)
    with localcontext() as context:
        context.prec = 60
        for ours, back, (_, _, ratio) in zip(
            k_ij, k_ji, exact_rates(plain, potential, 76.0), strict=True
        ):
            assert abs(Decimal(float(ours)) / Decimal(float(back)) / ratio - 1) < RELATIVE
    assert np.maximum(k_ij, k_ji).min() >= 1e-3
