"""Engines with extreme parameters: each runs, or is refused with the reason; none crashes or hangs.

    python scripts/verify/extreme_engines.py [--cases 5000] [--seed 1]

Each case draws a small graph and values over the whole range of a double for energies, barriers,
charge, potential, temperature, attempt and tunnelling rates, tolerance, duration and resolution,
most of them physical so that the others matter. Numpy warnings are errors. Cases run in
subprocesses. The exit code is 1 if one crashed, hung, raised anything but ValueError or
RuntimeError, or ended with another number of oxygens, a NaN or a negative time.
"""

from __future__ import annotations

import itertools
import sys

import numpy as np
from subprocess_cases import run_cases

from kmc_oxy.physics import Engine, Landscape, Lattice
from kmc_oxy.physics import engine as engine_module

MOST_STEPS = 8


def number(rng: np.random.Generator, usual: float) -> float:
    """Mostly of the usual size; otherwise from the whole range of a double, of either sign."""
    kind = rng.random()
    if kind < 0.75:
        return float(usual * rng.uniform(0.1, 2))
    sign = -1.0 if kind > 0.97 else 1.0
    edges = (0.0, 5e-324, 2.3e-308, 1.7e308, float("inf"), float("nan"), 1e200, 1e-200, 1e100)
    return sign * float(rng.choice(edges) if kind < 0.85 else 10.0 ** rng.uniform(-323, 308))


def numbers(rng: np.random.Generator, usual: float, size: int) -> np.ndarray:
    values = rng.uniform(0, 2 * usual, size)
    if rng.random() < 0.3:
        values[rng.integers(size)] = number(rng, usual)
    return values * (number(rng, 1.0) if rng.random() < 0.1 else 1.0)


def graph(rng: np.random.Generator) -> tuple[int, np.ndarray]:
    kind = rng.integers(4)
    if kind == 0:
        lattice = Lattice(3, 3, 3, 1, 1e-9, 3e-9, 1e-9)
        return lattice.n_sites, lattice.bonds
    if kind == 1:
        return 9, np.array(list(itertools.combinations(range(9), 2)))
    if kind == 2:
        return 5, np.array([(i, (i + 1) % 5) for i in range(5)] + [(1, 0)])
    return 12, np.array([(i, i + 1) for i in range(11)])


def run(rng: np.random.Generator) -> str:
    n, bonds = graph(rng)
    engine_module.PATTERNS_FROM = 1 if rng.random() < 0.5 else 20_000
    engine_module.STEP_S = 0.02
    with np.errstate(all="ignore"):
        energy, barrier = numbers(rng, 0.1, n), numbers(rng, 0.3, len(bonds))
        potential = numbers(rng, 0.1, n)
    charge, tunnel = number(rng, -2.0), 0.0 if rng.random() < 0.7 else number(rng, 1e3)
    temperature_K, attempt_Hz = number(rng, 300.0), number(rng, 1e13)
    tolerance = None if rng.random() < 0.4 else min(number(rng, 0.1), 0.999)
    occupied = rng.random(n) < rng.random()
    exact_s = number(rng, 1e-11)
    duration_s = exact_s if tolerance is None else number(rng, 1e-5)
    resolution_s = None if rng.random() < 0.5 else number(rng, 1e-8)
    try:
        land = Landscape(energy, bonds, barrier, charge, tunnel)
        engine = Engine(
            land, occupied, temperature_K, attempt_Hz, tolerance=tolerance,
            reach=int(rng.integers(1, 3)),
        )  # fmt: skip
        engine.set_potential(potential, None if rng.random() < 0.8 else number(rng, 300.0))
        for _ in range(2):
            engine.begin(duration_s, resolution_s)
            for _ in range(MOST_STEPS):
                if engine.step():
                    break
                engine._require_an_end()
            else:
                break
        again = Engine.from_state(land, engine.state_dict())
        again.step()
    except (ValueError, RuntimeError) as error:
        if not str(error).startswith(("The ", "Waiting ")) and "in a row" not in str(error):
            return f"raised another error: {error!r}"
        return f"refused ({type(error).__name__})"
    except Exception as error:
        return f"raised another error: {error!r}"
    right = engine.occupied.sum() == occupied.sum() and 0 <= engine.time_s < np.inf
    return ("ran" if not engine.pending else "ran, not to the end") if right else "wrong"


if __name__ == "__main__":
    sys.exit(run_cases(__doc__, lambda seed: lambda case: run(np.random.default_rng((seed, case)))))
