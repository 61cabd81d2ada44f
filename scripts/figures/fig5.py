"""Figure 5b,c: the energy landscape along a path of a real device, between and during pulses."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from drawing import command_line, save
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra

from kmc_oxy.inputs import at_point, load
from kmc_oxy.simulation import CrossPoint
from kmc_oxy.units import BOLTZMANN_EV_PER_K

#: Voltages between and during the pulses of figure 3a, V.
BETWEEN_V, DURING_V = -0.1, 2.0
#: Scale of the cost exp(S/scale) of a saddle at energy S: the path avoids high ones, eV.
COST_SCALE_EV = 0.05
#: Time within which a barrier counts as crossed by activation, s.
CROSSED_WITHIN_S = 1.0


def main(input: Path, output: Path) -> None:
    """Draw the easiest way from AlOx to LSMO in the first device of an input."""
    inputs = at_point(load(input).model, 0)
    device = CrossPoint.build(inputs, 0, 0, 0, inputs.ensemble.seed or 0)
    path = easiest_path(device)
    figure = Figure(figsize=(10, 7), layout="constrained")
    panels = figure.subplots(2, 1, sharex=True)
    for axes, volts, title in zip(
        panels, (BETWEEN_V, DURING_V), ("b) between pulses", "c) during a pulse"), strict=True
    ):
        draw_landscape(axes, device, path, volts)
        axes.set_title(f"{title}: {volts:+g} V, {inputs.device.temperature:g} K", loc="left")
        axes.legend(frameon=False, fontsize="small", ncols=2)
        axes.set_xlim(-0.5, path.size - 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    panels[1].set_xlabel("sites along the path from AlOx (left) to LSMO (right)")
    save(figure, output)


def saddles_eV(device: CrossPoint, volts: float) -> NDArray[np.float64]:
    """Energy of the saddle of every bond, in the field, from its rate."""
    given = device.inputs.device
    frequency_Hz = given.oxygen.attempt_frequency
    potential_V = device.potential_per_volt * volts
    forward, _ = device.landscape.rates(potential_V, given.temperature, frequency_Hz)
    start = device.landscape.energy_eV(potential_V)[device.landscape.bonds[:, 0]]
    thermal_eV = BOLTZMANN_EV_PER_K * given.temperature
    found: NDArray[np.float64] = start - thermal_eV * np.log(forward / frequency_Hz)
    return found


def easiest_path(device: CrossPoint) -> NDArray[np.int64]:
    """Sites of the cheapest way from any site of the top oxide layer to any of the first layer."""
    lattice, landscape = device.lattice, device.landscape
    saddle = saddles_eV(device, 0.0)
    cost = np.exp((saddle - saddle.min()) / COST_SCALE_EV)
    i, j = landscape.bonds.T
    graph = csr_matrix((cost, (i, j)), shape=(landscape.n_sites, landscape.n_sites))
    sources = np.flatnonzero(lattice.layer == lattice.n_layers - 1)
    distance, before, _ = dijkstra(
        graph, directed=False, indices=sources, min_only=True, return_predecessors=True
    )
    first = np.flatnonzero(lattice.layer == 0)
    path = [int(first[distance[first].argmin()])]
    while before[path[-1]] >= 0:
        path.append(int(before[path[-1]]))
    return np.array(path[::-1])


def draw_landscape(axes: Axes, device: CrossPoint, path: NDArray, volts: float) -> None:
    """Energies of sites and saddles, joined by half cosines; hops to the right are classed."""
    energy = device.landscape.energy_eV(device.potential_per_volt * volts)[path]
    saddle = saddles_eV(device, volts)
    number = {tuple(sorted(bond)): k for k, bond in enumerate(device.landscape.bonds.tolist())}
    on_path = np.array([saddle[number[min(a, b), max(a, b)]] for a, b in pairwise(path)])
    barrier = on_path - energy[:-1]
    given = device.inputs.device
    reach_eV = (
        BOLTZMANN_EV_PER_K
        * given.temperature
        * np.log(given.oxygen.attempt_frequency * CROSSED_WITHIN_S)
    )
    for step, height in enumerate(barrier):
        x = np.linspace(0, 1, 41)
        half = (1 - np.cos(2 * np.pi * x)) / 2
        ends = np.where(x < 0.5, energy[step], energy[step + 1])
        curve = ends + (on_path[step] - ends) * half
        how: dict[str, Any]
        if height <= 1e-9:
            how = {"color": "#1b7837", "linewidth": 3.0, "label": "no barrier left"}
        elif height < reach_eV:
            how = {"color": "#2166ac", "linewidth": 1.5, "linestyle": "--",
                   "label": f"crossed within {CROSSED_WITHIN_S:g} s by activation"}  # fmt: skip
        else:
            how = {"color": "#000000", "linewidth": 1.0, "label": "not crossed"}
        known = axes.get_legend_handles_labels()[1]
        axes.plot(step + x, curve, **how | ({"label": "_"} if how["label"] in known else {}))
    axes.plot(np.arange(path.size), energy, "o", color="0.3", markersize=4, label="sites")
    edge = np.flatnonzero(device.lattice.organic[path])[0] - 0.5
    axes.axvspan(-0.5, edge, color="0.92", zorder=0)
    axes.text(edge, 0.97, " Gaq3", transform=axes.get_xaxis_transform(), va="top")
    axes.text(edge, 0.97, "AlOx ", transform=axes.get_xaxis_transform(), va="top", ha="right")
    axes.set_ylabel("energy of an oxygen (eV)")


if __name__ == "__main__":
    command_line(__doc__, main, inputs=1)
