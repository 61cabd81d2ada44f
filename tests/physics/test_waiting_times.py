"""Residence times are exponential with the total rate, and exits are drawn by their rates.

Each system is one oxygen that falls into a site it cannot leave; thousands of disjoint copies,
observed on a fine grid of times, give the distribution of its residence time.
"""

import numpy as np
import pytest
from instances import ATTEMPT_FREQUENCY_HZ, Instance
from scipy.stats import chi2, kstwo, poisson

from kmc_oxy.units import BOLTZMANN_EV_PER_K

COPIES = 20_000
DEEP_EV = 1.5  # depth of the trap at 76 K: e^-229, no return


def star(barriers_eV, temperature_K=76.0):
    """One oxygen in the middle of a star of deep traps, one bond a barrier."""
    leaves = len(barriers_eV)
    return Instance(
        site_energy_eV=np.array([0.0] + [-DEEP_EV] * leaves),
        bonds=np.array([(0, k + 1) for k in range(leaves)]),
        barrier_eV=np.array(barriers_eV),
        drop_eV=np.zeros(leaves + 1),
        start=np.arange(leaves + 1) == 0,
        temperature_K=temperature_K,
    )


def arrivals(instance, tolerance, times_s, seed):
    """Where each copy's oxygen is at each time, shape (times, copies)."""
    engine = instance.engine(COPIES, seed, tolerance)
    place, before = [], 0.0
    for time_s in times_s:
        engine.advance(time_s - before, times_s[0])
        before = time_s
        place.append(engine.occupied.reshape(COPIES, -1).argmax(axis=1))
    return np.array(place)


@pytest.mark.parametrize("tolerance", [None, 0.1])
@pytest.mark.parametrize("barriers_eV", [[0.2], [0.2, 0.2], [0.18, 0.19, 0.2, 0.185], [0.25] * 9])
def test_residence_time_is_exponential(barriers_eV, tolerance):
    """Kolmogorov-Smirnov at 99.99 %; on a grid the test is conservative. The last star has more
    bonds than a lattice site."""
    instance = star(barriers_eV)
    thermal = BOLTZMANN_EV_PER_K * instance.temperature_K
    total = ATTEMPT_FREQUENCY_HZ * np.exp(-np.array(barriers_eV) / thermal).sum()
    times_s = np.linspace(0.0, 5.0 / total, 101)[1:]
    place = arrivals(instance, tolerance, times_s, seed=31)
    left = (place > 0).mean(axis=1)
    distance = np.abs(left + np.expm1(-total * times_s)).max()
    assert distance < kstwo.isf(1e-4, COPIES)


def test_exits_are_drawn_by_their_rates_at_all_times():
    """Branching ratios, and that they do not depend on when the oxygen leaves (99.99 %)."""
    barriers_eV = [0.18, 0.185, 0.19, 0.2]
    instance = star(barriers_eV)
    thermal = BOLTZMANN_EV_PER_K * instance.temperature_K
    rates = ATTEMPT_FREQUENCY_HZ * np.exp(-np.array(barriers_eV) / thermal)
    survival = np.linspace(1.0, 0.0, 6)[1:-1]
    times_s = np.append(-np.log(survival), 40.0) / rates.sum()
    place = arrivals(instance, None, times_s, seed=32)
    table, before = [], np.zeros(COPIES, dtype=int)
    for now in place:
        table.append(np.bincount(now[before == 0], minlength=5)[1:])
        before = now
    table = np.array(table)  # (interval, exit)
    expected = COPIES * 0.2 * rates / rates.sum()
    statistic = ((table - expected) ** 2 / expected).sum()
    assert statistic < chi2.isf(1e-4, table.size - 1)


def test_rare_exit_beside_a_fast_one():
    """An exit 1e-3 as fast is taken one time in a thousand: sums must not lose slow hops."""
    thermal = BOLTZMANN_EV_PER_K * 76.0
    instance = star([0.1, 0.1 + thermal * np.log(1e3)])
    place = arrivals(instance, None, [1e3], seed=33)[0]
    rare = int((place == 2).sum())
    expected = COPIES / 1001.0
    assert poisson.cdf(rare, expected) > 5e-5
    assert poisson.sf(rare - 1, expected) > 5e-5


def test_hops_of_one_oxygen_on_a_flat_ring_are_poisson():
    """Counts of hops in equal intervals: mean, variance and independence of a Poisson process,
    although each interval is a call of its own (what is left of a waiting time is not lost)."""
    length, intervals, mean = 7, 4000, 4.0
    instance = Instance(
        site_energy_eV=np.zeros(length),
        bonds=np.array([(k, (k + 1) % length) for k in range(length)]),
        barrier_eV=np.full(length, 0.2),
        drop_eV=np.zeros(length),
        start=np.arange(length) == 0,
    )
    rate = 2 * instance.rates(0.0)[0][0]
    engine = instance.engine(1, 34, None)
    counts = np.empty(intervals, dtype=int)
    for k in range(intervals):
        before = engine.hops
        engine.advance(mean / rate)
        counts[k] = engine.hops - before
    assert engine.time_s == pytest.approx(intervals * mean / rate, rel=1e-12)
    kinds = np.arange(11)
    expected = intervals * np.append(poisson.pmf(kinds[:-1], mean), poisson.sf(9, mean))
    observed = np.bincount(np.minimum(counts, 10), minlength=11)
    assert ((observed - expected) ** 2 / expected).sum() < chi2.isf(1e-4, 10)
    correlation = np.corrcoef(counts[:-1], counts[1:])[0, 1]
    assert abs(correlation) < 4.0 / np.sqrt(intervals)
