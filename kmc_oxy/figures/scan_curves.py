"""Panel of what the last step does to the conductance, against a scanned number."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from kmc_oxy.analysis import EnsembleMean, Leg, ensemble_mean, is_wide, step_name
from kmc_oxy.figures.panel import Panel, RunData, joined
from kmc_oxy.figures.scan_labels import axis_label, scanned_texts, short_names
from kmc_oxy.figures.style import (
    LOG_X_ABOVE_RATIO,
    draw_curve,
    draw_legend,
    evenly_spaced,
    line_style,
    members_text,
    set_y_scale,
    style,
)

#: Fewest values of a scanned number that make a curve.
FEWEST_VALUES = 3
#: Kinds of legs that change a conductance.
CHANGING = ("single", "train", "relax", "program")


class _Curve(NamedTuple):
    """Ratio of the conductances at the points of one curve."""

    label: str
    x: NDArray[np.float64]
    mean: EnsembleMean


def change_over_scan(data: RunData) -> Panel | None:
    """Conductance after over before the last step, against the scanned number of most values.

    The last step is the last leg of a kind in `CHANGING`. Values of other scanned keys are a curve
    each.
    """
    key = _abscissa(data)
    if key is None:
        return None
    last: dict[int, Leg] = {leg.point: leg for leg in data.legs if leg.kind in CHANGING}
    before = {point: _reading_before(leg) for point, leg in last.items()}
    if len(last) < data.file.shape()["point"] or min(before.values()) < 0:
        return None
    curves, count = _curves(data, key, last, before)
    x_label, first = axis_label(data.file, key), next(iter(last.values()))
    step, geometric = step_name(first), curves[0].mean.geometric
    y_label = f"conductance after / before step {step}{data.members_label(geometric)}"
    return Panel(
        1,
        lambda axes: _draw(axes[0], curves, x_label, y_label),
        f"effect of step {step}",
        f"Ratio of the conductance after step {step} to that before it, against {x_label}. "
        + members_text(data.members, geometric),
        f"Chart of the relative change of the conductance by step {step} against {x_label}, "
        f"{len(curves)} curves.",
        joined(
            f"{len(curves)} of {count} curves" if len(curves) < count else "",
            data.cell_note if first.cell is None else "",
        ),
    )


def _abscissa(data: RunData) -> str | None:
    """The scanned number with the most values, the last of several."""
    counts = {
        key: np.unique(values).size
        for key, values in data.file.scan().items()
        if values.dtype.kind == "f"
    }
    # max() takes the first of several.
    key = max(reversed(counts), key=lambda key: counts[key], default=None)
    return key if key is not None and counts[key] >= FEWEST_VALUES else None


def _reading_before(leg: Leg) -> int:
    """Number of the reading before a leg or its first pulse; -1 if there is none."""
    reads_before = leg.kind in ("train", "program") and leg.pulse[0] == 0
    return int(leg.readings.start) - (0 if reads_before else 1)


def _curves(
    data: RunData, key: str, last: dict[int, Leg], before: dict[int, int]
) -> tuple[list[_Curve], int]:
    """The curves that are drawn, and how many there are."""
    names = short_names(data.file)
    others = {k: scanned_texts(data.file, k) for k in names if k != key}
    groups: dict[str, list[int]] = {}
    for point in last:
        label = ", ".join(f"{names[k]} {texts[point]}" for k, texts in others.items())
        groups.setdefault(label, []).append(point)
    drawn = evenly_spaced([*groups.items()])
    values = data.file.scan()[key]
    ratios = []
    for _, points in drawn:
        points.sort(key=lambda point: float(values[point]))
        ratios.append(
            np.stack([_ratio(data, last[point], before[point]) for point in points], axis=1)
        )
    geometric = any(is_wide(ratio) for ratio in ratios)
    curves = [
        _Curve(label, values[points], ensemble_mean(ratio, geometric=geometric))
        for (label, points), ratio in zip(drawn, ratios, strict=True)
    ]
    return curves, len(groups)


def _ratio(data: RunData, leg: Leg, before: int) -> NDArray[np.float64]:
    row, column = leg.cell or (0, 0)
    chosen = data.file["conductance"][leg.point, :, row, column, before : leg.readings.stop]
    ratio: NDArray[np.float64] = chosen[:, -1] / chosen[:, 0]
    return ratio


def _draw(axes: Axes, curves: list[_Curve], x_label: str, y_label: str) -> None:
    for number, curve in enumerate(curves):
        look = style(number) | {"linestyle": line_style(number)}
        draw_curve(axes, curve.x, curve.mean, look, curve.label or None)
    x = curves[0].x
    if x.min() > 0 and x.max() > LOG_X_ABOVE_RATIO * x.min():
        axes.set_xscale("log")
    set_y_scale(axes, [curve.mean for curve in curves])
    axes.axhline(1.0, color="0.6", linewidth=0.8, zorder=0)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    if len(curves) > 1:
        draw_legend(axes)
