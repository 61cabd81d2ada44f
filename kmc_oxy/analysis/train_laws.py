"""Laws of one pulse train, if its conductance changes at all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kmc_oxy.analysis.conductance_averages import ConductanceAverages
from kmc_oxy.analysis.laws import Fit, fit_laws
from kmc_oxy.analysis.series import Leg
from kmc_oxy.analysis.statistics import ensemble_mean
from kmc_oxy.storage import OutputFile

#: Shortest train to which laws are fitted.
SHORTEST_FITTED = 8
#: A change of the conductance counts from this many tolerances of the network's solver on.
TOLERANCES_OF_A_CHANGE = 10.0

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TrainLaws:
    """Laws fitted to the mean of a train over members.

    Parameters
    ----------
    mean : str
        Name of the mean.
    number : ndarray of int, shape (pulses,)
    values_S : ndarray, shape (members, pulses)
        Conductance after each pulse, of the members whose readings are finite.
    fits : dict of str to Fit
        By name, the lowest AICc first; empty if the conductance does not change.
    why_none : str
        Why there is no law; empty if there is one.
    """

    mean: str
    number: NDArray[np.int64]
    values_S: Array
    fits: dict[str, Fit]
    why_none: str

    @property
    def best(self) -> Fit | None:
        """The law with the lowest AICc; None without laws."""
        return next(iter(self.fits.values()), None)


def train_laws(file: OutputFile, leg: Leg, averages: ConductanceAverages) -> TrainLaws | None:
    """Fit laws to the mean of a train.

    Parameters
    ----------
    file : OutputFile
    leg : Leg
    averages : ConductanceAverages

    Returns
    -------
    TrainLaws or None
        None for other legs, and for fewer than `SHORTEST_FITTED` pulses.
    """
    chosen = leg.pulse >= 1
    if leg.kind != "train" or np.count_nonzero(chosen) < SHORTEST_FITTED:
        return None
    number = leg.pulse[chosen]
    values_S = leg.values(file, "conductance")[:, chosen]
    values_S = values_S[np.isfinite(values_S).all(axis=1)]
    why_none = "no member has finite readings"
    if len(values_S):
        why_none = why_unchanged(values_S, float(file.resolved["conductance"]["tolerance"]))
    fits = {} if why_none else fit_laws(number, averages.mean(values_S).mean)
    return TrainLaws(averages.name, number, values_S, fits, why_none)


def why_unchanged(values_S: Array, tolerance: float) -> str:
    """Whether a series changes beyond rounding and, for an ensemble, beyond its scatter.

    Beyond rounding: the mean over members has a range of more than `TOLERANCES_OF_A_CHANGE`
    tolerances. Beyond the scatter: from the first to the last reading, or between the halves of
    the series, the 95 % interval of the relative change of a member does not contain zero.

    Parameters
    ----------
    values_S : ndarray, shape (members, n)
    tolerance : float
        Relative error of a value.

    Returns
    -------
    str
        Why it does not change; empty if it does.
    """
    mean_S = values_S.mean(axis=0)
    if not np.ptp(mean_S) > TOLERANCES_OF_A_CHANGE * tolerance * np.abs(mean_S).max():
        return "the conductance does not change beyond rounding"
    if len(values_S) < 2:
        return ""
    # Halves and ends: few comparisons, so that chance rarely passes for a change.
    half = max(1, values_S.shape[1] // 2)
    pairs = (
        (values_S[:, 0], values_S[:, -1]),
        (values_S[:, :half].mean(axis=1), values_S[:, half:].mean(axis=1)),
    )
    found = [ensemble_mean((later - first) / np.abs(first + later)) for first, later in pairs]
    if any(float(change.low) > 0 or float(change.high) < 0 for change in found):
        return ""
    return f"the change of the conductance is within the scatter of the {len(values_S)} members"
