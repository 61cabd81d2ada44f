"""Panels of arrays: conductance maps, programmed cells, crosstalk, and loops G(H)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.patches import Rectangle
from matplotlib.ticker import EngFormatter, MaxNLocator
from numpy.typing import NDArray

from kmc_oxy.analysis import (
    PUBLISHED,
    EnsembleMean,
    Leg,
    crosstalk,
    ensemble_mean,
    mean_over_members,
)
from kmc_oxy.figures.panel import Panel, RunData, joined
from kmc_oxy.figures.scan_labels import short_quantity
from kmc_oxy.figures.style import (
    COLOURS,
    draw_curve,
    draw_legend,
    evenly_spaced,
    line_style,
    members_text,
    set_y_scale,
    style,
)
from kmc_oxy.storage import OutputFile

#: More maps than this are thinned.
MAX_MAPS = 3
#: A colour scale of less than this ratio has its minor ticks labelled.
LABEL_BELOW_RATIO = 30.0
#: More programmed cells than this are drawn without their spread over members.
MAX_SPREADS = 3
#: Larger arrays have no numbers in their cells.
MAX_LABELLED_CELLS = 64

SIEMENS = EngFormatter(unit="S", places=None, sep=" ")


def conductance_maps(data: RunData) -> Panel | None:
    """Maps of an array, at one point of a scan."""
    legs, note = data.at_one_point("map")
    maps = [number for number, leg in enumerate(legs) if leg.kind == "map"]
    rows, columns = data.file["conductance"].shape[2:4]
    if not maps or rows * columns == 1:
        return None
    chosen = evenly_spaced(maps, MAX_MAPS)
    thinned = f"{len(chosen)} of {len(maps)} maps" if len(chosen) < len(maps) else ""
    return Panel(
        len(chosen),
        lambda axes: _draw_maps(axes, data, legs, chosen),
        "conductance maps",
        "Conductance (S) of every cell as the instrument reads it, on one logarithmic "
        f"scale of colours; {data.averages.name} over members. The frame is the cell programmed.",
        f"{len(chosen)} of {len(maps)} maps of the conductances of an array of {rows} "
        f"rows and {columns} columns.",
        joined(note, thinned),
        frozenset({"map"}),
    )


def programmed_cells(data: RunData) -> Panel | None:
    """Programmed cells against the pulses of their steps, at one point of a scan."""
    legs, note = data.at_one_point("program")
    programs = [leg for leg in legs if leg.kind == "program"]
    if not any(leg.pulse[-1] > 1 for leg in programs):
        return None
    drawn = evenly_spaced(programs)
    # The spreads of many cells would hide each other.
    bands = len(drawn) <= MAX_SPREADS
    dotted = " Dotted: targets of a write-verify." if any(leg.target_S for leg in drawn) else ""
    thinned = f"{len(drawn)} of {len(programs)} steps" if len(drawn) < len(programs) else ""
    return Panel(
        1,
        lambda axes: _draw_programs(axes[0], data, drawn, bands),
        "programming" + (", targets dotted" if dotted else ""),
        "Conductance (S) of the programmed cell against the number of pulses of its "
        f"step. {members_text(data.members, data.averages.geometric, bands)}{dotted}",
        f"Chart of the conductance of programmed cells in {len(programs)} program steps.",
        joined(note, thinned),
        frozenset({"program"}),
    )


def half_selected_cells(data: RunData) -> Panel | None:
    """Disturb of half-selected cells, at one point of a scan."""
    legs, note = data.at_one_point("program")
    programs = [leg for leg in legs if leg.kind == "program"]
    disturb = crosstalk(data.file, programs).half_selected if len(programs) > 1 else None
    if disturb is None:
        return None
    interval = "; bars and band: 95 % interval over members" if disturb.members > 1 else ""
    return Panel(
        1,
        lambda axes: _draw_crosstalk(axes[0], data.file, programs),
        "half-selected cells",
        "Mean absolute relative change (%) of the cells that share a line with the "
        f"programmed one, in each program step{interval}.",
        f"Chart of the change of half-selected cells in {len(programs)} program steps: "
        f"{100 * float(disturb.mean):.2g} % on average; paper: {100 * PUBLISHED:g} %.",
        note,
    )


def magnetoresistance_loops(data: RunData) -> Panel | None:
    """Loops G(H), at one point of a scan."""
    legs, note = data.at_one_point("field")
    fields = [number for number, leg in enumerate(legs) if leg.kind == "field"]
    if not fields:
        return None
    chosen = evenly_spaced(fields)
    thinned = f"{len(chosen)} of {len(fields)} loops" if len(chosen) < len(fields) else ""
    return Panel(
        1,
        lambda axes: _draw_fields(axes[0], data.file, legs, chosen),
        "magnetoresistance",
        "Change of the conductance (%) from its value in the largest field, against the "
        "magnetic field (mT): full lines with the field falling, broken ones with it "
        f"rising. {members_text(data.members, geometric=False)}",
        f"Chart of conductance against magnetic field: {len(chosen)} of {len(fields)} loops.",
        joined(note, thinned),
        frozenset({"field"}),
        x_quantity="field",
    )


def _program_text(leg: Leg) -> str:
    """A program step by its voltage and cell, as in the input."""
    return f"{leg.voltage_V[-1]:+g} V on {list(leg.cell or (0, 0))}"


def _last_program(legs: Sequence[Leg], number: int) -> Leg | None:
    """The program step before leg `number`."""
    return next((leg for leg in reversed(legs[:number]) if leg.kind == "program"), None)


def _cell_in_question(legs: Sequence[Leg], number: int) -> tuple[int, int] | None:
    """The cell programmed last before leg `number`, or else first after it."""
    last = _last_program(legs, number)
    following = (leg for leg in legs[number:] if leg.kind == "program")
    program = last or next(following, None)
    return program.cell if program else None


def _draw_maps(axes: list[Axes], data: RunData, legs: Sequence[Leg], chosen: Sequence[int]) -> None:
    """Rows by columns of cells on one logarithmic colour scale."""
    maps_S = [
        data.averages.mean(
            legs[number].array_values(data.file, "apparent_conductance")[..., 0]
        ).mean
        for number in chosen
    ]
    everything = np.concatenate([values.ravel() for values in maps_S])
    positive = everything[everything > 0]
    norm = LogNorm(positive.min(), positive.max()) if positive.size else None
    for one, number, values_S in zip(axes, chosen, maps_S, strict=True):
        mesh = one.imshow(values_S, norm=norm, cmap="viridis", aspect="auto")
        rows, columns = values_S.shape
        if rows * columns <= MAX_LABELLED_CELLS:
            _write_values(one, values_S, norm)
            one.set_xticks(range(columns))
            one.set_yticks(range(rows))
        one.set_xlabel("column (line of Co)")
        one.set_ylabel("row (line of LSMO)")
        cell = _cell_in_question(legs, number)
        last = _last_program(legs, number)
        title = "before programming" if cell else "conductance map"
        if last and cell:
            title = f"after {_program_text(last)} (step {last.step})"
        one.set_title(title, fontsize="medium")
        if cell:
            row, column = cell
            one.add_patch(
                Rectangle(
                    (column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor="#d7191c", linewidth=3
                )
            )
    label = "conductance (S)"
    if data.members > 1:
        label += f", {data.averages.name} of {data.members} members"
    figure = axes[0].figure
    bar = figure.colorbar(mesh, ax=axes, label=label, format=SIEMENS)
    if positive.size and positive.max() < LABEL_BELOW_RATIO * positive.min():
        # The range may contain no major tick.
        bar.ax.yaxis.set_minor_formatter(SIEMENS)


def _write_values(axes: Axes, values_S: NDArray[np.float64], norm: LogNorm | None) -> None:
    for (row, column), value in np.ndenumerate(values_S):
        dark = norm is None or norm(value) < 0.6
        axes.text(
            column,
            row,
            EngFormatter(places=1, sep=" ")(value) + "S",
            ha="center",
            va="center",
            color="white" if dark else "black",
            fontsize="small",
        )


def _draw_programs(axes: Axes, data: RunData, programs: Sequence[Leg], bands: bool) -> None:
    """Conductance of each programmed cell against its pulses, mean over members."""
    means: list[EnsembleMean] = []
    texts = [_program_text(leg) for leg in programs]
    for number, (leg, text) in enumerate(zip(programs, texts, strict=True)):
        mean = data.averages.mean(leg.values(data.file, "conductance", *(leg.cell or (0, 0))))
        look = style(number) | {"linestyle": line_style(number)}
        label = text if texts.count(text) == 1 else f"{text} (leg {leg.number})"
        draw_curve(axes, leg.pulse, mean, look, label, bands)
        if leg.target_S is not None:
            axes.axhline(leg.target_S, color=look["color"], linestyle=":", linewidth=1)
        means.append(mean)
    set_y_scale(axes, means, [leg.target_S for leg in programs if leg.target_S is not None])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("pulse number")
    label = "conductance of the programmed cell (S)"
    axes.set_ylabel(label + data.members_label(data.averages.geometric, bands))
    axes.yaxis.set_major_formatter(EngFormatter(unit="S"))
    # Curves that rise and curves that fall leave no room for it inside.
    draw_legend(axes, beside=True)


def _draw_crosstalk(axes: Axes, file: OutputFile, programs: Sequence[Leg]) -> None:
    """Relative change of the half-selected cells in each program step, and their mean."""
    result = crosstalk(file, programs)
    assert result.half_selected is not None
    steps = mean_over_members(100 * result.by_step)
    half = (
        None if steps.members < 2 else np.array([steps.mean - steps.low, steps.high - steps.mean])
    )
    places = np.arange(1, steps.mean.size + 1)
    axes.errorbar(places, steps.mean, half, fmt="o", color=COLOURS[0], capsize=3, label="each step")
    mean = result.half_selected
    middle, low, high = (100 * float(value) for value in (mean.mean, mean.low, mean.high))
    axes.axhline(middle, color=COLOURS[2], label=f"mean: {middle:.2g} %")
    if mean.members > 1:
        axes.axhspan(low, high, color=COLOURS[2], alpha=0.15, linewidth=0)
    axes.axhline(
        100 * PUBLISHED,
        color=COLOURS[1],
        linestyle="--",
        label=f"paper: {100 * PUBLISHED:g} % on average",
    )
    if places.size <= 16:
        labels = [f"{leg.voltage_V[-1]:+g} V\n{list(leg.cell or (0, 0))}" for leg in programs]
        axes.set_xticks(places, labels, fontsize="small")
    # Intervals of few members reach far beyond their means.
    highest = max(float(steps.mean.max()), middle, 100 * PUBLISHED)
    axes.set_ylim(0.0, min(axes.get_ylim()[1], 5 * highest))
    axes.set_xlabel("program step")
    interval = ", 95 % interval" if mean.members > 1 else ""
    axes.set_ylabel(f"mean |relative change| (%){interval}")
    draw_legend(axes)


def _draw_fields(axes: Axes, file: OutputFile, legs: Sequence[Leg], chosen: Sequence[int]) -> None:
    """G(H) relative to its saturated value, of the cell that is programmed; mean over members."""
    for place, number in enumerate(chosen):
        cell = _cell_in_question(legs, number) or (0, 0)
        leg = legs[number]
        field_mT = 1e3 * file["field"][leg.point, 0, leg.readings]
        values_S = leg.values(file, "field_conductance", *cell)
        relative = 100 * (values_S / values_S[:, :1] - 1)
        turn = field_mT.size // 2
        look = {"color": COLOURS[place % len(COLOURS)], "linewidth": 1.2}
        label = f"G = {short_quantity(float(values_S[:, 0].mean()))}"
        if file["conductance"].shape[2:4] != (1, 1):
            label += f", cell {list(cell)}"
        if leg.pulse[-1] > 0:
            label += f", after {leg.voltage_V[-1]:+g} V"
        mean = ensemble_mean(relative)
        draw_curve(axes, field_mT[: turn + 1], mean.at(slice(turn + 1)), look, label)
        back = look | {"linestyle": "--"}
        draw_curve(axes, field_mT[turn:], mean.at(slice(turn, None)), back, None)
    axes.set_xlabel("magnetic field (mT); full lines: falling, broken: rising")
    axes.set_ylabel("G(H)/G(saturated) - 1 (%)")
    draw_legend(axes)
