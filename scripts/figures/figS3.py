"""Figure S3: on and off states over set and reset cycles, from the output of figS3.yaml."""

from __future__ import annotations

from pathlib import Path

from drawing import command_line, draw_mean, save, style
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, NullFormatter

from kmc_oxy.paper import cycle_numbers
from kmc_oxy.storage import open_output


def main(input: Path, output: Path) -> None:
    """Draw both states against the cycle; bands are 95 % intervals of the mean."""
    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    axes = figure.add_subplot()
    with open_output(input) as file:
        values = file["conductance"][0, :, 0, 0, :]
        cycle = cycle_numbers(file)
    for number, name in enumerate(("after the set", "after the reset")):
        draw_mean(axes, cycle, values[:, number::2], **style(number), linewidth=1, label=name)
    axes.set_yscale("log")
    axes.set_xlabel("cycle")
    axes.set_ylabel(f"conductance of a patch, mean of {len(values)}")
    axes.yaxis.set_major_formatter(EngFormatter(unit="S"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.legend(frameon=False, fontsize="small")
    save(figure, output)


if __name__ == "__main__":
    command_line(__doc__, main, inputs=1)
