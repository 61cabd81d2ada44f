"""The natural figure of a run: trains, relaxations and sweeps as panels, series told apart in grey.

matplotlib is used through its objects only: no window, no global state.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter
from numpy.typing import NDArray

from kmc_oxy.analysis import Leg, fit, legs
from kmc_oxy.figures.arrays import array_panels
from kmc_oxy.figures.style import (
    LINES,
    MAX_SERIES,
    Panel,
    draw_curve,
    members_text,
    scale_of,
    style,
    thin,
)
from kmc_oxy.inputs import at_point
from kmc_oxy.inputs.schema import Input
from kmc_oxy.physics import current
from kmc_oxy.storage import OutputFile, StoreError, open_output, wrap_os_errors

#: Panels side by side.
MAX_COLUMNS = 3
#: Fewest pulses for which the logarithm is drawn.
SHORTEST_FITTED = 8
#: A longer text of a scanned key is a section of the input: it has a number instead.
LONGEST_VALUE = 24


@dataclass(frozen=True, eq=False)
class Series:
    """What one curve shows.

    Parameters
    ----------
    label : str
    leg : Leg
    conductance_S : ndarray, shape (members, n)
    before_S : float or None
        Mean conductance before the first pulse of a train.
    """

    label: str
    leg: Leg
    conductance_S: NDArray[np.float64]
    before_S: float | None = None


def plot(path: Path, out: Path) -> None:
    """Draw the figure of a finished run.

    Parameters
    ----------
    path : Path
        Output of a run.
    out : Path
        Image; the ending (png, pdf, svg) decides the format.

    Raises
    ------
    StoreError
        If there is no finished run, or the image cannot be written.
    """
    with open_output(path) as file:
        figure = draw(file)
    FigureCanvasAgg(figure)
    kind = out.suffix.lstrip(".").lower() or "png"
    known = figure.canvas.get_supported_filetypes()
    if kind not in known:
        raise StoreError(f"cannot draw a {kind!r} file: the name may end in {', '.join(known)}")
    with wrap_os_errors(f"write {out}"):
        figure.savefig(out, format=kind, dpi=150)


def draw(file: OutputFile) -> Figure:
    """The figure of an open output: its `panels` side by side."""
    drawn = panels(file)
    count = sum(panel.width for panel in drawn)
    columns = min(count, MAX_COLUMNS)
    rows = -(-count // columns)
    figure = Figure(figsize=(6.4 * columns, 4.8 * rows), layout="constrained")
    place = 1
    for panel in drawn:
        axes = [figure.add_subplot(rows, columns, place + shift) for shift in range(panel.width)]
        panel.draw(axes)
        if count > 1 and not axes[0].get_title():
            axes[0].set_title(panel.title, fontsize="medium")
        place += panel.width
    if file.resolved["name"]:
        figure.suptitle(file.resolved["name"])
    return figure


def panels(file: OutputFile) -> list[Panel]:
    """What there is to draw of an open output: a panel for every kind of leg that it has."""
    inputs = Input.model_validate(file.resolved)
    found = [leg for point in range(file.shape()["point"]) for leg in legs(file, point)]
    kinds = [kind for kind in KINDS if any(leg.kind == kind for leg in found)]
    listed = [
        _series_panel(file, inputs, kind, [leg for leg in found if leg.kind == kind])
        for kind in kinds
    ]
    listed += array_panels(file, found)
    return listed or [_readings_panel(file)]


def _series_panel(file: OutputFile, inputs: Input, kind: str, among: list[Leg]) -> Panel:
    looks = KINDS[kind]
    chosen = thin(among)
    series = list(_series(file, chosen))
    note = f" ({len(chosen)} of {len(among)})" if len(among) > len(chosen) else ""

    def draw_on(axes: list[Axes]) -> None:
        looks.draw(axes[0], series, at_point(inputs, chosen[0].point))
        if note:
            axes[0].set_title(looks.title + note, fontsize="medium")
        if len(series) > 1:
            axes[0].legend(fontsize="small", frameon=False)

    shown = "; ".join(f"{item.label}: {_course(item.conductance_S)}" for item in series)
    return Panel(
        1,
        draw_on,
        looks.title,
        f"{looks.caption} {members_text(len(series[0].conductance_S))}",
        f"Chart of {looks.title}{note}. Mean conductance of {shown}.",
    )


def _course(conductance_S: NDArray[np.float64]) -> str:
    """The ends of a curve, in words."""
    first, last = (siemens_text(value) for value in conductance_S.mean(axis=0)[[0, -1]])
    return f"from {first} to {last}"


def siemens_text(conductance_S: float) -> str:
    """A conductance to three digits, with a prefix: ``4.35 nS``."""
    return str(EngFormatter(unit="S")(float(f"{conductance_S:.3g}")))


def _readings_panel(file: OutputFile) -> Panel:
    shape = file.shape()
    return Panel(
        1,
        lambda axes: _draw_readings(axes[0], file),
        "readings",
        "Conductance (S) of every reading against the time since the protocol began (s). "
        + members_text(shape["member"]),
        f"Chart of {shape['reading']} readings of the conductance against time.",
    )


def _series(file: OutputFile, chosen: list[Leg]) -> Iterator[Series]:
    texts = {key: scanned_texts(file, key) for key in file.scan()}
    several_points = len({leg.point for leg in chosen}) > 1
    per_point = max(sum(leg.point == other.point for leg in chosen) for other in chosen)
    for leg in chosen:
        parts = []
        if several_points:
            parts += [f"{short_name(key)} {texts[key][leg.point]}" for key in texts]
        if per_point > 1 or not parts:
            parts.append(_leg_label(leg, chosen))
        values = leg.values(file, "conductance")
        before = None
        if leg.kind == "train" and leg.pulse[0] == 0:
            before = float(values[:, 0].mean())
        yield Series(", ".join(parts), leg, values, before)


def _leg_label(leg: Leg, among: list[Leg]) -> str:
    """What tells a leg of one point apart: its voltage, and its number if others share that."""
    voltage = leg.voltage_V[-1]
    if leg.kind == "sweep":
        return f"sweep {leg.number}"
    same = [other for other in among if other.voltage_V[-1] == voltage]
    text = f"{voltage:+g} V" if leg.kind == "train" else f"after {voltage:+g} V"
    return text if len(same) < 2 else f"{text} (leg {leg.number})"


def short_name(key: str) -> str:
    """The end of a dotted key that names it: ``train.duration`` of a step, else the last part."""
    parts = key.split(".")
    return ".".join(parts[-2:]) if parts[0] == "protocol" else parts[-1]


def scanned_texts(file: OutputFile, key: str) -> list[str]:
    """Value of a scanned key at each point, with its unit; sections of the input by number."""
    values, unit = file.scan()[key], str(file[f"scan:{key}"].attrs["units"])
    if values.dtype.kind == "f":
        written = EngFormatter(unit=unit, places=None)
        return [f"{value:g}" if unit == "1" else written(value) for value in values]
    variants = {text: number for number, text in enumerate(dict.fromkeys(values), start=1)}
    if max(map(len, variants)) > LONGEST_VALUE:
        return [f"variant {variants[text]}" for text in values]
    return [str(text) for text in values]


def _draw_trains(axes: Axes, series: list[Series], inputs: Input) -> None:
    """Conductance against pulse number, the state before the first pulse as a tick at the left."""
    fitted = False
    for number, item in enumerate(series):
        chosen = item.leg.pulse >= 1
        x, values = item.leg.pulse[chosen], item.conductance_S[:, chosen]
        look = style(number) | {"linestyle": "none"}
        draw_curve(axes, x, values, look, item.label)
        if item.before_S is not None:
            axes.plot(
                [0, 0.025],
                [item.before_S] * 2,
                transform=axes.get_yaxis_transform(),
                color=look["color"],
                linewidth=2,
                label="before the first pulse" if len(series) == 1 else None,
            )
        if x.size >= SHORTEST_FITTED:
            law = fit(x, values.mean(axis=0), "log")
            axes.plot(
                x,
                law(x),
                color=look["color"],
                linestyle=LINES[number % len(LINES)],
                linewidth=1,
                label=None if fitted or len(series) > 1 else "a + b ln N",
            )
            fitted = True
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("pulse number N" + (" (lines: a + b ln N)" if fitted else ""))
    _conductance_axis(axes, series)
    if fitted and len(series) == 1:
        axes.legend(fontsize="small", frameon=False)


def _draw_relaxations(axes: Axes, series: list[Series], inputs: Input) -> None:
    for number, item in enumerate(series):
        look = style(number) | {"linestyle": LINES[number % len(LINES)]}
        draw_curve(axes, item.leg.time_s, item.conductance_S, look, item.label)
    axes.set_xscale("log")
    axes.set_xlabel("time since the reading before (s)")
    _conductance_axis(axes, series)


def _draw_sweeps(axes: Axes, series: list[Series], inputs: Input) -> None:
    """I-V loop; the current from the low-bias conductance of each stair and I = G V0 sinh(V/V0)."""
    nonlinearity_V = inputs.conductance.nonlinearity or np.inf
    currents_A = [
        np.abs(current(item.conductance_S, item.leg.voltage_V, nonlinearity_V)) for item in series
    ]
    for number, (item, current_A) in enumerate(zip(series, currents_A, strict=True)):
        # At zero volts there is no current to show on a logarithmic axis.
        shown = np.where(item.leg.voltage_V == 0, np.nan, current_A)
        look = style(number) | {"linestyle": LINES[number % len(LINES)]}
        draw_curve(axes, item.leg.voltage_V, shown, look, item.label)
        _mark_direction(axes, item.leg.voltage_V, shown.mean(axis=0), look["color"])
    axes.set_yscale("log")
    axes.set_xlabel("voltage V(LSMO) - V(Co) (V)")
    axes.set_ylabel("|current|")
    axes.yaxis.set_major_formatter(EngFormatter(unit="A"))


def _mark_direction(axes: Axes, x: NDArray, y: NDArray, colour: str) -> None:
    """Arrows along the loop."""
    for start in range(len(x) // 8, len(x) - 1, max(1, len(x) // 4)):
        if np.isfinite(y[start : start + 2]).all():
            axes.annotate(
                "",
                xy=(x[start + 1], y[start + 1]),
                xytext=(x[start], y[start]),
                arrowprops={"arrowstyle": "-|>", "color": colour, "lw": 1.5},
            )


def _draw_readings(axes: Axes, file: OutputFile) -> None:
    """Every reading against time, for protocols of single pulses and reads."""
    shape = file.shape()
    texts = {key: scanned_texts(file, key) for key in file.scan()}
    points = np.unique(np.linspace(0, shape["point"] - 1, MAX_SERIES).astype(int))
    for number, point in enumerate(points):
        time_s = file["time"][point]
        chosen = np.isfinite(time_s)
        values = file["conductance"][point, :, 0, 0, :][:, chosen]
        label = ", ".join(f"{short_name(key)} {texts[key][point]}" for key in texts)
        look = style(number) | {"linestyle": LINES[number % len(LINES)]}
        draw_curve(axes, time_s[chosen], values, look, label)
        scale_of(axes, itertools.chain(values.ravel()))
    axes.set_xlabel("time (s)")
    axes.set_ylabel("conductance")
    axes.yaxis.set_major_formatter(EngFormatter(unit="S"))
    if len(points) > 1:
        axes.legend(fontsize="small", frameon=False)


def _conductance_axis(axes: Axes, series: list[Series]) -> None:
    scale_of(axes, itertools.chain.from_iterable(s.conductance_S.ravel() for s in series))
    members = len(series[0].conductance_S)
    axes.set_ylabel(
        "conductance" + (f" (mean and spread of {members} members)" if members > 1 else "")
    )
    axes.yaxis.set_major_formatter(EngFormatter(unit="S"))


@dataclass(frozen=True)
class Look:
    """How legs of one kind are drawn."""

    title: str
    draw: Callable[[Axes, list[Series], Input], None]
    caption: str


#: Kinds of legs that have a panel, in the order of the figure.
KINDS: Mapping[str, Look] = {
    "train": Look(
        "pulse trains",
        _draw_trains,
        "Conductance (S) after each pulse against the number N of the pulse. Lines through the "
        "marks: a + b ln N fitted to the mean; tick at the left: before the first pulse.",
    ),
    "relax": Look(
        "relaxation",
        _draw_relaxations,
        "Conductance (S) against the time since the reading before the step (s).",
    ),
    "sweep": Look(
        "voltage sweep",
        _draw_sweeps,
        "Magnitude of the current (A) on each stair against the voltage V(LSMO) - V(Co) (V), from "
        "the low-bias conductance and I = G V0 sinh(V/V0). Arrows: direction of the sweep.",
    ),
}
