"""Measured points over a panel: pulse trains, relaxations, I-V loops, and loops G(H)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from kmc_oxy.figures.common_factor import common_factor
from kmc_oxy.figures.panel import Panel, PanelCurve, joined
from kmc_oxy.figures.style import draw_legend, evenly_spaced, set_y_scale
from kmc_oxy.measured import MeasuredCurve, refusal

Floats = NDArray[np.float64]

# Unlike those of the series of a run.
COLOURS = ("#e7298a", "#a6761d", "#00a0b0", "#8c510a")
MARKERS = ("*", "d", "h", "p", ">")
#: Of a longer curve, evenly spaced points are drawn.
MAX_POINTS = 5000


@dataclasses.dataclass(frozen=True, eq=False)
class _Points:
    """A measured curve in the quantity and unit of a panel."""

    label: str
    x: Floats
    y: Floats
    error: Floats | None

    def at(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> _Points:
        error = None if self.error is None else self.error[chosen]
        return _Points(self.label, self.x[chosen], self.y[chosen], error)

    def times(self, factor: float) -> _Points:
        error = None if self.error is None else factor * self.error
        return _Points(self.label, self.x, factor * self.y, error)


def with_measured(panel: Panel, measured: Sequence[MeasuredCurve], scale: str) -> Panel:
    """A panel with measured points over it.

    Parameters
    ----------
    panel : Panel
        With the `x_quantity` of the curves.
    measured : sequence of MeasuredCurve
    scale : str
        ``free``: the points are multiplied by the factor that fits best; ``absolute``: they are
        drawn as measured. A loop G(H) is relative: it has no factor.

    Returns
    -------
    Panel

    Raises
    ------
    CurveError
        If the panel cannot show the measured quantity, nothing is left to draw, or a free factor
        cannot be found.
    """
    source = measured[0].source
    all_points = [_in_panel(curve, panel.x_quantity) for curve in measured]
    found = [points.at(_can_be_drawn(points, panel.x_quantity)) for points in all_points]
    lost = sum(points.x.size for points in all_points) - sum(points.x.size for points in found)
    found = [points for points in found if points.x.size]
    if not found:
        raise refusal(source, "has only values that logarithmic axes cannot show")
    factor = _factor(panel, found, source) if scale == "free" else None
    drawn = [_thinned(points) for points in evenly_spaced(found)]
    if factor is not None:
        drawn = [points.times(factor) for points in drawn]
    count = sum(points.x.size for points in found)
    shown = sum(points.x.size for points in drawn)
    note = joined(
        panel.note,
        f"{lost} measured point{'s' * (lost > 1)} off the logarithmic axis" if lost else "",
        f"{shown} of {count} measured points" if shown < count else "",
    )

    def draw(axes: list[Axes]) -> None:
        panel.draw(axes)
        _draw(axes[0], panel, drawn, factor)

    by = f", multiplied by {factor:.3g}" if factor is not None else ""
    return dataclasses.replace(
        panel, draw=draw, note=note, caption=f"{panel.caption} Marks without lines: measured{by}."
    )


def _factor(panel: Panel, found: list[_Points], source: str) -> float | None:
    """The factor on the measured values; None for a loop G(H)."""
    if panel.x_quantity == "field":
        return None
    curves = [PanelCurve(points.x, points.y) for points in found]
    factor = common_factor(curves, panel.curves, log_x=panel.x_quantity != "voltage")
    if factor is None:
        raise refusal(
            source,
            f"has no point in the range of the drawn curves of the {panel.title}: no factor can be "
            "found; draw them with --data-scale absolute",
        )
    return factor


def _in_panel(curve: MeasuredCurve, x_quantity: str) -> _Points:
    """A measured curve in the quantities that a panel shows."""
    y, error = curve.y, curve.error
    if curve.y_quantity == "resistance":
        y, error = 1 / y, None if error is None else error / y**2
    if x_quantity == "field":
        return _relative(curve, y, error)
    if x_quantity == "voltage":
        per_V = 1.0 if curve.y_quantity == "current" else np.abs(curve.x)
        error = None if error is None else error * per_V
        return _Points(curve.label, curve.x, np.abs(y) * per_V, error)
    if curve.y_quantity == "current":
        raise refusal(
            curve.source,
            f"has currents against {x_quantity}, where conductances are drawn: divide them by the "
            "reading voltage",
        )
    return _Points(curve.label, curve.x, y, error)


def _relative(curve: MeasuredCurve, y: Floats, error: Floats | None) -> _Points:
    """Change (%) from the value in the largest field, against the field (mT)."""
    saturated = y[np.argmax(np.abs(curve.x))]
    if saturated == 0:
        raise refusal(curve.source, "has a current of 0 in its largest field")
    error = None if error is None else 100 * error / abs(saturated)
    return _Points(curve.label, 1e3 * curve.x, 100 * (y / saturated - 1), error)


def _can_be_drawn(points: _Points, x_quantity: str) -> NDArray[np.bool_]:
    """Which points the axes of a panel can show."""
    if x_quantity == "field":
        return np.ones(points.x.shape, bool)
    return points.y > 0 if x_quantity == "voltage" else points.x > 0


def _thinned(points: _Points) -> _Points:
    if points.x.size <= MAX_POINTS:
        return points
    return points.at(np.linspace(0, points.x.size - 1, MAX_POINTS).round().astype(np.intp))


def _draw(axes: Axes, panel: Panel, drawn: list[_Points], factor: float | None) -> None:
    for number, points in enumerate(drawn):
        label = f"measured, {points.label}" if points.label else "measured"
        if factor is not None:
            label += f" \N{MULTIPLICATION SIGN} {factor:.3g}"
        axes.errorbar(
            points.x,
            points.y,
            points.error,
            label=label,
            color=COLOURS[number % len(COLOURS)],
            marker=MARKERS[number % len(MARKERS)],
            linestyle="none",
            markersize=6,
            markerfacecolor="none",
            elinewidth=1,
            capsize=2,
            zorder=5,
        )
    if panel.x_quantity in ("pulse", "time"):
        everything = [*(curve.y for curve in panel.curves), *(points.y for points in drawn)]
        set_y_scale(axes, [], np.concatenate(everything).tolist())
    draw_legend(axes)
