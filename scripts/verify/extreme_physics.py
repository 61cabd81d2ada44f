"""Conductance, spin, potential and circuit at extreme parameters: a finite result or an error.

    python scripts/verify/extreme_physics.py [--cases 5000] [--seed 1]

Each case draws the parameters of one calculation, some of them over the whole range of a double.
Numpy warnings are errors. The exit code is 1 if a case crashed, hung, raised anything but
ValueError or RuntimeError, or gave a number that is not finite or not physical.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import fields

import numpy as np
from subprocess_cases import run_cases

from kmc_oxy.physics import (
    FilamentNetwork,
    Lattice,
    NetworkParameters,
    SpinParameters,
    SpinValve,
    current,
    screened_potential_V,
    solve_crossbar,
    vector_matrix,
)
from kmc_oxy.physics.potential import dielectric_profile


def number(rng: np.random.Generator, usual: float) -> float:
    """Often near the usual value; otherwise from the whole range of a double, of either sign."""
    kind = rng.random()
    if kind < 0.6:
        return usual * 10 ** rng.uniform(-2, 2)
    if kind < 0.8:
        return usual * 10 ** rng.uniform(-30, 30)
    return 10.0 ** rng.uniform(-307, 308) * (1 if rng.random() < 0.9 else -1)


def size(rng: np.random.Generator, usual: float) -> float:
    return abs(number(rng, usual))


def filament(rng: np.random.Generator) -> bool:
    lengths = [number(rng, v) if rng.random() < 0.05 else v for v in (0.835e-9, 5e-9, 1e-9)]
    shape = [int(n) for n in rng.integers((1, 1, 1, 0), (6, 6, 6, 3))]
    lattice = Lattice(*shape, *lengths)
    network = NetworkParameters(
        **{
            field.name: 0.0 if rng.random() < 0.1 else number(rng, float(field.default) or 1.0)
            for field in fields(NetworkParameters)
            if rng.random() < 0.1
        }
    )
    spin = SpinParameters(
        rng.choice(["impurity_exchange", "julliere", "none"]),
        *(float(p) for p in rng.choice([-1, 1, 0.5, 0], 2)),
        *(number(rng, usual) if rng.random() < 0.2 else usual for usual in (1e-5, 1.0, 5e-3, 0.02)),
    )
    valve = SpinValve(FilamentNetwork.draw(lattice, network, rng, rng), spin)
    occupied = rng.random(lattice.n_sites) < rng.random()
    mean_S = valve.network.conductance(occupied)
    swept_S, _ = valve.field_sweep(occupied, [number(rng, 0.01) for _ in range(5)])
    closed = network.leak_per_column or network.multistep_per_column
    results = [mean_S, *valve.conductances(occupied), valve.magnetoresistance(occupied), *swept_S]
    return (
        bool(np.isfinite(results).all())
        and (mean_S > 0 or (mean_S == 0 and not closed))
        and -1e-6 <= valve.transmission(occupied) <= 1 + 1e-6
        and bool((valve.network.depletion_width_m(occupied) > 0).all())
    )


def array(rng: np.random.Generator) -> bool:
    rows, columns = (int(n) for n in rng.integers(1, 12, 2))
    conductance = 10 ** rng.uniform(-8, -3, (rows, columns)) * size(rng, 1.0)
    if rng.random() < 0.3:
        conductance.flat[rng.integers(conductance.size)] = size(rng, 1e-5)
    row, column = np.full(rows, number(rng, 1.0)), rng.normal(size=columns) * number(rng, 1.0)
    if rng.random() < 0.3:
        row[rng.integers(rows)] = np.nan
    scale = None if rng.random() < 0.3 else size(rng, 0.3)
    line = 0.0 if rng.random() < 0.2 else size(rng, 10.0)
    found = solve_crossbar(conductance, row, column, line, scale)
    product = vector_matrix(conductance, column, line, scale)
    numbers = [found.cell_voltage_V, found.residual_A, *found.line_current_A, *product]
    return all(np.isfinite(each).all() for each in numbers)


def junction(rng: np.random.Generator) -> bool:
    voltage = [number(rng, 1.0) for _ in range(3)]
    return bool(np.isfinite(current(size(rng, 1e-6), voltage, size(rng, 0.3))).all())


def layers(rng: np.random.Generator) -> bool:
    n = int(rng.integers(1, 8))
    thickness, permittivity, charge = (
        np.array([number(rng, usual) for _ in range(n)]) for usual in (1e-9, 3.0, 1e6)
    )
    found = screened_potential_V(np.abs(thickness), np.abs(permittivity), charge, number(rng, 5e-9))
    return bool(np.isfinite(found).all())


def dielectrics(rng: np.random.Generator) -> bool:
    organic = size(rng, 1e-8)
    z = np.linspace(0, organic, 4)
    found = dielectric_profile(z, organic, 1.2 * organic, number(rng, 3.0), number(rng, 9.0))
    return bool(np.isfinite(found).all())


CALCULATIONS = (filament, filament, array, array, junction, layers, dielectrics)


def prepared(seed: int) -> Callable[[int], str]:
    def result(case: int) -> str:
        calculation = CALCULATIONS[case % len(CALCULATIONS)]
        name = calculation.__name__
        try:
            right = calculation(np.random.default_rng((seed, case)))
        except (ValueError, RuntimeError) as error:
            if not str(error).startswith("The "):
                return f"raised another error: {name}: {error!r}"
            return f"{name} refused ({type(error).__name__})"
        except Exception as error:
            return f"raised another error: {name}: {error!r}"
        return f"{name} right" if right else f"wrong: {name}"

    return result


if __name__ == "__main__":
    sys.exit(run_cases(__doc__, prepared))
