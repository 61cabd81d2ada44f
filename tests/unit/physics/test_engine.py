"""The engine's interface: arguments, edges, parallel bonds, memory."""

import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from kmc_oxy.physics import Engine, Landscape
from kmc_oxy.physics.engine_clock import EngineClock

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


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"charge_e": 1e300, "potential_V": 1e200}, "'potential_V'"),
        ({"potential_V": 1e308, "charge_e": -2}, "'potential_V'"),
        ({"temperature_K": 5e-324}, "'temperature_K'"),
        ({"temperature_K": np.nan}, "'temperature_K'"),
        ({"site_energy_eV": 1.7e308, "potential_V": 1.7e308}, "'potential_V'.* bond 0"),
        ({"attempt_frequency_Hz": 1e300}, "hop rates .* sites 0 and 1"),
        ({"tunnel_rate_Hz": 1e300, "attempt_frequency_Hz": 1e-300}, "'attempt_frequency_Hz'"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_rates_that_are_no_numbers_are_refused(changes, message):
    given = {
        "charge_e": -1,
        "site_energy_eV": 0.1,
        "potential_V": 0.1,
        "temperature_K": 300.0,
        "attempt_frequency_Hz": 1e13,
        "tunnel_rate_Hz": 0.0,
    } | changes
    energy = [0.0, given["site_energy_eV"], 0.0]
    land = Landscape(
        energy, [(0, 1), (1, 2)], [0.0, 0.2], given["charge_e"], given["tunnel_rate_Hz"]
    )
    with pytest.raises(ValueError, match=message):
        engine = Engine(
            land,
            [True, False, False],
            temperature_K=given["temperature_K"],
            attempt_frequency_Hz=given["attempt_frequency_Hz"],
        )
        engine.set_potential(np.array([0.0, -1.0, 0.0]) * given["potential_V"])


def test_a_refused_potential_leaves_the_engine_as_it_was():
    engine = Engine(CHAIN, [True, False, False])
    engine.begin(1e-3)
    with pytest.raises(ValueError, match="'potential_V'"):
        engine.set_potential([0.0, np.inf, 0.0])
    with pytest.raises(ValueError, match="'temperature_K'"):
        engine.set_potential(np.zeros(3), temperature_K=5e-324)
    assert engine.temperature_K == 76.0 and engine.pending
    assert engine.potential_V.tolist() == [0.0, 0.0, 0.0]


def test_a_potential_of_another_shape_is_not_taken_for_a_known_one():
    engine = Engine(CHAIN, [True, False, False])
    with pytest.raises(ValueError, match="'potential_V'"):
        engine.set_potential(np.zeros((3, 1)))


def test_a_duration_that_never_ends_is_reported():
    land = Landscape(np.zeros(3), [(0, 1), (1, 2)], [0.0, 0.0], charge_e=-1)
    fast = Engine(land, [True, False, False], attempt_frequency_Hz=1e90)
    with pytest.raises(RuntimeError, match="'duration_s'"):
        fast.advance(1.0)
    capped = Engine(land, [True, False, False], tolerance=0.1)
    with pytest.raises(ValueError, match="'duration_s'"):
        capped.advance(1e300)


def test_waiting_times_that_vanish_are_reported(monkeypatch):
    monkeypatch.setattr("kmc_oxy.physics.engine_clock.TRIALS_PER_STRIDE", 1000)
    land = Landscape([0.0, 0.0], [(0, 1)], [0.1], charge_e=-1)
    engine = Engine(land, [True, False], temperature_K=3000.0, attempt_frequency_Hz=1e40)
    engine._clock = EngineClock(time_s=1.0, since_edge_s=1.0, target_s=1.0)
    engine.begin(1.0)
    with pytest.raises(RuntimeError, match="Waiting times vanish"):
        for _ in range(1000):
            engine.step()


def test_hops_too_slow_for_the_event_list_are_reported():
    """The oxygen can only make the slow hop: nearly all its trials would be rejected."""
    land = Landscape(np.zeros(4), [(0, 1), (2, 3)], [0.0, 2.4], charge_e=-1)
    engine = Engine(land, [True, True, True, False], temperature_K=40.0)
    with pytest.raises(RuntimeError, match="in a row were rejected"):
        engine.advance(1e80)


def test_shortest_durations_end():
    engine = Engine(CHAIN, [True, False, False], tolerance=0.1)
    engine.advance(5e-324)
    assert engine.time_s == 5e-324


def test_another_thread_is_refused_while_the_engine_runs():
    land = Landscape(np.zeros(2), [(0, 1)], [0.0], charge_e=-1)
    engine = Engine(land, [True, False], temperature_K=300.0)
    engine.begin(1.0)
    messages, stepping = [], threading.Event()

    def steps():
        stepping.set()
        for _ in range(5):
            engine.step()

    def other():
        stepping.wait()
        for _ in range(1000):
            for call in (
                engine.step,
                engine.state_dict,
                lambda: engine.begin(1.0),
                lambda: engine.occupied,
                lambda: engine.set_potential(np.zeros(2)),
            ):
                if not running.is_alive():
                    return
                try:
                    call()
                except RuntimeError as error:
                    messages.append(str(error))
                    time.sleep(1e-3)

    running = threading.Thread(target=steps)
    others = [threading.Thread(target=other) for _ in range(3)]
    running.start()
    for thread in others:
        thread.start()
    for thread in (running, *others):
        thread.join()
    assert any("used by another thread" in message for message in messages)
    assert engine.occupied.sum() == 1
