"""Crosstalk: change of half-selected cells by the voltage of the writes, from fig_X.yaml."""

from __future__ import annotations

from pathlib import Path

from drawing import command_line, save
from matplotlib.figure import Figure

from kmc_oxy.paper import WRITES, crosstalk
from kmc_oxy.storage import open_output


def main(input: Path, output: Path) -> None:
    """Draw the mean of each kind of writes with its 95 % interval, and the published range."""
    with open_output(input) as file:
        found = [verdict.estimate for verdict in crosstalk(file)]
    figure = Figure(figsize=(5.6, 4.4), layout="constrained")
    axes = figure.add_subplot()
    axes.axhspan(4, 12, color="0.9", zorder=0)
    axes.axhline(8, color="0.5", linestyle="--", label="published: 8 % on average")
    places = range(len(found))
    value = [each.value for each in found]
    bars = [[each.value - each.low for each in found], [each.high - each.value for each in found]]
    axes.errorbar(places, value, bars, fmt="ko", capsize=4, label="simulated, 95 % interval")
    axes.set_xticks(places, labels=[f"{up:+g} V, {down:+g} V" for up, down in WRITES])
    axes.set_xlim(-0.5, len(found) - 0.5)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("voltages of the writes (V/2 scheme, 5 pulses of 10 ms)")
    axes.set_ylabel("mean change of half-selected cells (%)")
    axes.legend(frameon=False, fontsize="small")
    save(figure, output)


if __name__ == "__main__":
    command_line(__doc__, main, inputs=1)
