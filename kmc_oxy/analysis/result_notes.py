"""Findings of a run as text: laws of trains, results of write-verify, half-select disturb."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kmc_oxy.analysis.conductance_averages import ConductanceAverages
from kmc_oxy.analysis.half_select_disturb import PUBLISHED, crosstalk
from kmc_oxy.analysis.law_comparison import FEWEST_MEMBERS, compare_with_log
from kmc_oxy.analysis.laws import verdict
from kmc_oxy.analysis.series import Leg
from kmc_oxy.analysis.statistics import EnsembleMean, interval_text
from kmc_oxy.analysis.tolerance_check import tolerance_check
from kmc_oxy.analysis.train_laws import TrainLaws, train_laws
from kmc_oxy.inputs import point_values, written_value
from kmc_oxy.inputs.schema import Input
from kmc_oxy.storage import OutputFile

#: Of a longer value of a scanned key, a text gives the beginning.
LONGEST_VALUE = 40


def shortened(text: str) -> str:
    """The beginning of a long value of a scanned key."""
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 3] + "..."


def step_name(leg: Leg) -> str:
    """Number and kind of the step of a leg, and the cell that it programs."""
    kind = leg.step_kind.replace("_", " ")
    return f"{leg.step} {kind}" + (f" {list(leg.cell)}" if leg.cell else "")


def voltage_text(leg: Leg) -> str:
    """Voltage (V) of the last pulse of a leg, or the range of its sweep."""
    voltages = leg.voltage_V
    if leg.kind == "sweep":
        return f"{voltages.min():+g}..{voltages.max():+g}"
    return f"{voltages[-1]:+g}"


def general_notes(averages: ConductanceAverages) -> list[str]:
    """What holds for all conductances of a run."""
    count = averages.not_finite
    if not count:
        return []
    return [f"{count} stored conductance{'s are' if count > 1 else ' is'} not finite and left out"]


def tolerance_notes(file: OutputFile, point: int) -> list[str]:
    """The tolerance check of a point, if the run has one."""
    found = tolerance_check(file, point)
    return [_point_text(file, point) + found.text] if found else []


def leg_notes(file: OutputFile, leg: Leg, averages: ConductanceAverages) -> list[str]:
    """The law of a train, or the result of a write-verify, a line each."""
    where = _point_text(file, leg.point)
    return [where + note for note in (*_law_notes(file, leg, averages), *_target_notes(file, leg))]


def _point_text(file: OutputFile, point: int) -> str:
    """The scanned keys and their values at a point as the user wrote them, to begin a note.

    Parameters
    ----------
    file : OutputFile
    point : int

    Returns
    -------
    str
        ``"device.temperature = 90 K: "``; empty without a scan.
    """
    parts = []
    for key, value in point_values(Input.model_validate(file.resolved), point).items():
        parts.append(f"{key} = {shortened(written_value(value))}")
    return ", ".join(parts) + ": " if parts else ""


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
    text = f"{_point_text(file, point)}half-selected cells changed by "
    text += f"{_percent(result.half_selected)} on average "
    if result.half_selected.geometric:
        text += "(geometric mean over members) "
    text += f"over {len(programs)} program step{'s' if len(programs) > 1 else ''}"
    if result.others is not None:
        text += f", cells on other lines by {_percent(result.others)}"
    return [f"{text} (paper: {100 * PUBLISHED:g} %)"]


def _percent(mean: EnsembleMean) -> str:
    text = f"{100 * float(mean.mean):.3g} %"
    if mean.members > 1:
        text += f" [{interval_text(mean, lambda value: f'{100 * value:.2g}')}]"
    return text


def _law_notes(file: OutputFile, leg: Leg, averages: ConductanceAverages) -> list[str]:
    """The logarithm of a train, whether it is preferred to an exponential, and the best law."""
    found = train_laws(file, leg, averages)
    if found is None:
        return []
    best = found.best
    if best is None:
        return [f"leg {leg.number}: no law: {found.why_none}"]
    log = found.fits["log"]
    members = len(found.values_S)
    which = f"{found.mean} " if members > 1 else ""
    text = f"leg {leg.number}: {which}G = {log.parameters['a']:.4g} S "
    text += f"{log.parameters['b']:+.4g} S ln N; {preference_text(found)}; lowest AICc"
    # Of an ensemble AICc says which curve is nearest, and not how sure that is.
    text += " of the mean: " if members > 1 else ": "
    text += best.law if best.law == "log" else f"{best.law}, {best.text}"
    return [text + (" (a parameter is at the edge of its range)" if best.at_bound else "")]


def preference_text(found: TrainLaws) -> str:
    """Whether log N or an exponential is preferred, with members as independent observations.

    Parameters
    ----------
    found : TrainLaws
        With laws.
    """
    members = len(found.values_S)
    if members == 1:
        return verdict(found.fits["log"], found.fits["exponential"])
    if members < FEWEST_MEMBERS:
        return (
            f"{members} members do not decide between log and exponential "
            f"({FEWEST_MEMBERS} or more may)"
        )
    gain = compare_with_log(found.values_S, "exponential").preference
    if np.isnan(gain.value):
        return "log and exponential not compared: the members do not scatter"
    interval = f"AIC differs by {gain.value:.3g} [{gain.low:.2g}, {gain.high:.2g}]"
    if gain.positive:
        return f"log over exponential: {interval}"
    if gain.negative:
        return f"exponential over log: {interval}"
    return f"{members} members do not decide between log and exponential: {interval}"
