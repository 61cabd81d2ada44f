"""Panels of the search of a fit: costs against evaluations, and parameters in their ranges."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from kmc_oxy.figures import Panel, short_quantity
from kmc_oxy.fit import FitResult, FittedParameter

#: Parameters in one panel.
PARAMETERS_A_PANEL = 8
#: Mark of each stage of a fit: colour, marker, meaning.
STAGES = {
    "search": ("#777777", ".", "search"),
    "slopes": ("#b2182b", "x", "slopes, for the intervals"),
    "check": ("#000000", "D", "check, on other devices"),
}
FIXED = "#2166ac"
NOT_FIXED = "#9a9a9a"


def cost_panel(result: FitResult) -> Panel:
    """Costs of all sets in their order."""
    finite = int(np.isfinite(result.cost[result.is_search]).sum())
    searched = int(result.is_search.sum())
    without = searched - finite
    note = f"{without} of {searched} sets have no device" if without else ""
    lowest = float(result.cost[result.is_search].min())
    return Panel(
        1,
        partial(_draw_costs, result),
        "cost",
        "Cost (weighted sum of the mean square residuals of all experiments) against the number of "
        "the evaluation. Line: lowest so far on as many devices; it begins anew where their number "
        "grows, since costs on different devices cannot be compared.",
        f"Chart of the cost of {searched} sets of the search; lowest {lowest:.3g}.",
        note,
    )


def _draw_costs(result: FitResult, axes: list[Axes]) -> None:
    panel = axes[0]
    stages = np.array(result.stage)
    number = np.arange(1, len(stages) + 1)
    for stage, (colour, marker, meaning) in STAGES.items():
        chosen = (stages == stage) & np.isfinite(result.cost)
        if chosen.any():
            panel.plot(
                number[chosen], result.cost[chosen], linestyle="none", marker=marker, color=colour,
                markersize=5, label=meaning,
            )  # fmt: skip
    searched = stages == "search"
    changes = np.flatnonzero(np.diff(result.ensemble[searched])) + 1
    for index, own in enumerate(np.split(np.flatnonzero(searched), changes)):
        members = result.ensemble[own[0]]
        panel.step(
            number[own], np.minimum.accumulate(result.cost[own]), where="post", color="#000000",
            linewidth=1.3, label=None if index else "lowest so far",
        )  # fmt: skip
        panel.text(
            number[own[0]], 0.985, f" {members} devices", rotation=90, va="top", fontsize="x-small",
            transform=panel.get_xaxis_transform(),
        )  # fmt: skip
    for start in np.flatnonzero(stages[1:] != stages[:-1]) + 1.5:
        panel.axvline(start, color="#777777", linestyle=":", linewidth=0.9)
    if (result.cost[np.isfinite(result.cost)] > 0).all():
        panel.set_yscale("log")
    panel.set_xlabel("evaluation")
    panel.set_ylabel("cost")
    panel.set_title("cost", fontsize="medium")
    panel.legend(fontsize="small")


def parameter_panels(result: FitResult) -> list[Panel]:
    """The parameters with their intervals, some to a panel."""
    found = []
    for start in range(0, len(result.parameters), PARAMETERS_A_PANEL):
        chosen = result.parameters[start : start + PARAMETERS_A_PANEL]
        texts = "; ".join(f"{each.key} {_text(each)}" for each in chosen)
        found.append(
            Panel(
                1,
                partial(_draw_parameters, chosen),
                "parameters",
                "Each parameter between the ends of its range, which stand below it, linear or "
                "logarithmic as its scale. Square: start; point: best set; bar: 95 % interval, "
                "hatched if the data do not fix the parameter.",
                f"Chart of {len(chosen)} parameter(s) in their ranges. {texts}.",
            )
        )
    return found


def _text(parameter: FittedParameter) -> str:
    text = _quantity(parameter, parameter.best)
    return text if parameter.is_fixed else f"{text}, not fixed by the data"


def _quantity(parameter: FittedParameter, value: float) -> str:
    """A value of a parameter, with a prefix of its unit."""
    return f"{value:.4g}" if parameter.unit == "1" else short_quantity(value, parameter.unit)


def _draw_parameters(parameters: Sequence[FittedParameter], axes: list[Axes]) -> None:
    panel = axes[0]
    for row, each in enumerate(parameters):
        panel.plot([0, 1], [row, row], color="#555555", linewidth=0.8, marker="|", markersize=9)
        if each.interval is not None:
            low, high = (each.place(end) for end in each.interval)
            look: dict[str, Any] = (
                {"color": FIXED}
                if each.is_fixed
                else {"facecolor": "white", "edgecolor": NOT_FIXED, "hatch": "/////"}
            )
            panel.barh(row, high - low, 0.2, left=low, zorder=2, **look)
        is_first = row == 0
        panel.plot(
            each.place(each.start), row, marker="s", markersize=7, markerfacecolor="white",
            color="#000000", linestyle="none", zorder=3, label="start" if is_first else None,
        )  # fmt: skip
        panel.plot(
            each.place(each.best), row, marker="o", markersize=6, color="#000000",
            linestyle="none", zorder=4, label="best" if is_first else None,
        )  # fmt: skip
        panel.text(0, row - 0.27, each.key, fontsize="small", va="center")
        panel.text(0.5, row + 0.24, _text(each), fontsize="small", ha="center", va="center")
        scale = ", log" if each.is_log else ""
        for place, end, side in ((0, each.low, "left"), (1, each.high, "right")):
            text = _quantity(each, end) + (scale if place else "")
            panel.text(place, row + 0.24, text, fontsize="x-small", ha=side, va="center")
    panel.set_ylim(max(len(parameters), 3) - 0.4, -0.6)
    panel.set_xlim(-0.03, 1.03)
    panel.set_yticks([])
    panel.set_xticks([0, 0.5, 1], ["low", "middle of the range", "high"])
    panel.set_title("parameters", fontsize="medium")
    panel.legend(fontsize="small", frameon=False, loc="lower right", ncols=2)
