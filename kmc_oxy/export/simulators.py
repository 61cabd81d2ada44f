"""Update curves in the formats of two neural-network simulators, aihwkit and CrossSim."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kmc_oxy.analysis import (
    SoftBound,
    Trains,
    UpdateCurve,
    both_polarities,
    common_range_S,
    compare_laws,
    fit_soft_bound,
    read_trains,
    scatter,
    update_curve,
)
from kmc_oxy.export.selection import Selection, text_file
from kmc_oxy.storage import OutputFile


@dataclass(frozen=True, eq=False)
class Updates:
    """Trains of both polarities on their common range, and their update curves."""

    trains: tuple[Trains, Trains]
    range_S: tuple[float, float]
    curves: tuple[UpdateCurve, UpdateCurve]


def _updates(file: OutputFile, selection: Selection) -> Updates:
    point, _, row, column = selection.one
    trains = both_polarities(read_trains(file, point, row, column))
    low_S, high_S = common_range_S(*trains)
    up, down = (update_curve(item, low_S, high_S) for item in trains)
    return Updates(trains, (low_S, high_S), (up, down))


def write_crosssim(file: OutputFile, out: Path, selection: Selection) -> list[Path]:
    """Lookup tables: a comment, the conductances, the levels of the CDF, then dG (CDF x G), S."""
    updates = _updates(file, selection)
    out.mkdir(exist_ok=True)
    written = []
    for name, curve in zip(("increasing", "decreasing"), updates.curves, strict=True):
        path = out / f"dG_{name}.txt"
        with text_file(path) as text:
            text.write(
                "1st row = conductances (S), 2nd row = CDF levels, 3rd row onward = dG matrix (S; "
                "rows = CDF, columns = conductance)\n"
            )
            for line in (curve.conductance_S, curve.cdf, *curve.quantile_S):
                text.write(",".join(map(repr, line.tolist())) + "\n")
        written.append(path)
    return written


def write_aihwkit(file: OutputFile, out: Path, selection: Selection) -> list[Path]:
    """Mean conductance after each up and each down pulse; parameters of two devices as JSON.

    The fit tool of aihwkit takes a CSV without a header, and one train in each column.
    """
    updates = _updates(file, selection)
    parameters = aihwkit_parameters(updates)
    table, beside = out.with_suffix(".csv"), out.with_suffix(".json")
    if out.suffix != ".json":
        table = out
    up, down = (item.mean_S[1:].tolist() for item in updates.trains)
    with text_file(table) as text:
        for pair in zip(up, down, strict=False):
            text.write("{!r},{!r}\n".format(*pair))
    with text_file(beside) as text:
        json.dump(parameters, text, indent=2, allow_nan=False)
        text.write("\n")
    return [table, beside]


def aihwkit_parameters(updates: Updates) -> dict[str, Any]:
    """Keyword arguments of aihwkit's devices, and what they come from.

    Weights -1 and 1 are the ends of the common range of both trains, for both devices. The bounds
    of PowStepDevice lie where the soft bound puts them, mostly beyond.

    Parameters
    ----------
    updates : Updates

    Returns
    -------
    dict
        ``PiecewiseStepDevice`` and ``PowStepDevice`` (keyword arguments), ``conductance``,
        ``trains`` and ``soft_bound``, ready for JSON.
    """
    low_S, high_S = updates.range_S
    per_weight_S = (high_S - low_S) / 2
    up, down = updates.curves
    bounds = [fit_soft_bound(item) for item in updates.trains]
    parts = [scatter(*pair) for pair in zip(updates.trains, updates.curves, strict=True)]
    reading = _root_mean_square(parts[0].reading_S, parts[1].reading_S) / per_weight_S
    spread = float(np.mean([part.device_to_device for part in parts]))
    common: dict[str, Any] = {
        "dw_min_std": _root_mean_square(*(part.cycle_to_cycle for part in parts)),
        "dw_min_dtod": spread if np.isfinite(spread) else 0.0,
        "w_min_dtod": 0.0,
        "w_max_dtod": 0.0,
        "up_down_dtod": 0.0,
    }
    # Steps of both polarities relative to their common mean; PiecewiseStepDevice multiplies.
    dw_min = float(np.mean(np.abs([up.mean_S, down.mean_S]))) / per_weight_S
    piecewise = {
        "w_min": -1.0,
        "w_max": 1.0,
        "dw_min": dw_min,
        "up_down": 0.0,
        "piecewise_up": (up.mean_S / per_weight_S / dw_min).tolist(),
        "piecewise_down": (-down.mean_S / per_weight_S / dw_min).tolist(),
        "write_noise_std": reading / dw_min,
        **common,
    }
    gmax_S, gmin_S = bounds[0].bound_S, bounds[1].bound_S
    rates = [bound.rate(gmax_S - gmin_S) for bound in bounds]
    # The larger one of a pair is the parameter, the other is reached through up_down.
    steps = [rate * (gmax_S - gmin_S) / per_weight_S for rate in rates]
    gammas = [bound.gamma for bound in bounds]
    # aihwkit adds the spread of devices, in units of dw_min, to the steps of both directions: more
    # than this would drown the smaller ones.
    up_down = (steps[0] - steps[1]) / max(steps)
    power = common | {
        "w_min": (gmin_S - low_S) / per_weight_S - 1,
        "w_max": (gmax_S - low_S) / per_weight_S - 1,
        "dw_min": max(steps),
        "up_down": up_down,
        "dw_min_dtod": common["dw_min_dtod"] * (1 - abs(up_down)),
        "pow_gamma": max(gammas),
        "pow_up_down": (gammas[0] - gammas[1]) / max(gammas),
        "pow_gamma_dtod": 0.0,
        "pow_up_down_dtod": 0.0,
        "write_noise_std": reading / max(steps),
    }
    names = ("up", "down")
    return {
        "PiecewiseStepDevice": piecewise,
        "PowStepDevice": power,
        "conductance": {"at_weight_minus_1_S": low_S, "at_weight_plus_1_S": high_S},
        "trains": {
            name: {
                "voltage_V": item.voltage_V,
                "duration_s": item.duration_s,
                "trains": len(item.conductance_S),
                "members": len(item.conductance_S[0]),
                "first_S": float(item.mean_S[0]),
                "dw_min_std": part.cycle_to_cycle,
                "reading_std_S": part.reading_S,
            }
            for name, item, part in zip(names, updates.trains, parts, strict=True)
        },
        "soft_bound": {
            "Gmin_S": gmin_S,
            "Gmax_S": gmax_S,
            **{
                name: _soft_bound_entry(bound, rate, item)
                for name, bound, rate, item in zip(
                    names, bounds, rates, updates.trains, strict=True
                )
            },
        },
    }


def _root_mean_square(first: float, second: float) -> float:
    return float(np.sqrt((first**2 + second**2) / 2))


def _soft_bound_entry(bound: SoftBound, rate: float, trains: Trains) -> dict[str, Any]:
    return {
        "a": rate,
        "gamma": bound.gamma,
        "residual_S": bound.residual_S,
        "determined": bool(bound.determined),
        "aicc": compare_laws(trains),
    }
