"""Figure 3: conductance against pulse number, from the outputs of fig3a.yaml and fig3b.yaml."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from drawing import command_line, draw_mean, save, style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from kmc_oxy.analysis import fit, legs
from kmc_oxy.paper import scanned
from kmc_oxy.storage import OutputFile, open_output


def main(inputs: Sequence[Path], output: Path) -> None:
    """Draw both panels; lines are a + b ln N, bands 95 % intervals of the mean."""
    figure = Figure(figsize=(10, 4.4), layout="constrained")
    for axes, path, title in zip(
        figure.subplots(1, 2), inputs, ("a) +2 V pulses", "b) -2.8 V pulses"), strict=True
    ):
        with open_output(path) as file:
            draw_trains(axes, file)
        axes.set_title(title, loc="left")
    save(figure, output)


def draw_trains(axes: Axes, file: OutputFile) -> None:
    """One train per pulse duration."""
    duration_s = scanned(file, "duration")
    for point, length_s in enumerate(duration_s):
        (train,) = (leg for leg in legs(file, point) if leg.kind == "train")
        values = train.values(file, "conductance")
        how = style(point)
        label = f"{1e3 * length_s:g} ms"
        draw_mean(axes, train.pulse, values, **how, linestyle="none", label=label)
        after = train.pulse[1:]
        axes.plot(after, fit(after, values[:, 1:].mean(axis=0), "log")(after), color=how["color"])
    axes.set_xlabel("pulse number N (lines: a + b ln N)")
    axes.set_ylabel(f"conductance of a patch, mean of {len(values)}")
    axes.yaxis.set_major_formatter(EngFormatter(unit="S"))
    axes.legend(frameon=False, fontsize="small", title="pulse length")


if __name__ == "__main__":
    command_line(__doc__, main, inputs=2)
