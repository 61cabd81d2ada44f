"""Figure 2b,d: G(H) of potentiated and depressed states, from the output of fig2.yaml."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from drawing import command_line, draw_mean, save, style
from matplotlib.figure import Figure

from kmc_oxy.inputs.schema import Input
from kmc_oxy.simulation import CrossPoint
from kmc_oxy.storage import OutputFile, open_output

#: Down from positive saturation and up again, T.
FIELDS_T = np.concatenate([np.linspace(0.05, -0.05, 201), np.linspace(-0.05, 0.05, 201)])


def main(input: Path, output: Path) -> None:
    """Draw both loops, each relative to its parallel state; bands are 95 % intervals."""
    with open_output(input) as file:
        voltage_V = file["voltage"][0, 0, 0, :]
        loops = [field_loops(file, snapshot) for snapshot in range(voltage_V.size)]
    figure = Figure(figsize=(3.2 * len(loops), 4.2), layout="constrained")
    panels = figure.subplots(1, len(loops), sharey=True)
    for axes, loop, volts in zip(panels, loops, voltage_V, strict=True):
        half = FIELDS_T.size // 2
        for number, (part, name) in enumerate(
            ((slice(0, half), "field falls"), (slice(half, None), "field rises"))
        ):
            how = style(number) | {"marker": None, "linestyle": "--" if number else "-"}
            draw_mean(axes, 1e3 * FIELDS_T[part], loop[:, part], **how, label=name)
        state = "potentiated" if volts > 0 else "depressed"
        axes.set_title(f"{state}: after {volts:+g} V", loc="left", fontsize="medium")
        axes.set_xlabel("magnetic field (mT)")
    panels[0].set_ylabel(f"G(H)/G(50 mT) - 1 (%), mean of {len(loops[0])} patches")
    panels[0].legend(frameon=False, fontsize="small")
    save(figure, output)


def field_loops(file: OutputFile, snapshot: int) -> np.ndarray:
    """Change of conductance along the loop with the oxygens of a stored snapshot.

    Returns
    -------
    ndarray, shape (members, fields)
        In per cent of the conductance in the largest field.
    """
    inputs = Input.model_validate(file.resolved)
    sites = file["oxygen_site"][0, :, 0, 0, snapshot]
    loops = []
    for member, of_member in enumerate(sites):
        device = CrossPoint.build(inputs, member, 0, 0, file.manifest().seed)
        occupied = np.zeros(device.lattice.n_sites, dtype=bool)
        occupied[of_member[of_member >= 0]] = True
        values_S, _ = device.spin_valve.field_sweep(occupied, FIELDS_T, (1.0, 1.0))
        loops.append(100 * (values_S / values_S[0] - 1))
    return np.array(loops)


if __name__ == "__main__":
    command_line(__doc__, main, inputs=1)
