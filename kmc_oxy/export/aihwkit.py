"""Update curves for aihwkit: a CSV for its fit tool, and parameters of two of its devices."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kmc_oxy.analysis import Scatter, SoftBound, Trains, compare_laws, fit_soft_bound, scatter
from kmc_oxy.export.selection import Selection, text_file
from kmc_oxy.export.update_trains import UpdateTrains, update_trains
from kmc_oxy.storage import OutputFile, StoreError, check_no_run

POLARITIES = ("up", "down")
ADVICE = "use more pulses, each with a smaller change of the conductance"


def write_aihwkit(file: OutputFile, out: Path, selection: Selection) -> list[Path]:
    """Mean conductance after each up and each down pulse; parameters of two devices as JSON.

    The fit tool of aihwkit takes a CSV without a header, and one train in each column.
    """
    updates = update_trains(file, selection)
    parameters = aihwkit_parameters(updates)
    _require_finite(parameters)
    table, beside = out.with_suffix(".csv"), out.with_suffix(".json")
    if out.suffix != ".json":
        table = out
    for path in (table, beside):
        check_no_run(path)
    up, down = (item.mean_S[1:].tolist() for item in updates.trains)
    with text_file(table) as text:
        for pair in zip(up, down, strict=False):
            text.write("{!r},{!r}\n".format(*pair))
    with text_file(beside) as text:
        json.dump(parameters, text, indent=2, allow_nan=False)
        text.write("\n")
    return [table, beside]


def aihwkit_parameters(updates: UpdateTrains) -> dict[str, Any]:
    """Keyword arguments of aihwkit's devices, and the quantities that they follow from.

    Weights -1 and 1 are the ends of the common range of both trains, for both devices. The bounds
    of PowStepDevice are those of the soft bound, mostly beyond that range.

    Parameters
    ----------
    updates : UpdateTrains

    Returns
    -------
    dict
        ``PiecewiseStepDevice`` and ``PowStepDevice`` (keyword arguments), ``conductance``,
        ``trains`` and ``soft_bound``, ready for JSON.

    Raises
    ------
    StoreError
        If the trains are too short, or do not change the conductance as the devices can.
    """
    low_S, high_S = updates.range_S
    bounds = [fit_soft_bound(item) for item in updates.trains]
    gmax_S, gmin_S = bounds[0].bound_S, bounds[1].bound_S
    if gmax_S <= gmin_S:
        raise StoreError(
            f"the up trains end at {gmax_S:.3g} S, below the {gmin_S:.3g} S where the down trains "
            f"end: {ADVICE}"
        )
    for name, curve in zip(POLARITIES, updates.curves, strict=True):
        if not curve.mean_S.any():
            raise StoreError(
                f"no {name} pulse that begins between {low_S:.4g} and {high_S:.4g} S changes the "
                f"conductance: {ADVICE}"
            )
    # A scatter that the trains do not determine is NaN, which `_require_finite` names.
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = [scatter(*pair) for pair in zip(updates.trains, updates.curves, strict=True)]
    rates = [bound.rate(gmax_S - gmin_S) for bound in bounds]
    scatters = _Scatters.of(updates, parts)
    return {
        "PiecewiseStepDevice": _piecewise_step_device(updates, scatters),
        "PowStepDevice": _pow_step_device(updates, scatters, bounds, rates),
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
            for name, item, part in zip(POLARITIES, updates.trains, parts, strict=True)
        },
        "soft_bound": {
            "Gmin_S": gmin_S,
            "Gmax_S": gmax_S,
            **{
                name: _soft_bound_entry(bound, rate, item)
                for name, bound, rate, item in zip(
                    POLARITIES, bounds, rates, updates.trains, strict=True
                )
            },
        },
    }


def _require_finite(parameters: dict[str, Any], prefix: str = "") -> None:
    """Raise a StoreError that names a parameter that is not a number."""
    for name, value in parameters.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict):
            _require_finite(value, f"{key}.")
        elif isinstance(value, (float, list)) and not np.isfinite(value).all():
            raise StoreError(f"the trains do not determine {key}, which aihwkit needs: {ADVICE}")


@dataclass(frozen=True)
class _Scatters:
    """Scatter of the steps, both polarities together.

    Parameters
    ----------
    per_weight_S : float
        Conductance of one unit of weight.
    reading : float
        Of a reading, in weights.
    steps : dict
        Keyword arguments that both devices have.
    """

    per_weight_S: float
    reading: float
    steps: dict[str, float]

    @classmethod
    def of(cls, updates: UpdateTrains, parts: list[Scatter]) -> _Scatters:
        low_S, high_S = updates.range_S
        per_weight_S = (high_S - low_S) / 2
        spread = float(np.mean([part.device_to_device for part in parts]))
        steps = {
            "dw_min_std": _root_mean_square(*(part.cycle_to_cycle for part in parts)),
            "dw_min_dtod": spread if np.isfinite(spread) else 0.0,
            "w_min_dtod": 0.0,
            "w_max_dtod": 0.0,
            "up_down_dtod": 0.0,
        }
        reading = _root_mean_square(parts[0].reading_S, parts[1].reading_S) / per_weight_S
        return cls(per_weight_S, reading, steps)


def _piecewise_step_device(updates: UpdateTrains, scatters: _Scatters) -> dict[str, Any]:
    up, down = updates.curves
    per_weight_S = scatters.per_weight_S
    # Steps of both polarities relative to their common mean: PiecewiseStepDevice multiplies.
    dw_min = float(np.mean(np.abs([up.mean_S, down.mean_S]))) / per_weight_S
    return {
        "w_min": -1.0,
        "w_max": 1.0,
        "dw_min": dw_min,
        "up_down": 0.0,
        "piecewise_up": (up.mean_S / per_weight_S / dw_min).tolist(),
        "piecewise_down": (-down.mean_S / per_weight_S / dw_min).tolist(),
        "write_noise_std": scatters.reading / dw_min,
        **scatters.steps,
    }


def _pow_step_device(
    updates: UpdateTrains, scatters: _Scatters, bounds: list[SoftBound], rates: list[float]
) -> dict[str, Any]:
    low_S, _ = updates.range_S
    per_weight_S = scatters.per_weight_S
    gmax_S, gmin_S = bounds[0].bound_S, bounds[1].bound_S
    # The larger step and the larger exponent are the parameters; up_down gives the smaller ones.
    steps = [rate * (gmax_S - gmin_S) / per_weight_S for rate in rates]
    gammas = [bound.gamma for bound in bounds]
    up_down = (steps[0] - steps[1]) / max(steps)
    return scatters.steps | {
        "w_min": (gmin_S - low_S) / per_weight_S - 1,
        "w_max": (gmax_S - low_S) / per_weight_S - 1,
        "dw_min": max(steps),
        "up_down": up_down,
        # aihwkit adds the spread of devices, in units of dw_min, to the steps of both directions.
        # A larger spread than this would exceed the smaller steps.
        "dw_min_dtod": scatters.steps["dw_min_dtod"] * (1 - abs(up_down)),
        "pow_gamma": max(gammas),
        "pow_up_down": (gammas[0] - gammas[1]) / max(gammas),
        "pow_gamma_dtod": 0.0,
        "pow_up_down_dtod": 0.0,
        "write_noise_std": scatters.reading / max(steps),
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
