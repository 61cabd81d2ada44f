"""Time of one crossbar solve, beside badcrossbar's where it applies and is installed.

    python scripts/bench/crossbar.py [--repeats 9]

Medians of interleaved runs on the same random arrays (G log-uniform, 1e-6 to 1e-4 S), through the
public functions, checks and all. badcrossbar drives the rows only and knows linear cells only.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

import numpy as np

from kmc_oxy.physics import CrossbarSolver, programming_voltages

try:
    import badcrossbar
except ImportError:
    badcrossbar = None


def interleaved(runs: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Median wall time of each run in ms; one run of each first, not counted."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(repeats + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if turn:
                times[name].append(1e3 * (time.perf_counter() - start))
    return {name: median(values) for name, values in times.items()}


def against_badcrossbar(repeats: int) -> None:
    print("linear cells, rows driven     kmc_oxy   badcrossbar   ratio   largest difference")
    for rows, columns, ohm in (
        (4, 3, 1.0), (32, 32, 1.0), (64, 64, 1.0), (128, 128, 1.0), (128, 128, 100.0),
        (128, 128, 1e4),
    ):  # fmt: skip
        rng = np.random.default_rng(1)
        conductance = 10 ** rng.uniform(-6, -4, (rows, columns))
        inputs, ground = rng.uniform(0, 1, rows), np.zeros(columns)
        solver = CrossbarSolver(rows, columns, ohm)
        runs: dict[str, Callable[[], Any]] = {
            "ours": partial(solver.solve, conductance, inputs, ground)
        }
        if badcrossbar:
            # Its columns end behind the last row: the same array upside down.
            runs["theirs"] = partial(
                badcrossbar.compute, inputs[::-1, None], 1 / conductance[::-1], ohm
            )
        ms = interleaved(runs, repeats)
        line = f"{rows:4d} x {columns:<4d} R = {ohm:<7g} {ms['ours']:11.3f} ms"
        if badcrossbar:
            theirs = runs["theirs"]().currents.device[::-1]
            off = np.abs(theirs - runs["ours"]().cell_current_A).max() / np.abs(theirs).max()
            line += f"{ms['theirs']:11.2f} ms{ms['theirs'] / ms['ours']:8.1f}{off:15.1e}"
        print(line)


def newton(repeats: int) -> None:
    print("\nI = G V0 sinh(V/V0), 3 V on one cell, R = 10 ohm")
    for rows, columns, scheme, scale, count in (
        (4, 3, "V/2", None, 200), (4, 3, "V/2", 1.0, 200), (4, 3, "V/2", 0.5, 200),
        (4, 3, "V/2", 0.25, 200), (4, 3, "floating", 0.5, 200), (128, 128, "V/2", 0.5, 3),
        (128, 128, "floating", 0.5, 3),
    ):  # fmt: skip
        conductance = 10 ** np.random.default_rng(2).uniform(-6, -4, (rows, columns))
        drive = programming_voltages(scheme, rows, columns, (rows // 2, columns // 2), 3.0)
        solver = CrossbarSolver(rows, columns, 10.0)

        run = partial(solver.solve, conductance, *drive, scale)
        ms = interleaved({"ours": run}, max(count, repeats))["ours"]
        cells = "linear" if scale is None else f"V0 = {scale} V"
        solution = run()
        print(
            f"{rows:4d} x {columns:<4d} {scheme:9s} {cells:11s}{ms:10.3f} ms, "
            f"{solution.iterations:2d} linear circuits, balance {solution.residual_A:.0e} A"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--repeats", type=int, default=9)
    repeats = parser.parse_args().repeats
    logging.getLogger().setLevel(logging.WARNING)
    if badcrossbar is None:
        print("badcrossbar is not installed (pip install badcrossbar; it needs cairo's headers)")
    against_badcrossbar(repeats)
    newton(repeats)
