"""Panels of pulse trains, relaxations and voltage sweeps: one curve a leg."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize
from matplotlib.ticker import EngFormatter
from numpy.typing import NDArray

from kmc_oxy.analysis import EnsembleMean, Leg, TrainLaws, train_laws
from kmc_oxy.figures.panel import Panel, PanelCurve, RunData, joined
from kmc_oxy.figures.scan_labels import axis_label, point_texts, short_quantity
from kmc_oxy.figures.style import (
    COLOURS,
    LOG_ABOVE_RATIO,
    MAX_COLOURED,
    draw_curve,
    draw_legend,
    evenly_spaced,
    line_style,
    members_text,
    set_y_scale,
    style,
)


@dataclass(frozen=True, eq=False)
class Series:
    """One curve: the readings of one leg.

    Parameters
    ----------
    label : str
    look : dict
        Colour, marker and width.
    line : str
        Line style.
    leg : Leg
    mean : EnsembleMean
        Of the conductance (S), or of the current (A) of a sweep.
    has_band : bool
        Whether the spread over members is drawn.
    laws : TrainLaws or None
        Laws of a train.
    """

    label: str
    look: dict[str, Any]
    line: str
    leg: Leg
    mean: EnsembleMean
    has_band: bool
    laws: TrainLaws | None


@dataclass(frozen=True, eq=False)
class ColourScale:
    """A scanned number that gives the series their colours."""

    label: str
    values: NDArray[np.float64]
    norm: Normalize

    def colour(self, point: int) -> Any:
        """Colour of a point of the scan."""
        # The lightest colours cannot be seen on white.
        return matplotlib.colormaps["viridis"](0.9 * float(self.norm(self.values[point])))

    def draw(self, axes: Axes) -> None:
        """Draw the scale beside the axes."""
        colours = matplotlib.colormaps["viridis"](np.linspace(0, 0.9, 256))
        shown = ScalarMappable(self.norm, matplotlib.colors.ListedColormap(colours))
        axes.figure.colorbar(shown, ax=axes, label=self.label)


SeriesDrawing = Callable[[Axes, list[Series]], None]
#: What is on the x axis of the panel of each kind of leg.
X_QUANTITIES = {"train": "pulse", "relax": "time", "sweep": "voltage"}


def pulse_trains(data: RunData) -> Panel | None:
    """Conductance against the number of pulses."""
    return _series_panel(
        data,
        "train",
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
        "relax",
        "relaxation",
        _draw_relaxations,
        "Conductance (S) against the time since the step began (s).",
    )


def sweeps(data: RunData) -> Panel | None:
    """I-V loops."""
    return _series_panel(
        data,
        "sweep",
        "voltage sweep",
        _draw_sweeps,
        "Magnitude of the current (A) on each stair against the voltage V(LSMO) - V(Co) (V). "
        "Arrows: direction of the sweep.",
    )


def single_readings(data: RunData) -> Panel | None:
    """Every reading against time, if no step has a series of readings."""
    if any(leg.kind not in ("single", "product") for leg in data.legs):
        return None
    return every_reading(data)


def every_reading(data: RunData) -> Panel:
    """Every reading against time."""
    points = data.file.shape()["point"]
    scale, shown = _colours(data, range(points))
    note = f"{len(shown)} of {points} points of the scan" if len(shown) < points else ""
    return Panel(
        1,
        lambda axes: _draw_readings(axes[0], data, shown, scale),
        "readings",
        "Conductance (S) of every reading against the time since the protocol began (s). "
        + members_text(data.members, data.averages.geometric, bands=scale is None),
        f"Chart of {data.file.shape()['reading']} readings of the conductance against time.",
        joined(note, data.cell_note),
        frozenset(leg.kind for leg in data.legs),
    )


def _series_panel(
    data: RunData, kind: str, title: str, draw: SeriesDrawing, caption: str
) -> Panel | None:
    """A panel of one curve a leg; None without legs."""
    among = data.of_kind(kind)
    if not among:
        return None
    scale, chosen = _colours_of_legs(data, among)
    series = _series(data, chosen, scale)

    def draw_on(axes: list[Axes]) -> None:
        draw(axes[0], series)
        axes[0].set_ylabel(
            axes[0].get_ylabel() + data.members_label(data.averages.geometric, scale is None)
        )
        if scale:
            scale.draw(axes[0])
        elif axes[0].get_legend_handles_labels()[1]:
            draw_legend(axes[0])

    ends = "; ".join(f"{item.label}: {_ends_text(item)}" for item in series)
    return Panel(
        1,
        draw_on,
        title,
        f"{caption} {members_text(data.members, data.averages.geometric, bands=scale is None)}",
        f"Chart of {title}. From the first to the last reading: {ends}.",
        _what_is_drawn(data, among, chosen),
        frozenset({kind}),
        X_QUANTITIES[kind],
        tuple(_curve(item) for item in series),
    )


def _curve(item: Series) -> PanelCurve:
    leg = item.leg
    x = {"train": leg.pulse, "relax": leg.time_s, "sweep": leg.voltage_V}[leg.kind]
    return PanelCurve(x.astype(np.float64), item.mean.mean)


def _what_is_drawn(data: RunData, among: list[Leg], chosen: list[Leg]) -> str:
    """A note if some legs are left out, or some points of the scan have none."""
    points, having = data.file.shape()["point"], len({leg.point for leg in among})
    return joined(
        f"{len(chosen)} of {len(among)} legs" if len(chosen) < len(among) else "",
        f"of {having} of {points} points" if having < points else "",
        data.cell_note,
    )


def _ends_text(item: Series) -> str:
    """First and last value of a curve."""
    unit = "A" if item.leg.kind == "sweep" else "S"
    finite = item.mean.mean[np.isfinite(item.mean.mean)]
    if not finite.size:
        return "nothing finite"
    first, last = (short_quantity(float(value), unit) for value in finite[[0, -1]])
    return f"{first} to {last}"


def _colours_of_legs(data: RunData, among: list[Leg]) -> tuple[ColourScale | None, list[Leg]]:
    """The legs that are drawn, and their scale of colours if it tells them apart."""
    if len({leg.point for leg in among}) < len(among):
        return None, evenly_spaced(among)
    scale, points = _colours(data, [leg.point for leg in among])
    return scale, [leg for leg in among if leg.point in set(points)]


def _colours(data: RunData, points: Sequence[int]) -> tuple[ColourScale | None, list[int]]:
    """The points that are drawn, and a scale of colours for many values of one scanned number."""
    scan = data.file.scan()
    if len(points) <= len(COLOURS) or len(scan) != 1:
        return None, evenly_spaced(points)
    ((key, values),) = scan.items()
    if values.dtype.kind != "f" or np.unique(values).size < values.size:
        return None, evenly_spaced(points)
    low, high = float(values.min()), float(values.max())
    norm = LogNorm(low, high) if low > 0 and high > LOG_ABOVE_RATIO * low else Normalize(low, high)
    scale = ColourScale(axis_label(data.file, key), values, norm)
    return scale, evenly_spaced(points, MAX_COLOURED)


def _look(number: int, point: int, scale: ColourScale | None) -> dict[str, Any]:
    if scale is None:
        return style(number)
    return {"color": scale.colour(point), "marker": ".", "markersize": 3, "linewidth": 0.8}


def _series(data: RunData, chosen: list[Leg], scale: ColourScale | None) -> list[Series]:
    several_points = len({leg.point for leg in chosen}) > 1
    per_point = max(sum(leg.point == other.point for leg in chosen) for other in chosen)
    texts = point_texts(data.file) if several_points else []
    found = []
    for number, leg in enumerate(chosen):
        parts = [texts[leg.point]] if several_points else []
        if per_point > 1 or not several_points:
            parts.append(_leg_label(leg, [other for other in chosen if other.point == leg.point]))
        if leg.kind == "sweep":
            values = np.abs(leg.values(data.file, "sweep_current"))
            # The current at zero voltage cannot be shown on a logarithmic axis.
            values = np.where(leg.voltage_V == 0, np.nan, values)
        else:
            values = leg.values(data.file, "conductance")
        found.append(
            Series(
                ", ".join(parts),
                _look(number, leg.point, scale),
                "-" if scale else line_style(number),
                leg,
                data.averages.mean(values),
                scale is None,
                train_laws(data.file, leg, data.averages),
            )
        )
    return found


def _leg_label(leg: Leg, among: list[Leg]) -> str:
    """Label of a leg among those of one point: its voltage, and its step if others share it."""
    same = [other for other in among if other.voltage_V[-1] == leg.voltage_V[-1]]
    voltage = f"{leg.voltage_V[-1]:+g} V"
    text = {"train": voltage, "sweep": "sweep"}.get(leg.kind, f"after {voltage}")
    if len(same) < 2:
        return text
    if sum(other.step == leg.step for other in same) > 1:
        return f"{text} (leg {leg.number})"
    return f"{text} (step {leg.step})"


def _draw_trains(axes: Axes, series: list[Series]) -> None:
    """Conductance against pulse number, the state before the first pulse as a tick at the left."""
    laws: dict[str, None] = {}
    alone = len(series) == 1
    for item in series:
        pulses = item.leg.pulse >= 1
        x = item.leg.pulse[pulses]
        look = item.look | {"linestyle": "none"}
        draw_curve(axes, x, item.mean.at(pulses), look, item.label, item.has_band)
        if item.leg.pulse[0] == 0:
            axes.plot(
                [0, 0.025],
                [item.mean.mean[0]] * 2,
                transform=axes.get_yaxis_transform(),
                color=look["color"],
                linewidth=2,
                label="before the first pulse" if alone else None,
            )
        law = item.laws.best if item.laws is not None else None
        if law is not None:
            # A conductance is positive: where a law is not, it is not drawn.
            fitted_S = law(x)
            axes.plot(
                x,
                np.where(fitted_S > 0, fitted_S, np.nan),
                color=look["color"],
                linestyle=item.line,
                linewidth=1,
                label=f"{law.law} law" if alone else None,
            )
            laws[law.law] = None
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    lines = f" (lines: {', '.join(laws)} law{'s' if len(laws) > 1 else ''})" if laws else ""
    axes.set_xlabel(f"pulse number N{lines}")
    _conductance_axis(axes, series)


def _draw_relaxations(axes: Axes, series: list[Series]) -> None:
    for item in series:
        look = item.look | {"linestyle": item.line}
        draw_curve(axes, item.leg.time_s, item.mean, look, item.label, item.has_band)
    axes.set_xscale("log")
    axes.set_xlabel("time since the step began (s)")
    _conductance_axis(axes, series)


def _draw_sweeps(axes: Axes, series: list[Series]) -> None:
    """I-V loops."""
    for item in series:
        look = item.look | {"linestyle": item.line}
        draw_curve(axes, item.leg.voltage_V, item.mean, look, item.label, item.has_band)
        _mark_direction(axes, item.leg.voltage_V, item.mean.mean, look["color"])
    axes.set_yscale("log")
    axes.set_xlabel("voltage V(LSMO) - V(Co) (V)")
    axes.set_ylabel("|current| (A)")
    axes.yaxis.set_major_formatter(EngFormatter(unit="A"))


def _mark_direction(
    axes: Axes, x: NDArray[np.float64], y: NDArray[np.float64], colour: Any
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


def _draw_readings(axes: Axes, data: RunData, points: list[int], scale: ColourScale | None) -> None:
    """Every reading against time, for protocols of single pulses and reads."""
    names = point_texts(data.file)
    means = []
    for number, point in enumerate(points):
        time_s = data.file["time"][point]
        chosen = np.isfinite(time_s)
        mean = data.averages.mean(data.file["conductance"][point, :, 0, 0, :][:, chosen])
        look = _look(number, point, scale) | {"linestyle": "-" if scale else line_style(number)}
        label = names[point] if len(points) > 1 else None
        draw_curve(axes, time_s[chosen], mean, look, label, scale is None)
        means.append(mean)
    set_y_scale(axes, means)
    axes.set_xlabel("time (s)")
    axes.set_ylabel("conductance (S)" + data.members_label(data.averages.geometric, scale is None))
    axes.yaxis.set_major_formatter(EngFormatter(unit="S"))
    if scale:
        scale.draw(axes)
    elif len(points) > 1:
        draw_legend(axes)


def _conductance_axis(axes: Axes, series: list[Series]) -> None:
    set_y_scale(axes, [item.mean for item in series])
    axes.set_ylabel("conductance (S)")
    axes.yaxis.set_major_formatter(EngFormatter(unit="S"))
