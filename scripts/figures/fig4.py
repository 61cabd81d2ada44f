"""Figure 4: slow dynamics, from the outputs of fig4a.yaml, fig4c.yaml and fig4d.yaml."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from drawing import COLOURS, command_line, draw_mean, save, style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from kmc_oxy.analysis import fit, legs
from kmc_oxy.storage import OutputFile, open_output


def main(inputs: Sequence[Path], output: Path) -> None:
    """Draw the four panels; bands are 95 % intervals of the mean."""
    figure = Figure(figsize=(10, 8), layout="constrained")
    panels = figure.subplots(2, 2)
    cycles, train, experiments = inputs
    with open_output(cycles) as file:
        draw_cycles(panels[0, 0], file)
        draw_relaxation(panels[0, 1], file)
    with open_output(train) as file:
        draw_train(panels[1, 0], file)
    with open_output(experiments) as file:
        draw_experiments(panels[1, 1], file)
    save(figure, output)


def draw_cycles(axes: Axes, file: OutputFile) -> None:
    """Conductance against time over the first cycles."""
    relaxations = [leg for leg in legs(file, 0) if leg.kind == "relax"]
    origin_s = float(file["time"][0, 0])
    for number, (sign, name) in enumerate(((1, "after +4 V, 3 s"), (-1, "after -4 V, 3 s"))):
        for leg in relaxations[:20]:
            if sign * leg.voltage_V[0] < 0:
                continue
            time_s = file["time"][0, leg.readings] - origin_s
            values = leg.values(file, "conductance")
            draw_mean(axes, time_s, values, **style(number), linewidth=1, label=name)
            name = "_"
    axes.set_yscale("log")
    axes.set_xlabel("time (s)")
    axes.set_title("a) cycles at 100 K", loc="left")
    _conductance(axes, len(values))
    axes.legend(frameon=False, fontsize="small", loc="center right")


def draw_relaxation(axes: Axes, file: OutputFile) -> None:
    """Relaxation after set and after reset, relative to its first reading, mean over cycles."""
    for number, (sign, name) in enumerate(((1, "after the set"), (-1, "after the reset"))):
        chosen = [
            leg for leg in legs(file, 0) if leg.kind == "relax" and sign * leg.voltage_V[0] > 0
        ]
        logarithm = np.mean([np.log(leg.values(file, "conductance")) for leg in chosen], axis=0)
        change = 100 * (logarithm - logarithm[:, :1])
        time_s = chosen[0].time_s
        how = style(number)
        draw_mean(axes, time_s, change, **how, linestyle="none", label=name)
        line = np.polyfit(np.log(time_s), change.mean(axis=0), 1)
        axes.plot(time_s, np.polyval(line, np.log(time_s)), color=how["color"], linestyle="--")
    axes.set_xscale("log")
    axes.set_xlabel("time since the pulse (s) (lines: a + b ln t)")
    axes.set_ylabel("change of ln G since the first reading (%)")
    axes.set_title(f"b) relaxation, mean of {len(chosen)} cycles", loc="left")
    axes.legend(frameon=False, fontsize="small")


def draw_train(axes: Axes, file: OutputFile) -> None:
    """Long train of depressing pulses with three laws."""
    (train,) = (leg for leg in legs(file, 0) if leg.kind == "train")
    number, values = train.pulse[1:], train.values(file, "conductance")[:, 1:]
    how = style(0) | {"markersize": 2}
    draw_mean(axes, number, values, **how, linestyle="none", label="simulated")
    for law, line in (("log", "-"), ("power", "--"), ("exponential", ":")):
        curve = fit(number, values.mean(axis=0), law)
        colour = COLOURS[1 + ("log", "power", "exponential").index(law)]
        axes.plot(number, curve(number), color=colour, linestyle=line, label=law)
    axes.set_xscale("log")
    axes.set_xlabel("pulse number $N_p$")
    axes.set_title("c) -3 V, 1 ms pulses over 400 s at 76 K", loc="left")
    _conductance(axes, len(values))
    axes.legend(frameon=False, fontsize="small")


def draw_experiments(axes: Axes, file: OutputFile) -> None:
    """Reset state of each experiment."""
    values = file["conductance"][0, :, 0, 0, :]
    number = np.arange(1, values.shape[1] + 1)
    how = style(0) | {"markersize": 3}
    draw_mean(axes, number, values, **how, linestyle="none", label="simulated")
    law = fit(number, values.mean(axis=0), "log")
    axes.plot(number, law(number), color=COLOURS[1], label=r"a + b ln $N_{exp}$")
    axes.set_xscale("log")
    axes.set_xlabel("number of the experiment $N_{exp}$ (400 s each)")
    axes.set_title("d) just after the -4 V, 1 s reset at 76 K", loc="left")
    _conductance(axes, len(values))
    axes.legend(frameon=False, fontsize="small")


def _conductance(axes: Axes, members: int) -> None:
    axes.set_ylabel(f"conductance of a patch, mean of {members}")
    axes.yaxis.set_major_formatter(EngFormatter(unit="S"))


if __name__ == "__main__":
    command_line(__doc__, main, inputs=3)
