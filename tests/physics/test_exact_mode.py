"""Exact mode against the exact master equation, potential flipped between legs.

Instances are drawn from fixed seeds, and nothing was chosen after seeing a result. Durations are
set by a budget of hops alone, so short and long times compared with relaxation both occur.
"""

import numpy as np
import pytest
from instances import any_shape, dense_box
from scipy.stats import kstest

COPIES = 4000
CONFIDENCE = 1e-4
DRIVES = (1.0, -1.0, 0.5)
HALVINGS = (6, 3, 0)


def draw(number):
    """Instance `number` and a leg of about 100 hops of the fastest bond, at most."""
    rng = np.random.default_rng([51, number])
    temperature_K = float(rng.choice([76.0, 150.0, 300.0]))
    thermal = 8.617333262e-5 * temperature_K
    make = dense_box if number % 8 == 7 else any_shape
    instance = make(
        rng,
        barrier_range_eV=(0.0, float(rng.uniform(2.0, 15.0)) * thermal),
        tilt_eV=float(rng.uniform(0.0, 5.0)) * thermal,
        disorder_eV=float(rng.uniform(0.0, 1.5)) * thermal,
        temperature_K=temperature_K,
    )
    k_ij, k_ji = instance.rates(1.0)
    duration_s = float(rng.uniform(10.0, 100.0)) / np.minimum(k_ij, k_ji).max()
    return instance, duration_s


def p_values(instance, duration_s, seed):
    """Of the configurations at each reading of each leg, shape (legs, halvings)."""
    exact = instance.exact(DRIVES, duration_s, HALVINGS)
    occupied, _ = instance.simulate(COPIES, seed, None, DRIVES, duration_s, HALVINGS)
    master = instance.master
    return np.array(
        [
            [master.chi_squared_p(master.counts(o), p) for o, p in zip(*leg, strict=True)]
            for leg in zip(occupied, exact, strict=True)
        ]
    )


@pytest.fixture(scope="module")
def all_p_values():
    return np.array([p_values(*draw(number), seed=number) for number in range(24)])


def test_configurations_follow_the_master_equation(all_p_values):
    """360 chi-squared tests: each at 1e-4/36, so that all together hold with 99.9 %; and no more
    than chance has it below 1e-2."""
    assert all_p_values.min() > CONFIDENCE / 36
    assert (all_p_values < 0.01).sum() <= 14


def test_p_values_are_uniform(all_p_values):
    """Also too good an agreement would be a fault; the last leg of each instance is independent of
    the other instances."""
    last = all_p_values[:, -1, -1]
    assert kstest(last[last < 1.0], "uniform").pvalue > CONFIDENCE


def test_the_low_barrier_flicker_does_not_hide_slow_hops():
    """Two oxygens at 76 K, one bond 1e6 times as fast as the others: the slow hops, which make a
    millionth of the events, still come at their rate."""
    rng = np.random.default_rng(52)
    instance = any_shape(rng, barrier_range_eV=(0.08, 0.09), tilt_eV=0.01, disorder_eV=0.005)
    barrier = instance.barrier_eV.copy()
    barrier[0] = 0.03
    instance = type(instance)(**{**instance.__dict__, "barrier_eV": barrier})
    k_ij, k_ji = instance.rates(1.0)
    slow = np.median(np.maximum(k_ij, k_ji))
    values = p_values(instance, 1.0 / slow, seed=53)
    assert values.min() > CONFIDENCE / 9


def test_no_oxygen_is_lost_or_doubled():
    """Over many edges and lengths of advance, in both modes, every copy keeps its number."""
    all_hops = 0
    for number in range(6):
        rng = np.random.default_rng([54, number])
        instance = any_shape(rng, barrier_range_eV=(0.0, 0.3), tilt_eV=0.1, disorder_eV=0.03)
        for tolerance in (None, 0.1):
            engine = instance.engine(300, number, tolerance)
            clock, hops = 0.0, 0
            longest = 1e-10 if tolerance is None else 1.0
            for _ in range(25):
                engine.set_potential(instance.potential_V(float(rng.uniform(-1, 1)), 300))
                duration_s = float(longest * 10.0 ** rng.uniform(-6, 0))
                engine.advance(duration_s)
                clock += duration_s
                state = engine.occupied
                assert state.dtype == bool
                per_copy = state.reshape(300, -1).sum(axis=1)
                assert (per_copy == instance.start.sum()).all()
                assert engine.hops >= hops
                hops = engine.hops
            assert engine.time_s == pytest.approx(clock, rel=1e-12)
            all_hops += hops
    assert all_hops > 100_000  # or nothing was tried


def test_what_cannot_move_does_not():
    """A full lattice, an empty one, and one without bonds make no hop and let time pass."""
    rng = np.random.default_rng(55)
    instance = any_shape(rng, barrier_range_eV=(0.0, 0.1), tilt_eV=0.0, disorder_eV=0.0)
    for tolerance in (None, 0.1):
        for filling in (False, True):
            occupied = np.full((10, instance.n_sites), filling)
            engine = instance.engine(10, 1, tolerance, occupied)
            engine.advance(1e5)
            assert engine.hops == 0
            assert (engine.occupied == filling).all()
            assert engine.time_s == pytest.approx(1e5)


def test_same_seed_same_path_other_stream_other_path():
    rng = np.random.default_rng(56)
    instance = any_shape(rng, barrier_range_eV=(0.0, 0.05), tilt_eV=0.0, disorder_eV=0.0)
    results = [
        instance.simulate(200, seed, None, [0.0], 2e-11, [0])[0].tobytes() for seed in (1, 1, 2)
    ]
    assert results[0] == results[1]
    assert results[0] != results[2]
