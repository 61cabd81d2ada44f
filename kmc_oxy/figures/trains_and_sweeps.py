"""Panels of pulse trains, relaxations and voltage sweeps: one curve a leg."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter
from numpy.typing import NDArray

from kmc_oxy.analysis import Leg, TrainLaws, train_laws
from kmc_oxy.figures.panel import Panel, RunData
from kmc_oxy.figures.scan_labels import scanned_texts, short_name, siemens_text
from kmc_oxy.figures.style import (
    draw_curve,
    evenly_spaced,
    line_style,
    members_text,
    set_y_scale,
    style,
)
from kmc_oxy.inputs import at_point
from kmc_oxy.inputs.schema import Input
from kmc_oxy.physics import current
from kmc_oxy.storage import OutputFile


@dataclass(frozen=True, eq=False)
class Series:
    """One curve: the readings of one leg.

    Parameters
    ----------
    label : str
    leg : Leg
    conductance_S : ndarray, shape (members, n)
    before_S : float or None
        Mean conductance before the first pulse of a train.
    laws : TrainLaws or None
        Laws of a train.
    """

    label: str
    leg: Leg
    conductance_S: NDArray[np.float64]
    before_S: float | None = None
    laws: TrainLaws | None = None


SeriesDrawing = Callable[[Axes, list[Series], Input], None]


def pulse_trains(data: RunData) -> Panel | None:
    """Conductance against the number of pulses."""
    return _series_panel(
        data,
        data.of_kind("train"),
        "pulse trains",
        _draw_trains,
        "Conductance (S) after each pulse against the number N of the pulse. Lines through the "
        "marks: the law with the lowest AICc, fitted to the mean, of trains that change; tick at "
        "the left: before the first pulse.",
    )


def relaxations(data: RunData) -> Panel | None:
    """Conductance against the time under a constant voltage."""
    return _series_panel(
        data,
        data.of_kind("relax"),
        "relaxation",
        _draw_relaxations,
        "Conductance (S) against the time since the reading before the step (s).",
    )


def sweeps(data: RunData) -> Panel | None:
    """I-V loops."""
    return _series_panel(
        data,
        data.of_kind("sweep"),
        "voltage sweep",
        _draw_sweeps,
        "Magnitude of the current (A) on each stair against the voltage V(LSMO) - V(Co) (V), from "
        "the low-bias conductance and I = G V0 sinh(V/V0). Arrows: direction of the sweep.",
    )


def single_readings(data: RunData) -> Panel | None:
    """Every reading against time, if no step has a series of readings."""
    if any(leg.kind not in ("single", "product") for leg in data.legs):
        return None
    return Panel(
        1,
        lambda axes: _draw_readings(axes[0], data.file),
        "readings",
        "Conductance (S) of every reading against the time since the protocol began (s). "
        + members_text(data.members),
        f"Chart of {data.file.shape()['reading']} readings of the conductance against time.",
    )


def _series_panel(
    data: RunData, among: list[Leg], title: str, draw: SeriesDrawing, caption: str
) -> Panel | None:
    """A panel of one curve a leg; None without legs."""
    if not among:
        return None
    chosen = evenly_spaced(among)
    series = list(_series(data.file, chosen))
    note = f" ({len(chosen)} of {len(among)})" if len(among) > len(chosen) else ""

    def draw_on(axes: list[Axes]) -> None:
        draw(axes[0], series, at_point(data.inputs, chosen[0].point))
        if note:
            axes[0].set_title(title + note, fontsize="medium")
        if len(series) > 1:
            axes[0].legend(fontsize="small", frameon=False)

    ends = "; ".join(f"{item.label}: {_ends_text(item.conductance_S)}" for item in series)
    return Panel(
        1,
        draw_on,
        title,
        f"{caption} {members_text(data.members)}",
        f"Chart of {title}{note}. Mean conductance of {ends}.",
    )


def _ends_text(conductance_S: NDArray[np.float64]) -> str:
    """First and last conductance of a curve."""
    first, last = (siemens_text(value) for value in conductance_S.mean(axis=0)[[0, -1]])
    return f"from {first} to {last}"


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
        yield Series(", ".join(parts), leg, values, before, train_laws(file, leg))


def _leg_label(leg: Leg, among: list[Leg]) -> str:
    """Label of a leg among those of one point: its voltage, and its number if others share it."""
    voltage = leg.voltage_V[-1]
    if leg.kind == "sweep":
        return f"sweep {leg.number}"
    same = [other for other in among if other.voltage_V[-1] == voltage]
    text = f"{voltage:+g} V" if leg.kind == "train" else f"after {voltage:+g} V"
    return text if len(same) < 2 else f"{text} (leg {leg.number})"


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
        law = item.laws.best if item.laws is not None else None
        if law is not None:
            # A conductance is positive: where a law is not, it is not drawn.
            fitted_S = law(x)
            axes.plot(
                x,
                np.where(fitted_S > 0, fitted_S, np.nan),
                color=look["color"],
                linestyle=line_style(number),
                linewidth=1,
                label=None if len(series) > 1 else f"{law.law} law",
            )
            fitted = True
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("pulse number N" + (f" (lines: {_laws_text(series)})" if fitted else ""))
    _conductance_axis(axes, series)
    if fitted and len(series) == 1:
        axes.legend(fontsize="small", frameon=False)


def _laws_text(series: list[Series]) -> str:
    """Names of the laws that are drawn."""
    drawn = (item.laws.best for item in series if item.laws is not None)
    names = dict.fromkeys(law.law for law in drawn if law is not None)
    return f"{', '.join(names)} law{'s' if len(names) > 1 else ''}"


def _draw_relaxations(axes: Axes, series: list[Series], inputs: Input) -> None:
    for number, item in enumerate(series):
        look = style(number) | {"linestyle": line_style(number)}
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
        # The current at zero voltage cannot be shown on a logarithmic axis.
        shown = np.where(item.leg.voltage_V == 0, np.nan, current_A)
        look = style(number) | {"linestyle": line_style(number)}
        draw_curve(axes, item.leg.voltage_V, shown, look, item.label)
        _mark_direction(axes, item.leg.voltage_V, shown.mean(axis=0), look["color"])
    axes.set_yscale("log")
    axes.set_xlabel("voltage V(LSMO) - V(Co) (V)")
    axes.set_ylabel("|current|")
    axes.yaxis.set_major_formatter(EngFormatter(unit="A"))


def _mark_direction(
    axes: Axes, x: NDArray[np.float64], y: NDArray[np.float64], colour: str
) -> None:
    """Draw arrows along the loop."""
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
    points = evenly_spaced(range(shape["point"]))
    for number, point in enumerate(points):
        time_s = file["time"][point]
        chosen = np.isfinite(time_s)
        values = file["conductance"][point, :, 0, 0, :][:, chosen]
        label = ", ".join(f"{short_name(key)} {texts[key][point]}" for key in texts)
        look = style(number) | {"linestyle": line_style(number)}
        draw_curve(axes, time_s[chosen], values, look, label)
        set_y_scale(axes, itertools.chain(values.ravel()))
    if len(points) < shape["point"]:
        note = f"{len(points)} of {shape['point']} points of the scan, evenly spaced"
        axes.set_title(note, fontsize="medium")
    axes.set_xlabel("time (s)")
    axes.set_ylabel("conductance")
    axes.yaxis.set_major_formatter(EngFormatter(unit="S"))
    if len(points) > 1:
        axes.legend(fontsize="small", frameon=False)


def _conductance_axis(axes: Axes, series: list[Series]) -> None:
    set_y_scale(axes, itertools.chain.from_iterable(s.conductance_S.ravel() for s in series))
    members = len(series[0].conductance_S)
    axes.set_ylabel(
        "conductance" + (f" (mean and spread of {members} members)" if members > 1 else "")
    )
    axes.yaxis.set_major_formatter(EngFormatter(unit="S"))
