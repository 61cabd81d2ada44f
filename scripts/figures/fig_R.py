"""The on/off ratio: extremal states of every patch, from the output of fig_R.yaml."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from drawing import command_line, save, style
from matplotlib.figure import Figure

from kmc_oxy.analysis import Estimate
from kmc_oxy.paper import scanned
from kmc_oxy.storage import open_output


def main(input: Path, output: Path) -> None:
    """Draw the cumulated distribution of on/off at each temperature; bars are 95 % intervals."""
    figure = Figure(figsize=(5.6, 4.4), layout="constrained")
    axes = figure.add_subplot()
    with open_output(input) as file:
        temperature_K = scanned(file, "temperature")
        values = file["conductance"][:, :, 0, 0, :2]
    for point, kelvin in enumerate(temperature_K):
        ratio = np.sort(values[point, :, 0] / values[point, :, 1])
        share = (np.arange(ratio.size) + 0.5) / ratio.size
        how = style(point)
        axes.plot(ratio, share, **how, linewidth=1, label=f"{kelvin:g} K")
        found = Estimate.of_positive(ratio)
        bars = [[found.value - found.low], [found.high - found.value]]
        axes.errorbar([found.value], [0.5], xerr=bars, capsize=4, linewidth=2, **how)
    axes.axvspan(3e3, 3e4, color="0.9", zorder=0, label="published: about 1e4")
    axes.set_xscale("log")
    axes.set_xlabel("on/off ratio of a patch, +4 V and -4 V, 3 s")
    axes.set_ylabel("share of the patches below")
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize="small")
    save(figure, output)


if __name__ == "__main__":
    command_line(__doc__, main, inputs=1)
