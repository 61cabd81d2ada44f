"""Quantities that a target can name, each measured on every member by itself.

A quantity is a function of the conductances of some legs of an experiment, one array of shape
(members, readings) for each leg. `QUANTITIES` is the table: name, dimension, meaning, function.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kmc_oxy.analysis import Leg, compare_with_log, least_squares_slope

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LegValues:
    """A leg and what was read in it.

    Parameters
    ----------
    leg : Leg
    conductance_S, magnetoresistance : ndarray, shape (members, readings)
    """

    leg: Leg
    conductance_S: Array
    magnetoresistance: Array


@dataclass(frozen=True)
class Quantity:
    """A named quantity.

    Parameters
    ----------
    meaning : str
    measure : callable
        Legs -> one value a member, shape (members,); of shape (1,) for a quantity of the whole
        ensemble.
    dimension : str
        Key of `units.HELD_IN`.
    needs_spin : bool
        Whether it is of the magnetoresistance.
    """

    meaning: str
    measure: Callable[[Sequence[LegValues]], Array]
    dimension: str = "number"
    needs_spin: bool = False


def _all(legs: Sequence[LegValues]) -> Array:
    return np.concatenate([each.conductance_S for each in legs], axis=1)


def _range(legs: Sequence[LegValues]) -> Array:
    values = _all(legs)
    found: Array = values.max(axis=1) / values.min(axis=1) - 1
    return found


def _level(legs: Sequence[LegValues]) -> Array:
    found: Array = _all(legs).mean(axis=1)
    return found


def _change(legs: Sequence[LegValues]) -> Array:
    values = _all(legs)
    found: Array = values[:, -1] / values[:, 0] - 1
    return found


def _largest_change(legs: Sequence[LegValues]) -> Array:
    values = _all(legs)
    found: Array = np.abs(values / values[:, :1] - 1).max(axis=1)
    return found


def _ratio(legs: Sequence[LegValues]) -> Array:
    values = _all(legs)
    found: Array = values[:, 0] / values[:, -1]
    return found


def _mean(values: Sequence[Array]) -> Array:
    found: Array = np.mean(values, axis=0)
    return found


def _slope_with_time(legs: Sequence[LegValues]) -> Array:
    slopes = [
        least_squares_slope(np.log10(each.leg.time_s[each.leg.time_s > 0]),
               np.log(each.conductance_S[:, each.leg.time_s > 0]))
        for each in legs
    ]  # fmt: skip
    return _mean(slopes)


def _slope_with_pulses(legs: Sequence[LegValues]) -> Array:
    slopes = [
        least_squares_slope(np.log10(each.leg.pulse[each.leg.pulse > 0].astype(float)),
               np.log(each.conductance_S[:, each.leg.pulse > 0]))
        for each in legs
    ]  # fmt: skip
    return _mean(slopes)


def _slope_with_number(legs: Sequence[LegValues]) -> Array:
    number = np.arange(1.0, len(legs) + 1)
    first = np.stack([each.conductance_S[:, 0] for each in legs], axis=1)
    return least_squares_slope(np.log10(number), np.log(first))


def _last_slope(legs: Sequence[LegValues]) -> Array:
    slopes = []
    for each in legs:
        pulse = each.leg.pulse[-10:].astype(float)
        slopes.append(least_squares_slope(pulse, np.log(each.conductance_S[:, -10:])))
    return _mean(slopes)


def _first_pulse(legs: Sequence[LegValues]) -> Array:
    shares = [
        (each.conductance_S[:, 1] - each.conductance_S[:, 0])
        / (each.conductance_S[:, -1] - each.conductance_S[:, 0])
        for each in legs
    ]
    return _mean(shares)


def _bend(legs: Sequence[LegValues]) -> Array:
    """Ratio of the slopes against ln N in the upper and the lower half of ln N, of the mean."""
    ratios = []
    for each in legs:
        chosen = each.leg.pulse > 0
        log_number = np.log(each.leg.pulse[chosen].astype(float))
        mean = each.conductance_S[:, chosen].mean(axis=0)
        middle = 0.5 * log_number[-1]
        lower, upper = log_number <= middle, log_number >= middle
        ratios.append(
            float(
                least_squares_slope(log_number[upper], mean[upper])
                / least_squares_slope(log_number[lower], mean[lower])
            )
        )
    return np.array([max(ratios, key=lambda ratio: abs(ratio - 1))])


def _ratio_slope(legs: Sequence[LegValues]) -> Array:
    first = np.stack([np.log10(each.conductance_S[:, -1]) for each in legs], axis=1)
    ratio = first[:, 0::2] - first[:, 1::2]
    return least_squares_slope(np.log10(np.arange(1.0, ratio.shape[1] + 1)), ratio)


def _magnetoresistance_ratio(legs: Sequence[LegValues]) -> Array:
    first, second = legs[0].magnetoresistance, legs[-1].magnetoresistance
    return np.array([float(second.mean() / first.mean())])


def _joint_spread_over_drift(legs: Sequence[LegValues]) -> Array:
    whole = [np.log(each.conductance_S.sum(axis=0)) for each in legs]
    drift = abs(float(np.mean([each[-1] - each[0] for each in whole])))
    return np.array([np.std([each[-1] for each in whole], ddof=1) / max(drift, 1e-300)])


def _magnetoresistance(legs: Sequence[LegValues]) -> Array:
    found: Array = np.concatenate([each.magnetoresistance for each in legs], axis=1).mean(axis=1)
    return found


def _spread_over_drift(legs: Sequence[LegValues]) -> Array:
    last = np.stack([np.log(each.conductance_S[:, -1]) for each in legs])
    first = np.stack([np.log(each.conductance_S[:, 0]) for each in legs])
    drift = np.abs((last - first).mean())
    found: Array = last.std(axis=0, ddof=1) / max(float(drift), 1e-300)
    return found


def _preference(rival: str) -> Callable[[Sequence[LegValues]], Array]:
    def measure(legs: Sequence[LegValues]) -> Array:
        found = [
            compare_with_log(each.conductance_S[:, each.leg.pulse > 0], rival) for each in legs
        ]
        return np.array([min(comparison.preference.value for comparison in found)])

    return measure


def _log_misfit(legs: Sequence[LegValues]) -> Array:
    found = [
        compare_with_log(each.conductance_S[:, each.leg.pulse > 0], "exponential") for each in legs
    ]
    return np.array([max(comparison.misfit for comparison in found)])


QUANTITIES: dict[str, Quantity] = {
    "range": Quantity("largest over smallest conductance of all legs together, minus 1", _range),
    "level": Quantity("mean conductance", _level, "conductance"),
    "change": Quantity("last reading over first reading, minus 1", _change),
    "largest change": Quantity(
        "largest magnitude of the change of a reading against the first one", _largest_change
    ),
    "ratio": Quantity("first reading over last reading, such as on over off", _ratio),
    "slope with time": Quantity(
        "slope of ln G a decade of the time since the leg began, mean of the legs",
        _slope_with_time,
    ),
    "slope with pulses": Quantity(
        "slope of ln G a decade of the pulse number, mean of the legs", _slope_with_pulses
    ),
    "slope with number": Quantity(
        "slope of ln G a decade of the leg's number, of the first reading of each leg",
        _slope_with_number,
    ),
    "last slope": Quantity(
        "slope of ln G a pulse over the last ten pulses, mean of the trains", _last_slope
    ),
    "first pulse": Quantity("share of a train's change that its first pulse makes", _first_pulse),
    "bend": Quantity(
        "slope of the mean conductance against ln N in the upper half of the train's ln N over "
        "that in the lower half: 1 for log N; of several trains the farthest from 1",
        _bend,
    ),
    "slope of ratio": Quantity(
        "slope of log10 of each odd leg's last reading over the next leg's, a decade of the number "
        "of the pair: on/off against cycles",
        _ratio_slope,
    ),
    "joint spread over drift": Quantity(
        "the spread over drift of all members in parallel", _joint_spread_over_drift
    ),
    "magnetoresistance ratio": Quantity(
        "magnetoresistance of the last leg over that of the first",
        _magnetoresistance_ratio,
        needs_spin=True,
    ),
    "spread over drift": Quantity(
        "standard deviation of the last readings from leg to leg over the mean change in a leg",
        _spread_over_drift,
    ),
    "magnetoresistance": Quantity("mean of (G_P - G_AP)/G_AP", _magnetoresistance, needs_spin=True),
    "log over exponential": Quantity(
        "Akaike's criterion of an exponential minus that of log N, least of the trains "
        "(16 members or more)",
        _preference("exponential"),
    ),
    "log over power": Quantity("the same against a power law", _preference("power")),
    "misfit of log": Quantity(
        "chi-square a degree of freedom of log N, largest of the trains (16 members or more)",
        _log_misfit,
    ),
}
