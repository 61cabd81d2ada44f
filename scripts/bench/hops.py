"""Hops per second and seconds per decade of the engine, through its public interface.

    taskset -c 0 python scripts/bench/hops.py [--only size device] [--rounds 3]
        [--kmos-python PATH] [--record [--note TEXT]]

Groups: size (periodic cubes, one barrier, 10 % filled; beside kmos with --kmos-python), density,
quenched (one barrier against barriers flat on [0, 1] eV at 76 K, whose rates span 66 decades),
device (20 x 20 x 16 and 64 x 64 x 16, flat barriers, 76 K, 0 V: exact, and 14 decades of time
with the cap), decade (seconds a decade against patch size and tolerance), memory.

Times are those of the processor, ours and the peer's, so that what other processes take of a shared
core does not count; what they take of its caches does.
"""

from __future__ import annotations

import argparse
import multiprocessing
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import rounds
from rounds import Case, Figure, Ratio

from kmc_oxy.physics import Engine, Landscape, Lattice

HOPS = 4_000_000
PEER_HOPS = 300_000
SIZES = {32: (8.0, 12.0), 64: (4.0, 12.0), 128: (2.2, 8.0)}  # Mhop/s and times kmos asked
TOLERANCES = {"0.1": 0.1, "1/30": 1 / 30}
#: Seconds of 14 decades and Mhop/s asked of the two devices, at 1/30.
DEVICES = {20: (0.25, 5.0), 64: (4.0, 3.5)}


def cube(size: int, filling: float = 0.1, flat: bool = False) -> Engine:
    """Periodic cube: 0.3 eV at 300 K, or barriers flat on [0, 1] eV at 76 K."""
    site = np.arange(size**3, dtype=np.int32).reshape(size, size, size)
    bonds = np.empty((size, size, size, 3, 2), dtype=np.int32)
    for slot, axis in enumerate((2, 1, 0)):
        bonds[..., slot, 0] = site
        bonds[..., slot, 1] = np.roll(site, -1, axis)
    bonds = bonds.reshape(-1, 2)
    rng = np.random.default_rng(1)
    occupied = rng.random(site.size) < filling
    barrier_eV = rng.uniform(0, 1, len(bonds)) if flat else np.full(len(bonds), 0.3)
    land = Landscape(np.zeros(site.size), bonds, barrier_eV, charge_e=-2)
    return Engine(land, occupied, temperature_K=76.0 if flat else 300.0)


@cache
def device_landscape(extent: int) -> tuple[Landscape, np.ndarray]:
    """extent x extent x 16 sites, barriers flat on [0, 1] eV, and 10 % of them filled."""
    lattice = Lattice(extent, extent, 14, 2, 0.835e-9, 10e-9, 2e-9)
    rng = np.random.default_rng(1)
    land = Landscape(
        rng.normal(0, 0.03, lattice.n_sites),
        lattice.bonds,
        rng.uniform(0, 1, len(lattice.bonds)),
        charge_e=-2,
    )
    return land, rng.random(lattice.n_sites) < 0.1


def device(extent: int, tolerance: float | None, reach: int = 2) -> Engine:
    """A fresh engine on that device at 76 K and 0 V."""
    land, occupied = device_landscape(extent)
    return Engine(land, occupied, temperature_K=76.0, tolerance=tolerance, reach=reach)


def stretch_of(engine: Engine, hops: int = HOPS) -> Callable[[], tuple[float]]:
    """Mhop/s of the next so many hops of an exact engine."""
    engine.begin(1e300)  # as good as for ever

    def measure() -> tuple[float]:
        before, start = engine.hops, time.process_time()
        while engine.hops < before + hops and not engine.step():
            pass
        return ((engine.hops - before) / (time.process_time() - start) / 1e6,)

    return measure


def fourteen_decades(extent: int, tolerance: float, reach: int) -> tuple[float, float, float]:
    """Mhop/s, seconds and Mhop of 1e-9 to 1e5 s, from a fresh start."""
    engine = device(extent, tolerance, reach)
    start = time.process_time()
    engine.advance(1e5, resolution_s=1e-9)
    seconds = time.process_time() - start
    return engine.hops / seconds / 1e6, seconds, engine.hops / 1e6


def decade(extent: int, tolerance: float, reach: int) -> tuple[float]:
    """Seconds a decade between 1e-3 and 1 s after the edge."""
    engine = device(extent, tolerance, reach)
    engine.advance(1e-3, resolution_s=1e-4)
    start = time.process_time()
    engine.advance(1.0 - 1e-3)
    return ((time.process_time() - start) / 3,)


class Kmos:
    """kmos in an interpreter of its own, which waits between its turns."""

    def __init__(self, interpreter: str, folder: Path, size: int) -> None:
        script = Path(__file__).with_name("kmos_hops.py")
        with open(folder / "messages.txt", "a") as messages:
            self._process = subprocess.Popen(
                [interpreter, str(script), str(folder), str(size)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=messages,
                text=True,
            )
        self.version = self._answer()
        if not self.version:
            raise SystemExit((folder / "messages.txt").read_text()[-2000:])

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def measure(self) -> tuple[float]:
        """Mhop/s."""
        assert self._process.stdin is not None
        print(PEER_HOPS, file=self._process.stdin, flush=True)
        return (PEER_HOPS / float(self._answer()) / 1e6,)

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def by_size(arguments: argparse.Namespace) -> None:
    cases, ratios, peers = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        for size, (asked, times) in SIZES.items():
            ours = f"exact, {size}^3, one barrier, 10 % filled"
            cases.append(Case([Figure(ours, "Mhop/s", asked)], stretch_of(cube(size))))
            if arguments.kmos_python:
                peer = Kmos(arguments.kmos_python, Path(folder), size)
                theirs = f"kmos {peer.version} local_smart, {size}^3"
                peers.append(peer)
                cases.append(Case([Figure(theirs, "Mhop/s")], peer.measure))
                ratios.append(Ratio(f"over kmos, {size}^3", ours, theirs, times))
        show("hops against size", cases, arguments, ratios)
        for peer in peers:
            peer.close()


def by_density(arguments: argparse.Namespace) -> None:
    cases = [
        Case([Figure(f"exact, 64^3, one barrier, {percent} % filled", "Mhop/s")],
             stretch_of(cube(64, percent / 100)))
        for percent in (1, 5, 10, 20, 50)
    ]  # fmt: skip
    show("hops against density", cases, arguments)


def by_rates(arguments: argparse.Namespace) -> None:
    cases = [
        Case([Figure(f"exact, {size}^3, {name}", "Mhop/s")], stretch_of(cube(size, flat=flat)))
        for size in (32, 64, 128)
        for name, flat in (("one barrier, 300 K", False), ("flat 0 to 1 eV, 76 K", True))
    ]
    show("uniform and quenched rates", cases, arguments)


def on_devices(arguments: argparse.Namespace) -> None:
    cases = [
        Case([Figure("exact, 20x20x16, flat 0 to 1 eV, 76 K", "Mhop/s", 8.0)],
             stretch_of(device(20, None)))
    ]  # fmt: skip
    for extent, (seconds, speed) in DEVICES.items():
        for reach in (1, 2):
            for name, tolerance in TOLERANCES.items():
                what = f"14 decades, {extent}x{extent}x16, tolerance {name}, reach {reach}"
                fine = name == "1/30"
                figures = [
                    Figure(f"{what}: speed", "Mhop/s", speed if fine else None),
                    Figure(f"{what}: time", "s", seconds if fine else None, less_is_better=True),
                    Figure(f"{what}: hops", "Mhop", less_is_better=True),
                ]
                cases.append(
                    Case(
                        figures,
                        lambda extent=extent, tolerance=tolerance, reach=reach: fourteen_decades(
                            extent, tolerance, reach
                        ),
                    )
                )
    show("devices", cases, arguments)


def by_patch(arguments: argparse.Namespace) -> None:
    cases = [
        Case(
            [Figure(f"{extent}x{extent}x16, tolerance {name}, reach {reach}", "s a decade",
                    less_is_better=True)],
            lambda extent=extent, tolerance=tolerance, reach=reach: decade(
                extent, tolerance, reach
            ),
            most_rounds=1 if extent > 64 else None,
        )
        for reach in (1, 2)
        for name, tolerance in TOLERANCES.items()
        for extent in (20, 32, 64, 128)
    ]  # fmt: skip
    show("1e-3 to 1 s", cases, arguments)


def memory(arguments: argparse.Namespace) -> None:
    """Peak and resident memory of a process of its own, less that of one with a tiny lattice."""
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        tiny, large = pool.map(memory_bytes, (4, 128), chunksize=1)
    values = {
        Figure("128^3, resident after 2 Mhop", "bytes a site", None, True): [
            (large[0] - tiny[0]) / 128**3
        ],
        Figure("128^3, peak, building and the caller's arrays included", "bytes a site", 150.0,
               True): [(large[1] - tiny[1]) / 128**3],
    }  # fmt: skip
    finish("memory", values, arguments)


def memory_bytes(size: int) -> tuple[int, int]:
    """Resident memory of this process after some hops on a cube, and its peak (Linux)."""
    engine = cube(size)
    stretch_of(engine, 2_000_000)()
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    resident, peak = (1024 * int(status[key].split()[0]) for key in ("VmRSS", "VmHWM"))
    return resident, peak


def show(
    title: str,
    cases: Sequence[Case],
    arguments: argparse.Namespace,
    ratios: Sequence[Ratio] = (),
) -> None:
    """Measure, print, and record if wanted."""
    finish(title, rounds.interleave(cases, arguments.rounds), arguments, ratios)


def finish(
    title: str,
    values: rounds.Values,
    arguments: argparse.Namespace,
    ratios: Sequence[Ratio] = (),
) -> None:
    """Print, and record if wanted."""
    rounds.print_table(title, values, ratios)
    if arguments.record:
        rounds.record(values, arguments.note)


GROUPS = {
    "size": by_size, "density": by_density, "quenched": by_rates, "device": on_devices,
    "decade": by_patch, "memory": memory,
}  # fmt: skip


def main() -> None:
    parser = rounds.parser(__doc__, rounds=3)
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=list(GROUPS), metavar="GROUP")
    parser.add_argument("--kmos-python", metavar="PATH", help="interpreter that has kmos")
    arguments = parser.parse_args()
    rounds.print_circumstances()
    for name in arguments.only:
        GROUPS[name](arguments)
    rounds.print_circumstances()


if __name__ == "__main__":
    main()
