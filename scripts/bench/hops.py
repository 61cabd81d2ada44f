"""Hops per second of the engine, through its public interface.

    python scripts/bench/hops.py [--sizes 32 64 128] [--repeats 3]

Exact mode: periodic cubes, one barrier, 10 % filled. Capped mode: a 20 x 20 x 16 device with
barriers flat from 0 to 1 eV at 76 K and 0 V, 14 decades of time, at both reaches of the cap.
Repeats are interleaved; the median is printed.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Callable

import numpy as np

from kmc_oxy.engine import Engine
from kmc_oxy.landscape import Landscape
from kmc_oxy.lattice import Lattice


def cube(size: int) -> Engine:
    """Periodic cube of one barrier at 300 K, 10 % filled."""
    site = np.arange(size**3, dtype=np.int32).reshape(size, size, size)
    bonds = np.stack(
        [np.stack([site, np.roll(site, -1, axis)], axis=-1) for axis in (2, 1, 0)], axis=3
    ).reshape(-1, 2)
    land = Landscape(np.zeros(site.size), bonds, np.full(len(bonds), 0.3), charge_e=-2)
    occupied = np.random.default_rng(1).random(site.size) < 0.1
    return Engine(land, occupied, temperature_K=300.0)


def device(tolerance: float | None, reach: int = 2) -> Engine:
    """20 x 20 x 16 sites, barriers flat on [0, 1] eV, 10 % filled, 76 K."""
    lattice = Lattice(20, 20, 14, 2, 0.835e-9, 10e-9, 2e-9)
    rng = np.random.default_rng(1)
    land = Landscape(
        rng.normal(0, 0.03, lattice.n_sites),
        lattice.bonds,
        rng.uniform(0, 1, len(lattice.bonds)),
        charge_e=-2,
    )
    occupied = rng.random(lattice.n_sites) < 0.1
    return Engine(land, occupied, temperature_K=76.0, tolerance=tolerance, reach=reach)


def timed_hops(engine: Engine, work: Callable[[Engine], None]) -> tuple[float, int]:
    """Seconds and hops of some work."""
    hops, start = engine.hops, time.perf_counter()
    work(engine)
    return time.perf_counter() - start, engine.hops - hops


def exact(hops: float) -> Callable[[Engine], None]:
    """Run for about this many hops."""

    def work(engine: Engine) -> None:
        goal = engine.hops + hops
        duration_s = 1e-13
        while engine.hops < goal:
            engine.advance(duration_s)
            duration_s *= 2

    return work


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[32, 64, 128])
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    fourteen_decades = lambda engine: engine.advance(1e5, resolution_s=1e-9)  # noqa: E731
    cases: dict[str, tuple[Callable[[], Engine], Callable[[Engine], None]]] = {
        f"exact, cube {size}^3": (lambda size=size: cube(size), exact(4e6))
        for size in arguments.sizes
    }
    cases["exact, device"] = (lambda: device(None), exact(4e6))
    for tolerance in (0.1, 1 / 30):
        for reach in (1, 2):
            cases[f"capped, device, tolerance {tolerance:.3g}, reach {reach}"] = (
                lambda tolerance=tolerance, reach=reach: device(tolerance, reach),
                fourteen_decades,
            )
    found: dict[str, list[tuple[float, int]]] = {name: [] for name in cases}
    for _ in range(arguments.repeats):
        for name, (build, work) in cases.items():
            found[name].append(timed_hops(build(), work))
    print(f"{'case':44s} {'Mhops/s':>8s} {'seconds':>8s} {'Mhops':>7s}")
    for name, runs in found.items():
        speed = statistics.median(hops / seconds for seconds, hops in runs) / 1e6
        seconds = statistics.median(seconds for seconds, _ in runs)
        print(f"{name:44s} {speed:8.2f} {seconds:8.3f} {runs[0][1] / 1e6:7.2f}")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
