#!/usr/bin/env python
"""Error of the capped mode against exact solutions, over hundreds of random instances.

Each instance is a small system with a random landscape and drive; thousands of copies of it run
in one engine through legs of opposite drive, and the occupation of every site is compared with
the exact master equation at six times a leg. Printed per family and tolerance: the distribution
over instances of the largest error of any occupation beyond sampling noise, and the hops per
copy. Two cap rules are compared at equal hops, not at equal tolerance.

    scripts/verify/cap.py --instances 200 --tolerances 0.1 0.033 --csv errors.csv
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "physics"))

from instances import (
    Instance,
    any_shape,
    beyond_noise,
    dense_box,
    dense_cube,
    flat_full_range,
    flat_narrow,
    strip,
)

HALVINGS = (20, 16, 12, 8, 4, 0)
DRIVES = (1.0, -1.0)


@dataclass(frozen=True)
class Family:
    """A kind of random instance, and how long each leg lasts."""

    draw: Callable[[np.random.Generator], Instance]
    duration_s: float
    about: str


def level(rng: np.random.Generator, make: Callable[..., Instance]) -> Instance:
    """Nearly all bonds fast and no drive at all: what the cap is known to be worst at."""
    high = float(rng.uniform(0.15, 0.4))
    return make(rng, barrier_range_eV=(0.0, high), tilt_eV=0.0, disorder_eV=0.03)


FAMILIES = {
    "full-strip": Family(
        lambda rng: flat_full_range(rng, strip), 1e3, "flat 0..1 eV, tilt 0..0.25 eV, strips"
    ),
    "full-any": Family(
        lambda rng: flat_full_range(rng, any_shape), 1e3, "flat 0..1 eV, tilt 0..0.25 eV, any graph"
    ),
    "narrow-strip": Family(
        lambda rng: flat_narrow(rng, strip), 1.0, "flat 0..0.15-0.4 eV, tilt 0.05..0.3 eV, strips"
    ),
    "narrow-any": Family(lambda rng: flat_narrow(rng, any_shape), 1.0, "the same on any graph"),
    "narrow-cube": Family(
        lambda rng: flat_narrow(rng, dense_cube), 1.0, "the same, 3..5 oxygens in 2x2x2"
    ),
    "narrow-dense": Family(
        lambda rng: flat_narrow(rng, dense_box), 1.0, "the same, 4 oxygens in 2x2x3"
    ),
    "level-strip": Family(lambda rng: level(rng, strip), 1.0, "flat 0..0.15-0.4 eV, no tilt"),
}


@dataclass
class Outcome:
    """One instance at one tolerance."""

    family: str
    number: int
    tolerance: float
    error: float
    beyond_noise: float
    leg: int
    reading: int
    site: int
    hops_per_copy: float


def measure(
    name: str, number: int, seed: int, tolerances: list[float], copies: int, deviations: float
) -> list[Outcome]:
    """Errors of one instance at every tolerance; the exact solution is computed once."""
    family = FAMILIES[name]
    place = list(FAMILIES).index(name)
    instance = family.draw(np.random.default_rng([seed, place, number]))
    master = instance.master
    exact = master.occupation(instance.exact(DRIVES, family.duration_s, HALVINGS))
    outcomes = []
    for tolerance in tolerances:
        occupied, hops = instance.simulate(
            copies,
            number,
            tolerance,
            DRIVES,
            family.duration_s,
            HALVINGS,
            family.duration_s * 2.0 ** -HALVINGS[0],
        )
        excess = beyond_noise(occupied, exact, deviations)
        leg, reading, site = (int(k) for k in np.unravel_index(excess.argmax(), excess.shape))
        outcomes.append(
            Outcome(
                name,
                number,
                tolerance,
                float(np.abs(occupied.mean(axis=-2) - exact).max()),
                max(float(excess.max()), 0.0),
                leg,
                HALVINGS[reading],
                site,
                hops / copies,
            )
        )
    return outcomes


def summary(outcomes: list[Outcome]) -> str:
    """One line of the table: errors beyond noise, and hops."""
    error = np.array([o.beyond_noise for o in outcomes])
    hops = np.array([o.hops_per_copy for o in outcomes])
    first = outcomes[0]
    return (
        f"{first.family:14s} {first.tolerance:9.4g} {len(outcomes):5d} {error.max():8.4f} "
        f"{np.quantile(error, 0.95):8.4f} {np.median(error):8.4f} {(error > 0.01).sum():6d} "
        f"{(error > 0.02).sum():6d} {hops.mean():10.0f} {hops.max():10.0f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog="families: " + "; ".join(f"{k}: {f.about}" for k, f in FAMILIES.items()),
    )
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    parser.add_argument("--instances", type=int, default=100, help="of each family")
    parser.add_argument("--tolerances", type=float, nargs="+", default=[0.1, 1 / 30])
    parser.add_argument("--copies", type=int, default=4000, help="of each instance")
    parser.add_argument("--deviations", type=float, default=4.5, help="standard errors of noise")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--csv", type=Path, help="one line an instance and tolerance")
    options = parser.parse_args()

    print(
        f"{'family':14s} tolerance     n    worst      p95   median  >0.01  >0.02  "
        "hops/copy        max",
        flush=True,
    )
    everything = []
    for name in options.families:
        began = time.perf_counter()
        outcomes = []
        for number in range(options.instances):
            outcomes += measure(
                name, number, options.seed, options.tolerances, options.copies, options.deviations
            )
        for tolerance in options.tolerances:
            print(summary([o for o in outcomes if o.tolerance == tolerance]), flush=True)
        print(f"  ({time.perf_counter() - began:.0f} s)", file=sys.stderr, flush=True)
        everything += outcomes
        if options.csv:
            with options.csv.open("w", newline="") as file:
                writer = csv.DictWriter(file, list(vars(everything[0])))
                writer.writeheader()
                writer.writerows(vars(outcome) for outcome in everything)


if __name__ == "__main__":
    main()
