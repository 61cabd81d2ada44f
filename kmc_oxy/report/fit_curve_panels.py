"""Panels of the experiments of a fit: measured curves over simulated ones, and targets."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter
from numpy.typing import NDArray

from kmc_oxy.analysis import EnsembleMean, branches, mean_over_members
from kmc_oxy.figures import LOG_ABOVE_RATIO, Panel, evenly_spaced, short_quantity
from kmc_oxy.fit import FitResult, FittedCurve, FittedTarget

Floats = NDArray[np.float64]

#: Of more curves, evenly spaced ones are drawn.
MOST_CURVES = 24
#: Targets in one panel.
TARGETS_A_PANEL = 8
#: Farthest that a target is drawn from the middle of its range, in halves of the range.
FARTHEST = 4.0
PULSE_TICKS = (0, *(step * 10**decade for decade in range(9) for step in (1, 2, 5)))
SIMULATED = "#2166ac"
MEAN = "#08306b"
MEASURED = "#000000"
X_LABELS = {
    "pulse": "pulse number N",
    "time": "time since the step began (s)",
    "voltage": "voltage V(LSMO) - V(Co) (V)",
    "field": "magnetic field (T)",
}
UNITS = {"conductance": "S", "current": "A", "resistance": "\N{OHM SIGN}"}


def curve_panels(result: FitResult) -> list[Panel]:
    """A panel for each measured curve."""
    shown = evenly_spaced(result.curves, MOST_CURVES)
    panels = [_curve_panel(curve, has_legend=not index) for index, curve in enumerate(shown)]
    if len(shown) < len(result.curves):
        note = f"{len(shown)} of {len(result.curves)} curves are drawn"
        first = panels[0]
        panels[0] = Panel(1, first.draw, first.title, first.caption, first.alt, note)
    return panels


def _curve_panel(curve: FittedCurve, has_legend: bool) -> Panel:
    title = curve.experiment + (f", {curve.label}" if curve.label else "")
    by = ""
    if curve.has_free_scale:
        title += f"; measured / {curve.scale:.3g}"
        by = f", divided by {curve.scale:.3g}, the factor of scale: free"
    unit = UNITS[curve.y_quantity]
    first, last = (
        f"{short_quantity(float(curve.measured[k] / curve.scale), unit)} measured and "
        f"{short_quantity(float(curve.simulated[:, k].mean()), unit)} simulated"
        for k in (0, -1)
    )
    members = len(curve.simulated)
    note = " Currents below their errors may lie under the axis." if _is_i_v(curve) else ""
    quantity = f"{curve.y_quantity} ({unit}) against the {X_LABELS[curve.x_quantity]}"
    return Panel(
        1,
        partial(_draw_curve, curve, title, has_legend),
        title,
        f"{quantity[0].upper()}{quantity[1:]}. Marks: measured{by}, with one standard error. "
        f"Line: arithmetic mean over {members} devices that the search has not seen; light band: "
        "one standard deviation over devices; dark band: 95 % interval of the mean." + note,
        f"Chart of {title}. First: {first}; last: {last}.",
    )


def _draw_curve(curve: FittedCurve, title: str, has_legend: bool, axes: list[Axes]) -> None:
    panel = axes[0]
    is_magnitude = _is_i_v(curve)
    measured, error = curve.measured / curve.scale, curve.error / abs(curve.scale)
    simulated = curve.simulated
    if is_magnitude:
        measured, simulated = np.abs(measured), np.abs(simulated)
        # A current of 0 has no logarithm: the line has a gap there.
        simulated = np.where(simulated > 0, simulated, np.nan)
    mean = mean_over_members(simulated, arithmetic=True)
    for branch in branches(curve.x, share_turns=True):
        _draw_simulated(panel, curve.x[branch], mean.at(branch), is_first=branch.start == 0)
    panel.errorbar(
        curve.x, measured, error, label="measured", color=MEASURED, marker="o", markersize=4.5,
        markerfacecolor="white", linestyle="none", elinewidth=1, capsize=2, zorder=5,
    )  # fmt: skip
    _set_scales(panel, curve, np.concatenate([measured, mean.mean]))
    if is_magnitude:
        # Below its error a current is noise of either sign: it must not stretch the axis.
        is_clear = (measured > error) & np.isfinite(mean.mean)
        if is_clear.any():
            least = np.minimum(measured, mean.mean)[is_clear].min()
            panel.set_ylim(bottom=0.5 * float(least))
    panel.set_xlabel(X_LABELS[curve.x_quantity])
    unit = UNITS[curve.y_quantity]
    name = f"|{curve.y_quantity}|" if is_magnitude else curve.y_quantity
    panel.set_ylabel(f"{name} ({unit})")
    panel.yaxis.set_major_formatter(EngFormatter(unit=unit))
    panel.set_title(title, fontsize="medium", parse_math=False)
    if has_legend:
        panel.legend(fontsize="small")


def _is_i_v(curve: FittedCurve) -> bool:
    """Whether a curve is drawn as magnitudes of currents on a logarithmic axis."""
    return curve.x_quantity == "voltage" and curve.y_quantity == "current"


def _draw_simulated(axes: Axes, x: Floats, mean: EnsembleMean, is_first: bool) -> None:
    """The mean over members with its bands, of one branch of a path."""
    bands = ((mean.spread_low, mean.spread_high, 0.18), (mean.low, mean.high, 0.3))
    names = ("devices", "95 % of the mean") if is_first else (None, None)
    for (low, high, alpha), name in zip(bands, names, strict=True):
        axes.fill_between(x, low, high, color=SIMULATED, alpha=alpha, linewidth=0, label=name)
    label = "simulated" if is_first else None
    axes.plot(x, mean.mean, color=MEAN, linewidth=1.6, label=label)


def _set_scales(axes: Axes, curve: FittedCurve, values: Floats) -> None:
    """The axes that the figure of a run has."""
    if curve.x_quantity == "pulse":
        if curve.x.min() < 1:
            # The reading before the first pulse, at 0, stands left of the first.
            axes.set_xscale("symlog", linthresh=1, linscale=0.3)
            axes.set_xlim(-0.15, 1.2 * curve.x.max())
        else:
            axes.set_xscale("log")
        # A tick at 0 would stretch a logarithmic axis without end.
        first, last = min(1.0, float(curve.x.min())), float(curve.x.max())
        axes.set_xticks([tick for tick in PULSE_TICKS if first <= tick <= last])
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter("")
    elif curve.x_quantity == "time":
        axes.set_xscale("log" if curve.x.min() > 0 else "linear")
    if _is_i_v(curve):
        axes.set_yscale("log")
        return
    is_positive = curve.x_quantity != "field" and (values > 0).all()
    if is_positive and values.max() > LOG_ABOVE_RATIO * values.min():
        axes.set_yscale("log")


class _Place(NamedTuple):
    """A target in its panel: values where the range goes from -1 to 1."""

    values: Floats
    mean: float
    low: float
    high: float


def _placed(target: FittedTarget) -> _Place:
    """Values of a target in halves of its range; a range with one end is ten units wide."""
    low, high, values = target.low, target.high, np.asarray(target.values, dtype=float)
    mean = float(values.mean())
    with np.errstate(divide="ignore", invalid="ignore"):
        if target.is_log:
            low, high, values = np.log(low), np.log(high), np.log(values)
            mean = float(np.log(mean))
    if np.isinf(low) or np.isnan(low):
        middle, half = high - 5 * target.unit, 5 * target.unit
    elif np.isinf(high):
        middle, half = low + 5 * target.unit, 5 * target.unit
    else:
        middle, half = (low + high) / 2, max((high - low) / 2, 1e-300)
    ends = (-1.0 if np.isfinite(low) else -np.inf, 1.0 if np.isfinite(high) else np.inf)
    return _Place((values - middle) / half, (mean - middle) / half, *ends)


def target_panels(result: FitResult) -> list[Panel]:
    """The targets, some to a panel."""
    found = []
    for start in range(0, len(result.targets), TARGETS_A_PANEL):
        chosen = result.targets[start : start + TARGETS_A_PANEL]
        texts = "; ".join(f"{each.quantity}: {_range_text(each)}" for each in chosen)
        found.append(
            Panel(
                1,
                partial(_draw_targets, chosen),
                "targets",
                "Grey: the allowed range, from -1 to 1; a range with one end is drawn ten standard "
                "errors wide. Small marks: devices that the search has not seen; diamond: their "
                f"mean. Values beyond {FARTHEST:g} halves of the range are drawn at the edge.",
                f"Chart of {len(chosen)} target(s) against their ranges. {texts}.",
            )
        )
    return found


def _range_text(target: FittedTarget) -> str:
    """Mean of a target, and its range."""
    mean, low, high = (
        f"{value:.3g}" if target.value_unit == "1" else short_quantity(value, target.value_unit)
        for value in (float(target.values.mean()), target.low, target.high)
    )
    if np.isinf(target.low):
        return f"{mean}, at most {high}"
    if np.isinf(target.high):
        return f"{mean}, at least {low}"
    return f"{mean}, {low} to {high} allowed"


def _draw_targets(targets: Sequence[FittedTarget], axes: list[Axes]) -> None:
    panel = axes[0]
    for row, target in enumerate(targets):
        place = _placed(target)
        low, high = max(place.low, -FARTHEST), min(place.high, FARTHEST)
        panel.barh(
            row, high - low, 0.36, left=low, color="#d4d4d4", edgecolor="#888888", linewidth=0.6
        )
        finite = place.values[np.isfinite(place.values)]
        panel.plot(
            np.clip(finite, -FARTHEST, FARTHEST), np.full(finite.size, row), linestyle="none",
            marker="|", markersize=11, color=SIMULATED,
        )  # fmt: skip
        if np.isfinite(place.mean):
            panel.plot(
                np.clip(place.mean, -FARTHEST, FARTHEST), row, marker="D", markersize=6,
                color=MEASURED,
            )  # fmt: skip
        panel.text(
            0.01, row - 0.3, f"{target.experiment}, {target.quantity}: {_range_text(target)}",
            transform=panel.get_yaxis_transform(), fontsize="small", va="center", parse_math=False,
        )  # fmt: skip
    panel.set_ylim(max(len(targets), 3) - 0.5, -0.6)
    panel.set_xlim(-1.05 * FARTHEST, 1.05 * FARTHEST)
    panel.set_yticks([])
    panel.set_xlabel("distance from the middle of the range (halves of the range)")
    panel.set_title("targets", fontsize="medium")
