r"""Closed forms of logarithmic growth and ageing, from many independent two-site systems.

Rates flat in the logarithm between l_min and l_max over L = ln(l_max/l_min). With
:math:`\mathrm{Ein}(x) = E_1(x) + \ln x + 0.5772`:

- growth from rest, :math:`[\mathrm{Ein}(l_{max} t) - \mathrm{Ein}(l_{min} t)]/L`, which between the
  two ends is :math:`[0.5772 + \ln(l_{max} t)]/L`
- ageing (drive for tw, then wait t), :math:`[E_1(l_{min} t) - E_1(l_{max} t) - E_1(l_{min}(t+tw))
  + E_1(l_{max}(t+tw))]/L`, which tends to :math:`\ln(1 + tw/t)/L`
"""

import numpy as np
import pytest
from instances import ATTEMPT_FREQUENCY_HZ
from scipy.special import exp1

from kmc_oxy.physics import Engine, Landscape
from kmc_oxy.units import BOLTZMANN_EV_PER_K

SYSTEMS = 40_000
TEMPERATURE_K = 76.0
THERMAL_EV = BOLTZMANN_EV_PER_K * TEMPERATURE_K
CHARGE_E = -2.0
LOW_EV, HIGH_EV = 0.15, 0.7
DEVIATIONS = 4.0
MODES = pytest.mark.parametrize("tolerance", [None, 0.1])


def growth(t, fastest, slowest):
    """<1 - exp(-l t)>."""
    return (
        exp1(fastest * t) + np.log(fastest * t) - exp1(slowest * t) - np.log(slowest * t)
    ) / np.log(fastest / slowest)


def ageing(t, waited, fastest, slowest):
    """<(1 - exp(-l tw)) exp(-l t)>."""
    return (
        exp1(slowest * t)
        - exp1(fastest * t)
        - exp1(slowest * (t + waited))
        + exp1(fastest * (t + waited))
    ) / np.log(fastest / slowest)


def two_site_systems(seed, tolerance):
    """An engine of independent two-site systems with flat barriers, all oxygens on site 0."""
    bonds = np.arange(2 * SYSTEMS).reshape(SYSTEMS, 2)
    barrier = np.random.default_rng(seed).uniform(LOW_EV, HIGH_EV, SYSTEMS)
    land = Landscape(np.zeros(2 * SYSTEMS), bonds, barrier, CHARGE_E)
    occupied = np.tile([True, False], SYSTEMS)
    return Engine(
        land, occupied, TEMPERATURE_K, ATTEMPT_FREQUENCY_HZ, seed=seed, tolerance=tolerance
    )


def drive(engine, tilt_eV):
    """Site 1 lower than site 0 by `tilt_eV`."""
    engine.set_potential(np.tile([0.0, -tilt_eV / CHARGE_E], SYSTEMS))


def moved(engine):
    return float(engine.occupied.reshape(SYSTEMS, 2)[:, 1].mean())


def noise(share):
    """Standard error of a share of independent systems."""
    return np.sqrt(share * (1.0 - share) / SYSTEMS) + 1.0 / SYSTEMS


def rates_under(tilt_eV):
    """Fastest and slowest rate: half the tilt comes off every barrier."""
    return tuple(
        ATTEMPT_FREQUENCY_HZ * np.exp(-(end - tilt_eV / 2) / THERMAL_EV)
        for end in (LOW_EV, HIGH_EV)
    )


@MODES
def test_growth_from_rest_is_logarithmic(tolerance):
    """Driven downhill by 0.25 eV, over nine decades."""
    tilt_eV = 0.25
    fastest, slowest = rates_under(tilt_eV)
    engine = two_site_systems(71, tolerance)
    drive(engine, tilt_eV)
    times, shares = np.logspace(-9, 3, 25), []
    before = 0.0
    for t in times:
        engine.advance(t - before, times[0])
        before = t
        shares.append(moved(engine))
        exact = growth(t, fastest, slowest)
        assert abs(shares[-1] - exact) < DEVIATIONS * noise(exact)
    # Within the two ends it is the law, slope 1/L per e-fold.
    L = np.log(fastest / slowest)
    inside = (times * fastest > 30) & (times * slowest < 0.03)
    assert inside.sum() > 10
    law = (np.euler_gamma + np.log(fastest * times[inside])) / L
    assert np.abs(np.array(shares)[inside] - law).max() < 0.015
    slope = np.polyfit(np.log(times[inside]), np.array(shares)[inside], 1)[0]
    assert slope == pytest.approx(1.0 / L, rel=0.02)


@MODES
@pytest.mark.parametrize("waited", [1e-6, 1e-3, 1.0])
def test_ageing(tolerance, waited):
    """Driven for tw and then driven back by as much: each system forgets at its own rate, the same
    as that with which it was written."""
    tilt_eV = 0.25
    fastest, slowest = rates_under(tilt_eV)
    engine = two_site_systems(72, tolerance)
    drive(engine, tilt_eV)
    engine.advance(waited, waited * 1e-4)
    drive(engine, -tilt_eV)
    before = 0.0
    for t in waited * np.logspace(-2, 3, 11):
        engine.advance(t - before, waited * 1e-2)
        before = t
        exact = ageing(t, waited, fastest, slowest)
        assert abs(moved(engine) - exact) < DEVIATIONS * noise(exact)
        if t * fastest > 30 and (t + waited) * slowest < 3e-3:
            assert exact == pytest.approx(np.log1p(waited / t) / np.log(fastest / slowest), 0.05)


def test_growth_of_flickering_systems_under_the_cap():
    """Level sites: each system goes to half and flickers on, up to 1e5 s, where the exact hops
    would number 1e15 a system. The relaxation rate is that of both directions together."""
    fastest, slowest = (2.0 * rate for rate in rates_under(0.0))
    engine = two_site_systems(73, 0.05)
    drive(engine, 0.0)
    before = 0.0
    for t in np.logspace(-6, 5, 12):
        engine.advance(t - before, 1e-6)
        before = t
        exact = growth(t, fastest, slowest) / 2.0
        assert abs(moved(engine) - exact) < 0.002 + DEVIATIONS * noise(exact)
