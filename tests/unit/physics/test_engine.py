"""The engine's interface: arguments, edges, parallel bonds, memory."""

import subprocess
import sys

import numpy as np
import pytest

from kmc_oxy.physics import Engine, Landscape

CHAIN = Landscape(np.zeros(3), [(0, 1), (1, 2)], [0.1, 0.2], charge_e=-1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"occupied": [True, False]}, "'occupied'"),
        ({"occupied": [2, 0, 0]}, "'occupied'"),
        ({"temperature_K": 0.0}, "'temperature_K'"),
        ({"attempt_frequency_Hz": np.inf}, "'attempt_frequency_Hz'"),
        ({"tolerance": 1.0}, "'tolerance'"),
        ({"reach": 3}, "'reach'"),
        ({"seed": -1}, "'seed'"),
        ({"stream": (0, -1)}, "'stream'"),
    ],
)
def test_bad_arguments_are_named(changes, message):
    arguments = {"occupied": [True, False, False], **changes}
    with pytest.raises(ValueError, match=message):
        Engine(CHAIN, **arguments)


def test_bad_calls_are_named():
    engine = Engine(CHAIN, [True, False, False])
    with pytest.raises(ValueError, match="'duration_s'"):
        engine.advance(-1.0)
    with pytest.raises(ValueError, match="'resolution_s'"):
        engine.advance(1.0, 0.0)
    with pytest.raises(ValueError, match="'potential_V'"):
        engine.set_potential(np.zeros(2))
    engine.begin(1e-9)
    with pytest.raises(RuntimeError, match="duration of the last begin\\(\\) is not reached"):
        engine.begin(1e-9)


def test_parallel_bonds_add_their_rates():
    """A ring of two sites has two bonds between them, here in opposite directions."""
    land = Landscape([0.0, 0.02], [(0, 1), (1, 0)], [0.1, 0.12], charge_e=-1)
    k_ij, k_ji = land.rates(np.zeros(2), 300.0, 1e13)
    leaves_s = 1 / (k_ij[0] + k_ji[1])
    stayed = 0
    for seed in range(400):
        engine = Engine(land, [True, False], temperature_K=300.0, seed=seed)
        engine.advance(leaves_s / 10)
        stayed += engine.hops == 0
    assert abs(stayed / 400 - np.exp(-0.1)) < 4 * np.sqrt(0.09 / 400)


def test_nothing_to_do_takes_no_hops():
    full = Engine(CHAIN, [True, True, True], tolerance=0.1)
    full.advance(1e5)
    lonely = Engine(Landscape([0.0], np.zeros((0, 2), int), [], charge_e=-2), [True])
    lonely.advance(1e5)
    assert full.hops == lonely.hops == 0
    assert full.time_s == lonely.time_s == 1e5


def test_time_is_not_lost_beside_long_times():
    engine = Engine(CHAIN, [True, False, False], tolerance=0.1)
    engine.advance(1e5)
    for _ in range(100):
        engine.set_potential(np.zeros(3))
        engine.advance(1e-9)
    assert engine.time_s - 1e5 == pytest.approx(1e-7, abs=2e-11)


def test_memory_a_site():
    """Peak of the whole process at 96^3 less that of a small one: below 200 bytes a site."""
    code = """
import resource, sys
import numpy as np
from kmc_oxy.physics import Engine
from kmc_oxy.physics import Landscape
size = int(sys.argv[1])
site = np.arange(size**3, dtype=np.int32).reshape(size, size, size)
bonds = np.empty((site.size, 3, 2), dtype=np.int32)
for axis in range(3):
    bonds[:, axis, 0] = site.ravel()
    bonds[:, axis, 1] = np.roll(site, -1, axis).ravel()
land = Landscape(np.zeros(site.size), bonds.reshape(-1, 2), np.full(3 * site.size, 0.3), -2)
engine = Engine(land, np.arange(site.size) % 10 == 0, temperature_K=300.0)
engine.advance(1e-10)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""
    small, large = (
        int(subprocess.run([sys.executable, "-c", code, str(size)], check=True,
                           capture_output=True).stdout)
        for size in (8, 96)
    )  # fmt: skip
    assert (large - small) / 96**3 < 200
