"""Figure 1: the array and the stack of one cross-point, drawn from an input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from drawing import command_line, save
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from kmc_oxy.inputs import at_point, load
from kmc_oxy.inputs.schema import Input
from kmc_oxy.simulation import CrossPoint

CO, OXIDE, ORGANIC, LSMO = "0.65", "0.9", "#d9ead3", "0.45"
#: Thickness of the electrodes (paper, experimental section), nm.
CO_NM, LSMO_NM = 10.0, 20.0
#: Depth along y of the slice whose oxygens are shown, sites.
SLICE = 4


def main(input: Path, output: Path) -> None:
    """Draw the lines of the array, the stack with the oxygens of one device, and its potential."""
    inputs = at_point(load(input).model, 0)
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    array, stack, potential = figure.subplots(1, 3, width_ratios=[1.1, 1.6, 0.8])
    draw_array(array, inputs)
    device = CrossPoint.build(inputs, 0, 0, 0, inputs.ensemble.seed or 0)
    draw_stack(stack, device)
    draw_potential(potential, device)
    save(figure, output)


def draw_array(axes: Axes, inputs: Input) -> None:
    """Top view: rows are LSMO lines (neurons), columns Co lines (inputs)."""
    rows, columns = inputs.crossbar.rows, inputs.crossbar.columns
    for row in range(rows):
        axes.add_patch(Rectangle((-0.9, row - 0.3), columns + 0.8, 0.6, color=LSMO))
        axes.text(-1.0, row, f"neuron {row + 1}", ha="right", va="center", fontsize="small")
    axes.add_patch(Rectangle((-0.5, -0.5), columns, rows, color=ORGANIC, alpha=0.6))
    for column in range(columns):
        axes.add_patch(Rectangle((column - 0.3, -0.9), 0.6, rows + 0.8, color=CO, alpha=0.85))
        name = f"input {chr(ord('A') + column)}" if columns <= 26 else f"input {column + 1}"
        axes.text(column, -1.0, name, ha="center", va="bottom", fontsize="small")
    axes.set_xlim(-2.2, columns)
    axes.set_ylim(rows, -1.5)
    axes.set_aspect("equal")
    axes.axis("off")
    axes.set_title(f"array of {rows} x {columns}, from above (lines: 1 mm)", fontsize="medium")


def draw_stack(axes: Axes, device: CrossPoint) -> None:
    """Cross-section to scale, electrodes cut, with the oxygens of a slice at the start."""
    lattice = device.lattice
    organic = 1e9 * lattice.organic_thickness_m
    stack = 1e9 * lattice.stack_m
    width = 1e9 * lattice.box_m[0]
    shown = 2.5
    for bottom, height, colour, name in (
        (-shown, shown, LSMO, f"LSMO {LSMO_NM:g} nm"),
        (0.0, organic, ORGANIC, f"Gaq3 {organic:g} nm"),
        (organic, stack - organic, OXIDE, f"AlOx {stack - organic:g} nm"),
        (stack, shown, CO, f"Co {CO_NM:g} nm"),
    ):
        axes.add_patch(Rectangle((0, bottom), width, height, facecolor=colour, edgecolor="k"))
        axes.text(1.02 * width, bottom + height / 2, name, va="center", fontsize="small")
    row = np.arange(lattice.n_sites) // lattice.nx % lattice.ny
    x, _, z = 1e9 * lattice.position_m[device.occupied_at_start & (row < SLICE)].T
    label = f"oxygens of {SLICE} of {lattice.ny} rows"
    axes.plot(x, z, "o", color="#b2182b", markersize=4, label=label)
    axes.set_xlim(-0.5, 1.3 * width)
    axes.set_ylim(-shown, stack + shown)
    axes.set_aspect("equal")
    axes.set_xlabel("x (nm)")
    axes.set_ylabel("z (nm)")
    axes.set_title("one patch of a cross-point at the start", fontsize="medium")
    axes.legend(loc="upper center", bbox_to_anchor=(0.45, -0.15), frameon=False, fontsize="small")


def draw_potential(axes: Axes, device: CrossPoint) -> None:
    """Share of the voltage against height, a point a layer."""
    lattice = device.lattice
    per_layer = device.potential_per_volt.reshape(lattice.n_layers, -1)[:, 0]
    axes.plot(per_layer, 1e9 * lattice.layer_z_m, "ko-", markersize=4)
    axes.axhline(1e9 * lattice.organic_thickness_m, color="0.5", linewidth=0.8)
    axes.set_ylim(-2.5, 1e9 * lattice.stack_m + 2.5)
    axes.set_xlim(-0.05, 1.05)
    axes.set_xlabel("potential/V of the layers")
    axes.set_ylabel("z (nm)")
    axes.set_title(f"profile: {device.inputs.device.field.profile}", fontsize="medium")


if __name__ == "__main__":
    command_line(__doc__, main, inputs=1)
