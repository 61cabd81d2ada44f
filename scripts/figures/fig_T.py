"""The threshold: change by one pulse against its voltage, from the output of fig_T.yaml."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from drawing import command_line, save, style
from matplotlib.figure import Figure

from kmc_oxy.analysis import ensemble_mean
from kmc_oxy.paper import scanned
from kmc_oxy.storage import open_output


def main(input: Path, output: Path) -> None:
    """Draw a panel per intermediate state; bars are 95 % intervals of the mean."""
    with open_output(input) as file:
        preparation = scanned(file, "steps")
        voltage_V, duration_s = scanned(file, "voltage"), scanned(file, "duration")
        values = file["conductance"][:, :, 0, 0, :2]
    change = 100 * (values[..., 1] / values[..., 0] - 1)
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    titles = ("on state, then 5 x -2.8 V", "off state, then 5 x +3 V")
    for axes, state, title in zip(panels, dict.fromkeys(preparation), titles, strict=True):
        for number, length_s in enumerate(np.unique(duration_s)):
            chosen = np.flatnonzero((preparation == state) & (duration_s == length_s))
            found = ensemble_mean(change[chosen], axis=1)
            axes.errorbar(
                voltage_V[chosen], found.mean, found.high - found.mean, capsize=3,
                linewidth=1, label=f"{1e3 * length_s:g} ms", **style(number),
            )  # fmt: skip
        axes.axvspan(-1, 1.75, color="0.9", zorder=0)
        axes.axhspan(-5, 5, color="0.8", zorder=0)
        axes.set_yscale("symlog", linthresh=5)
        ticks = (-50, -20, -5, 0, 5, 20, 50)
        axes.set_yticks(ticks, labels=[str(tick) for tick in ticks])
        axes.set_xlabel("voltage of the pulse V(LSMO) - V(Co) (V)")
        axes.set_title(title, loc="left")
    panels[0].set_ylabel("change of conductance (%)")
    panels[0].legend(frameon=False, fontsize="small", title="pulse length")
    save(figure, output)


if __name__ == "__main__":
    command_line(__doc__, main, inputs=1)
