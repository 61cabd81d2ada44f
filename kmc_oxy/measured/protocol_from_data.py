"""Protocol steps that repeat a measurement: its pulses, times or voltages."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kmc_oxy.inputs.schema import MAGNITUDES, READ_VOLTAGE_V
from kmc_oxy.inputs.tables import FaultCollector, refusal
from kmc_oxy.measured.csv_curves import MeasuredCurve

#: Times that differ from those of a relaxation by less than this ratio are read with one.
TIME_TOLERANCE = 0.01
#: Dwell times that differ by less than this ratio are one.
DWELL_TOLERANCE = 1e-3
#: Turning points of one sweep.
MAX_TURNS = 10_000

_MAX_POINTS_PER_DECADE = 10_000
_REST_S = 50e-3

PlainStep = dict[str, dict[str, Any]]


def steps_of(
    curve: MeasuredCurve,
    *,
    voltage_V: float | None = None,
    duration_s: float | None = None,
    rest_voltage_V: float = READ_VOLTAGE_V,
    rest_s: float | None = _REST_S,
    dwell_s: float = 10e-3,
) -> list[PlainStep]:
    """Protocol steps that repeat the measurement of a curve.

    - Pulse numbers: one `train`. Its reading N is the one after N pulses.
    - Times: one `relax` if they are evenly spaced in the logarithm within `TIME_TOLERANCE`, or else
      one `read` a row, at exactly the measured time. Reading k is that of row k.
    - Voltages: `sweep` steps that hold exactly the measured voltages; where a sweep would have no
      stair, at 0 V at its beginning, a `read`. Reading k is that of row k.

    `readings_of` gives the reading of each row.

    Parameters
    ----------
    curve : MeasuredCurve
    voltage_V : float, optional
        Voltage of the pulses: required for pulse numbers. Voltage held over the times; default:
        the reading voltage. Not used for voltages.
    duration_s : float, optional
        Length of each pulse: required for pulse numbers, not used otherwise.
    rest_voltage_V, rest_s : float, optional
        Voltage held between a pulse and its reading, and for how long; `rest_s` None or 0: no rest.
    dwell_s : float, optional
        Time at each voltage, if the file has no times. With times, each voltage is held from the
        time of the row before to its own; the first one from time 0 or, if it has that time, as
        long as the second.

    Returns
    -------
    list of dict
        Steps as in the `protocol` of an input, all values in SI units.

    Raises
    ------
    ValueError
        If an argument is missing.
    CurveError
        If no steps can repeat the measurement: rows at time 0 or before, or of magnetic fields.
    """
    if curve.x_quantity == "pulse":
        if voltage_V is None or duration_s is None:
            raise ValueError("a curve of pulses needs their voltage and duration")
        rest = {"voltage": rest_voltage_V, "duration": rest_s} if rest_s else None
        return _train(curve, {"voltage": voltage_V, "duration": duration_s, "rest": rest})
    if curve.x_quantity == "time":
        return _relaxation(curve, READ_VOLTAGE_V if voltage_V is None else voltage_V)
    if curve.x_quantity == "voltage":
        return list(_holds(curve, _dwells_s(curve, dwell_s)))
    raise refusal(
        curve.source, "has magnetic fields, which no step visits: write a field_sweep yourself"
    )


def readings_of(curve: MeasuredCurve) -> NDArray[np.int64]:
    """The reading, of those of `steps_of`, that belongs to each row.

    Parameters
    ----------
    curve : MeasuredCurve

    Returns
    -------
    ndarray of int64, shape (n,)
        Counted from 0 at the first reading of the steps.
    """
    if curve.x_quantity == "pulse":
        return curve.x.astype(np.int64)
    return np.arange(curve.x.size, dtype=np.int64)


def _train(curve: MeasuredCurve, pulse: dict[str, Any]) -> list[PlainStep]:
    count = int(curve.x[-1])
    if count < 1:
        raise refusal(curve.source, "has no pulse: its only row is before the first one")
    return [{"train": {**pulse, "count": count}}]


def _relaxation(curve: MeasuredCurve, voltage_V: float) -> list[PlainStep]:
    """A relaxation that reads at the measured times."""
    times_s = curve.x
    _check_positive(curve, times_s, "time")
    relax = _relax_of(times_s)
    if relax is not None:
        return [{"relax": {"voltage": voltage_V, **relax}}]
    # Times that differ by rounding only are read after the shortest hold that there is.
    durations_s = np.maximum(np.diff(times_s, prepend=0.0), MAGNITUDES["duration"][0])
    return [
        {"read": {"voltage": voltage_V, "duration": float(duration_s)}}
        for duration_s in durations_s
    ]


def _relax_of(times_s: NDArray[np.float64]) -> dict[str, Any] | None:
    """Keys of a `relax` that reads at these times; None if they are not evenly spaced."""
    intervals = times_s.size - 1
    if intervals < 1:
        return None
    decades = float(np.log10(times_s[-1] / times_s[0]))
    per_decade = round(intervals / decades)
    if not 1 <= per_decade <= _MAX_POINTS_PER_DECADE or round(per_decade * decades) != intervals:
        return None
    even_s = np.geomspace(times_s[0], times_s[-1], times_s.size)
    if np.any(np.abs(times_s / even_s - 1) > TIME_TOLERANCE):
        return None
    return {
        "first": float(times_s[0]),
        "duration": float(times_s[-1]),
        "points_per_decade": per_decade,
    }


def _dwells_s(curve: MeasuredCurve, dwell_s: float) -> NDArray[np.float64]:
    """How long each voltage is held (s); nearly equal times in a row are made equal."""
    if curve.time_s is None:
        return np.full(curve.x.size, dwell_s)
    dwells_s = np.diff(curve.time_s, prepend=0.0)
    if dwells_s[0] == 0:
        dwells_s[0] = dwells_s[1] if dwells_s.size > 1 else dwell_s
    _check_positive(curve, dwells_s, "time")
    for row in range(1, dwells_s.size):
        if abs(dwells_s[row] / dwells_s[row - 1] - 1) < DWELL_TOLERANCE:
            dwells_s[row] = dwells_s[row - 1]
    return dwells_s


def _holds(curve: MeasuredCurve, dwells_s: NDArray[np.float64]) -> Iterator[PlainStep]:
    """Sweeps whose every stair is a turning point, one for each run of equal dwell times."""
    rows = zip(curve.x.tolist(), dwells_s.tolist(), strict=True)
    for dwell_s, run in groupby(rows, key=lambda row: row[1]):
        turns: list[float] = []
        for voltage_V, _ in run:
            # A sweep begins at 0 V, and has no stair where the voltage stays.
            if voltage_V == (turns[-1] if turns else 0.0):
                yield from _sweep(turns, dwell_s)
                turns = []
            if voltage_V or turns:
                turns.append(voltage_V)
            else:
                yield {"read": {"voltage": 0.0, "duration": dwell_s}}
        yield from _sweep(turns, dwell_s)


def _sweep(turns_V: list[float], dwell_s: float) -> Iterator[PlainStep]:
    remaining = iter(turns_V)
    while part := list(islice(remaining, MAX_TURNS)):
        step_V = float(np.max(np.abs(np.diff(part, prepend=0.0))))
        yield {"sweep": {"to": part, "step": step_V, "dwell": dwell_s}}


def _check_positive(curve: MeasuredCurve, values: NDArray[np.float64], name: str) -> None:
    faults = FaultCollector(curve.source)
    for row in np.flatnonzero(values <= 0):
        message = f"must have a {name} above 0, counted from the beginning of the step"
        faults.add(int(curve.lines[row]), message)
    faults.check()
