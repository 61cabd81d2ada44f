"""Findings of a run as text: laws of trains, results of write-verify, half-select disturb."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kmc_oxy.analysis.half_select_disturb import PUBLISHED, crosstalk
from kmc_oxy.analysis.laws import fit, fit_laws, verdict
from kmc_oxy.analysis.series import Leg
from kmc_oxy.analysis.statistics import EnsembleMean
from kmc_oxy.storage import OutputFile

#: Shortest train to which laws are fitted.
SHORTEST_FITTED = 8


def step_name(leg: Leg) -> str:
    """Number and kind of the step of a leg, and the cell that it programs."""
    if leg.kind == "single":
        return str(leg.step)
    return f"{leg.step} {leg.kind}" + (f" ({leg.cell[0]}, {leg.cell[1]})" if leg.cell else "")


def voltage_text(leg: Leg) -> str:
    """Voltage (V) of the last pulse of a leg, or the range of its sweep."""
    voltages = leg.voltage_V
    if leg.kind == "sweep":
        return f"{voltages.min():+g}..{voltages.max():+g}"
    return f"{voltages[-1]:+g}"


def leg_notes(file: OutputFile, leg: Leg) -> list[str]:
    """The law of a train, or the result of a write-verify, a line each."""
    return _law_notes(file, leg) + _target_notes(file, leg)


def _target_notes(file: OutputFile, leg: Leg) -> list[str]:
    """Members that have reached the target of a write-verify."""
    if leg.target_S is None:
        return []
    last = leg.readings.stop - 1
    reached = file["target_reached"][leg.point, :, last] == 1
    pulses = file["pulses_applied"][leg.point, :, last]
    text = f"leg {leg.number}: target {leg.target_S:.4g} S reached by {reached.sum()} of "
    text += f"{reached.size} members"
    if reached.any():
        text += f", with {pulses[reached].mean():.3g} pulses on average"
    if not reached.all():
        text += f"; not reached with the {leg.pulse[-1]} pulses allowed by {(~reached).sum()}"
    return [text]


def crosstalk_notes(file: OutputFile, found: Sequence[Leg], point: int) -> list[str]:
    """Disturb of the half-selected cells over all program steps of a point."""
    programs = [leg for leg in found if leg.kind == "program"]
    if not programs:
        return []
    result = crosstalk(file, programs)
    if result.half_selected is None:
        return []
    several = f"point {point}: " if file.shape()["point"] > 1 else ""
    text = f"{several}half-selected cells changed by {_percent(result.half_selected)} on average "
    text += f"over {len(programs)} program step{'s' if len(programs) > 1 else ''}"
    if result.others is not None:
        text += f", cells on other lines by {_percent(result.others)}"
    return [f"{text} (paper: {100 * PUBLISHED:g} %)"]


def _percent(mean: EnsembleMean) -> str:
    interval = f" +- {100 * (mean.high - mean.mean):.2g}" if mean.members > 1 else ""
    return f"{100 * mean.mean:.3g}{interval} %"


def _law_notes(file: OutputFile, leg: Leg) -> list[str]:
    """Preference of the logarithm over the exponential, for the mean and for each member."""
    chosen = leg.pulse >= 1
    if leg.kind != "train" or np.count_nonzero(chosen) < SHORTEST_FITTED:
        return []
    number = leg.pulse[chosen]
    values = leg.values(file, "conductance")[:, chosen]
    if not np.ptp(values) > 0:
        return []
    mean = values.mean(axis=0)
    fits = fit_laws(number, mean)
    log = fits["log"]
    better = sum(
        fit(number, one, "log").aicc < fit(number, one, "exponential").aicc for one in values
    )
    members = f" ({better} of {len(values)} members prefer log)" if len(values) > 1 else ""
    best = next(iter(fits.values()))
    return [
        f"leg {leg.number}: G = {log.parameters['a']:.4g} S "
        f"{log.parameters['b']:+.4g} S ln N; {verdict(log, fits['exponential'])}{members}; "
        f"lowest AICc: {best.law}"
        + (" (a parameter is at the edge of its range)" if best.at_bound else "")
    ]
