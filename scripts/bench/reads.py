"""Time and error of a reading, and its share of a relaxation.

    taskset -c 0 python scripts/bench/reads.py [--rounds 5] [--record [--note TEXT]]

A reading is the conductance and the magnetoresistance of one cell at a new occupation (random, so
that nothing carries over from the last one). The error is that of the conductance against a dense
solve, up to 3000 nodes, and against a sparse direct one beyond.
"""

from __future__ import annotations

import time
from collections import Counter
from statistics import median
from typing import Any

import numpy as np
import rounds
from rounds import Case, Figure

import kmc_oxy.physics.filament_network
from kmc_oxy.inputs.schema import Input
from kmc_oxy.physics import SpinValve
from kmc_oxy.protocol import flatten
from kmc_oxy.simulation import CrossPoint, Simulation, TaskParameters

#: The patch of 16 x 16 columns has about the 500 nodes of which 1.5 ms are asked.
PATCHES = (14, 16, 20, 24, 32, 48, 64)
OCCUPATIONS = 10
DENSE_NODES = 3000

spent_s: Counter[str] = Counter()


class TimedKernel(kmc_oxy.physics.filament_network.FilamentKernel):
    """Adds up what its parts take, in seconds of the processor."""

    def assemble(self, *arguments: Any) -> None:
        start = time.process_time()
        super().assemble(*arguments)
        spent_s["assembly"] += time.process_time() - start

    def conductance(self, *arguments: Any) -> float:
        start = time.process_time()
        value = super().conductance(*arguments)
        spent_s["charge"] += time.process_time() - start
        spent_s["steps"] += self.iterations
        return value

    def transmission(self, *arguments: Any) -> float:
        start = time.process_time()
        value = super().transmission(*arguments)
        spent_s["spin"] += time.process_time() - start
        return value


class Patch:
    """A square patch of the default device, and occupations to read."""

    def __init__(self, extent: int) -> None:
        inputs = Input.model_validate(
            {"device": {"lattice": {"nx": extent, "ny": extent}}, "protocol": [{"read": {}}]}
        )
        device = CrossPoint.build(inputs, 0, 0, 0, seed=1)
        rng = np.random.default_rng(1)
        self.valve = device.spin_valve
        self.occupations = [rng.permutation(device.occupied_at_start) for _ in range(OCCUPATIONS)]
        self.valve.conductances(self.occupations[-1])
        self.nodes = self.valve.network._kernel.n_nodes
        self.oxygens = int(device.occupied_at_start.sum())
        name = f"{self.oxygens} oxygens, {self.nodes} nodes"
        asked = 1.5 if 450 <= self.nodes <= 550 else None
        self.figures = [Figure(f"{name}: a reading", "ms", asked, True)]
        self.figures += [
            Figure(f"{name}: {part}", "ms", None, True)
            for part in ("assembly", "solve for charge", "solve for spin", "rest")
        ]
        self.figures.append(Figure(f"{name}: steps for charge", "1", None, True))

    def measure(self) -> list[float]:
        """ms a reading: all, assembly, charge, spin, the rest; and steps of the charge solve."""
        spent_s.clear()
        start = time.process_time()
        for occupied in self.occupations:
            self.valve.conductances(occupied)
        all_s = time.process_time() - start
        parts = [spent_s[name] for name in ("assembly", "charge", "spin")]
        times = [1e3 * value / OCCUPATIONS for value in (all_s, *parts, all_s - sum(parts))]
        return [*times, spent_s["steps"] / OCCUPATIONS]

    def error(self) -> tuple[float, str]:
        """Largest relative error of the conductances, and what they were compared with."""
        network, worst = self.valve.network, 0.0
        dense = self.nodes <= DENSE_NODES
        for occupied in self.occupations[: 2 if self.nodes > 1000 else None]:
            fast = network.conductance(occupied)
            exact = dense_conductance(network) if dense else (
                network.conductance(occupied, "reference"))  # fmt: skip
            worst = max(worst, abs(fast / exact - 1))
        return worst, "dense" if dense else "sparse direct"


def dense_conductance(network: kmc_oxy.physics.filament_network.FilamentNetwork) -> float:
    """Conductance (S) of the network's last assembly by LAPACK."""
    _, bottom, top, first, second, link = network._kernel.links()
    matrix = np.diag(bottom + top)
    np.subtract.at(matrix, (first, second), link)
    np.subtract.at(matrix, (second, first), link)
    for ends in (first, second):
        np.add.at(matrix, (ends, ends), link)
    v = np.linalg.solve(matrix, bottom)
    drop = v[first] - v[second]
    relative = bottom @ (1 - v) ** 2 + top @ v**2 + link @ drop**2
    p = network.parameters
    return float(relative * p.conductance_scale_S * p.patches + network.leak_S)


def relaxation(tolerance: float, reach: int) -> tuple[float, float]:
    """Seconds of 2 V and then 101 readings over 10 decades, and the share of readings (%)."""
    inputs = Input.model_validate(
        {
            "protocol": [
                {"pulse": {"voltage": 2.0, "duration": 1.0}},
                {"relax": {"voltage": 0.0, "first": 1e-5, "duration": 1e5}},
            ],
            "engine": {"tolerance": tolerance, "reach": reach},
        }
    )
    simulation = Simulation(
        inputs,
        flatten(inputs.protocol),
        TaskParameters(point=0, member=0, seed=1, tolerance=tolerance),
    )
    inside_s = 0.0
    read = SpinValve.conductances

    def timed(self: SpinValve, occupied: Any) -> tuple[float, float]:
        nonlocal inside_s
        start = time.process_time()
        values = read(self, occupied)
        inside_s += time.process_time() - start
        return values

    SpinValve.conductances = timed  # type: ignore[method-assign]
    try:
        start = time.process_time()
        for _ in simulation.run():
            pass
        all_s = time.process_time() - start
    finally:
        SpinValve.conductances = read  # type: ignore[method-assign]
    return all_s, 100 * inside_s / all_s


def print_readings(patches: list[Patch], values: rounds.Values) -> None:
    """A line a patch: medians, and the error."""
    print(
        "\n| oxygens | nodes | a reading, ms | best, ms | assembly | solve for charge "
        "| solve for spin | rest | steps for charge | error of conductance | against |"
    )
    print("|---|" + 10 * "---|")
    for patch in patches:
        found = [values[figure] for figure in patch.figures]
        whole, *parts, steps = (median(each) for each in found)
        shares = " | ".join(f"{100 * part / whole:.0f} %" for part in parts)
        error, against = patch.error()
        print(
            f"| {patch.oxygens} | {patch.nodes} | {whole:.3g} | {min(found[0]):.3g} | {shares} "
            f"| {steps:.1f} | {error:.1e} | {against} |"
        )


def main() -> None:
    arguments = rounds.parser(__doc__, rounds=5).parse_args()
    rounds.print_circumstances()
    kmc_oxy.physics.filament_network.FilamentKernel = TimedKernel  # type: ignore[misc]
    patches = [Patch(extent) for extent in PATCHES]
    cases = [Case(patch.figures, patch.measure) for patch in patches]
    for tolerance, reach in ((0.1, 1), (1 / 30, 1), (1 / 30, 2)):
        name = f"relax of 101 points, tolerance {tolerance:.3g}, reach {reach}"
        cases.append(
            Case(
                [Figure(f"{name}: all", "s", None, True),
                 Figure(f"{name}: share of readings", "%", None, True)],
                lambda tolerance=tolerance, reach=reach: relaxation(tolerance, reach),
                most_rounds=3,
            )
        )  # fmt: skip
    values = rounds.interleave(cases, arguments.rounds)
    print_readings(patches, values)
    rounds.print_table("share of readings", {
        figure: found for figure, found in values.items() if figure.name.startswith("relax")
    })  # fmt: skip
    if arguments.record:
        rounds.record(values, arguments.note)
    rounds.print_circumstances()


if __name__ == "__main__":
    main()
