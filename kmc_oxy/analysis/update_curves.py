"""Update curves: change of the conductance by one pulse, from the trains of a run.

Neural-network simulators need the change dG by one pulse as a function of the conductance G
before it, for pulses that raise it (V > 0) and for pulses that lower it. The pulses of all devices
and trains are pooled and binned by G; each bin gives the mean step and its scatter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from kmc_oxy.analysis.series import legs
from kmc_oxy.inputs import at_point
from kmc_oxy.inputs.schema import Input, Repeat, Section, Step, Train
from kmc_oxy.storage import OutputFile, StoreError

#: Nodes of an update curve, the ends included.
NODES = 11
#: Levels of the cumulative distribution in a bin.
CDF_LEVELS = 101

DIRECTION = {1: "up (V > 0)", -1: "down (V < 0)"}

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Trains:
    """All trains of one polarity at one point of the scan, of one cell.

    Parameters
    ----------
    sign : int
        1 for positive pulses, which raise the conductance, -1 for negative ones.
    voltage_V, duration_s : float
        Voltage and length of each pulse.
    conductance_S : tuple of ndarray, shape (members, pulses + 1)
        One array a train: conductance before the first pulse and after every pulse.
    """

    sign: int
    voltage_V: float
    duration_s: float
    conductance_S: tuple[Array, ...]

    @cached_property
    def mean_S(self) -> Array:
        """Mean train over members and repetitions, as long as the shortest, shape (n + 1,)."""
        shortest = min(train.shape[1] for train in self.conductance_S)
        stacked = np.concatenate([train[:, :shortest] for train in self.conductance_S])
        return np.asarray(stacked.mean(axis=0))

    @cached_property
    def before_S(self) -> Array:
        """Conductance before each pulse, trains one after the other, members first."""
        return np.concatenate([train[:, :-1].ravel() for train in self.conductance_S])

    @cached_property
    def change_S(self) -> Array:
        """Change by each pulse, in the order of `before_S`."""
        return np.concatenate([np.diff(train, axis=1).ravel() for train in self.conductance_S])

    def __str__(self) -> str:
        return f"{self.voltage_V:+g} V {self.duration_s:g} s"


def read_trains(
    file: OutputFile, point: int = 0, row: int = 0, column: int = 0
) -> dict[int, Trains]:
    """The trains of one cell, by polarity.

    Parameters
    ----------
    file : OutputFile
    point, row, column : int

    Returns
    -------
    dict of int to Trains
        Keys 1 and -1, as far as there are such trains.

    Raises
    ------
    StoreError
        If trains of one polarity differ in voltage or duration.
    """
    protocol = at_point(Input.model_validate(file.resolved), point).protocol
    bodies = list(_bodies(protocol))
    found: dict[int, list[tuple[float, float, Array]]] = {}
    for leg in legs(file, point):
        body = bodies[leg.number]
        if isinstance(body, Train) and body.voltage != 0:
            values = np.asarray(leg.values(file, "conductance", row, column), dtype=np.float64)
            found.setdefault(1 if body.voltage > 0 else -1, []).append(
                (body.voltage, body.duration, values)
            )
    trains = {}
    for sign, items in found.items():
        pulses = {(voltage_V, duration_s) for voltage_V, duration_s, _ in items}
        if len(pulses) > 1:
            listed = ", ".join(f"{v:+g} V {t:g} s" for v, t in sorted(pulses))
            raise StoreError(
                f"the {DIRECTION[sign]} trains have pulses of several kinds ({listed}): an update "
                "curve belongs to one (put them into a scan instead)"
            )
        voltage_V, duration_s = pulses.pop()
        trains[sign] = Trains(sign, voltage_V, duration_s, tuple(item[2] for item in items))
    return trains


def _bodies(steps: Iterable[Step]) -> Iterator[Section]:
    """The steps in the order of execution, repetitions included: the n-th belongs to leg n."""
    for step in steps:
        if isinstance(step.body, Repeat):
            for _ in range(step.body.count):
                yield from _bodies(step.body.steps)
        else:
            yield step.body


def both_polarities(trains: Mapping[int, Trains]) -> tuple[Trains, Trains]:
    """Up and down trains.

    Raises
    ------
    StoreError
        If a polarity is missing, or changes the conductance in the wrong direction.
    """
    missing = [DIRECTION[sign] for sign in (1, -1) if sign not in trains]
    if missing:
        raise StoreError(
            f"the run has no {' and no '.join(missing)} trains with readings: add a `train` step "
            "of each polarity to the protocol"
        )
    for item in (trains[1], trains[-1]):
        moved_S = item.mean_S[-1] - item.mean_S[0]
        if moved_S * item.sign <= 0:
            raise StoreError(
                f"the {DIRECTION[item.sign]} trains change the mean conductance by {moved_S:+.3g} "
                "S, the wrong way: no update curve for a simulator can be made of them"
            )
    return trains[1], trains[-1]


def common_range_S(up: Trains, down: Trains) -> tuple[float, float]:
    """Conductances that the mean trains of both polarities pass through.

    Raises
    ------
    StoreError
        If there are none.
    """
    low_S = max(up.mean_S.min(), down.mean_S.min())
    high_S = min(up.mean_S.max(), down.mean_S.max())
    if not low_S < high_S:
        raise StoreError(
            f"the up trains ({up.mean_S.min():.3g} to {up.mean_S.max():.3g} S) and the down trains "
            f"({down.mean_S.min():.3g} to {down.mean_S.max():.3g} S) have no conductance in "
            "common: let them follow each other without a reset between them"
        )
    return float(low_S), float(high_S)


@dataclass(frozen=True, eq=False)
class UpdateCurve:
    """Change of the conductance by one pulse against the conductance before it.

    Parameters
    ----------
    conductance_S : ndarray, shape (nodes,)
        Centres of the bins, evenly spaced.
    pulses : ndarray of int, shape (nodes,)
        Number of pulses of each bin. Curves of an empty bin are interpolated between the nearest
        bins with pulses.
    mean_S, spread_S : ndarray, shape (nodes,)
        Mean of the change, and its standard deviation over all pulses in the bin.
    cdf : ndarray, shape (levels,)
        From 0 to 1.
    quantile_S : ndarray, shape (levels, nodes)
        Quantile of the change at probability `cdf`.
    """

    conductance_S: Array
    pulses: NDArray[np.int64]
    mean_S: Array
    spread_S: Array
    cdf: Array
    quantile_S: Array


def update_curve(
    trains: Trains, low_S: float, high_S: float, nodes: int = NODES, levels: int = CDF_LEVELS
) -> UpdateCurve:
    """Bin the pulses by the conductance before them.

    Parameters
    ----------
    trains : Trains
    low_S, high_S : float
        First and last node. A pulse belongs to the nearest node; pulses that begin more than half
        a bin outside are left out.
    nodes, levels : int
        At least 2.

    Returns
    -------
    UpdateCurve

    Raises
    ------
    ValueError
        If the range is empty, or there are too few nodes or levels.
    StoreError
        If no pulse begins in the range.
    """
    if not (low_S < high_S and nodes >= 2 and levels >= 2):
        raise ValueError(
            "An update curve needs a range and at least 2 nodes and levels. Got "
            f"{low_S} to {high_S}, {nodes} and {levels}."
        )
    conductance_S = np.linspace(low_S, high_S, nodes)
    cdf = np.linspace(0.0, 1.0, levels)
    index = np.rint((trains.before_S - low_S) / (high_S - low_S) * (nodes - 1)).astype(np.int64)
    inside = (index >= 0) & (index < nodes)
    pulses = np.bincount(index[inside], minlength=nodes)
    filled = np.flatnonzero(pulses)
    if not filled.size:
        raise StoreError(
            f"no pulse of the {DIRECTION[trains.sign]} trains begins between {low_S:.4g} and "
            f"{high_S:.4g} S, which the means of both polarities pass through: the steps are too "
            "large for an update curve; use shorter pulses or lower voltages"
        )
    rows = []
    for node in filled:
        change_S = trains.change_S[index == node]
        # The scatter of a single pulse is unknown: it is interpolated between the neighbours.
        spread_S = change_S.std(ddof=1) if change_S.size > 1 else np.nan
        quantile_S = np.quantile(change_S, cdf, method="hazen")
        rows.append(np.concatenate([[change_S.mean(), spread_S], quantile_S]))
    table = np.array(rows)
    known = np.isfinite(table[:, 1])
    spread_S = (
        np.interp(conductance_S, conductance_S[filled[known]], table[known, 1])
        if known.any()
        else np.full(nodes, np.nan)
    )
    columns = [
        np.interp(conductance_S, conductance_S[filled], column)
        for column in table.T[[0, *range(2, levels + 2)]]
    ]
    return UpdateCurve(conductance_S, pulses, columns[0], spread_S, cdf, np.array(columns[1:]))


@dataclass(frozen=True)
class Scatter:
    """Components of the scatter of the steps.

    Parameters
    ----------
    device_to_device : float
        Standard deviation over members of the ratio of the steps to the mean curve.
    cycle_to_cycle : float
        Standard deviation of a step from pulse to pulse, reading noise excluded, relative to the
        root mean square step.
    reading_S : float
        Standard deviation of a reading: the part of the scatter that the next reading reverses.
    """

    device_to_device: float
    cycle_to_cycle: float
    reading_S: float


def scatter(trains: Trains, curve: UpdateCurve) -> Scatter:
    """Split the scatter of the steps about the mean curve into its components.

    An error e of a reading adds +e to one step and -e to the next. It gives successive residuals
    the covariance -var(e); independent scatter of the steps gives none.

    Parameters
    ----------
    trains : Trains
    curve : UpdateCurve
        Of these trains.

    Returns
    -------
    Scatter
        `device_to_device` is NaN for a single member.
    """
    half_S = (curve.conductance_S[1] - curve.conductance_S[0]) / 2
    low_S, high_S = curve.conductance_S[0] - half_S, curve.conductance_S[-1] + half_S
    inside, expected, changes = [], [], []
    for train in trains.conductance_S:
        before_S = train[:, :-1]
        # Pulses outside the range of the curve are left out.
        within = (before_S >= low_S) & (before_S <= high_S)
        inside.append(within)
        expected.append(within * np.interp(before_S, curve.conductance_S, curve.mean_S))
        changes.append(within * np.diff(train, axis=1))
    overlap = sum((e * c).sum(axis=1) for e, c in zip(expected, changes, strict=True))
    square = sum((e**2).sum(axis=1) for e in expected)
    known = square > 0
    gains = np.divide(overlap, square, out=np.ones_like(square), where=known)
    residuals = [c - gains[:, None] * e for e, c in zip(expected, changes, strict=True)]
    pulses = sum(change.shape[1] for change in changes)
    total = float(
        np.mean(np.concatenate([r[i] for r, i in zip(residuals, inside, strict=True)]) ** 2)
    )
    lasting, reading = total, 0.0
    if pulses > 3:
        successive = np.concatenate(
            [
                (r[:, 1:] * r[:, :-1])[i[:, 1:] & i[:, :-1]]
                for r, i in zip(residuals, inside, strict=True)
            ]
        )
        covariance = float(successive.mean()) if successive.size else 0.0
        # The mean of a device is estimated from its n steps, which lowers the expected variance
        # and covariance by 1/n of the variance of the steps.
        lasting = (total + 2 * covariance) / (1 - 3 / pulses)
        reading = -covariance - lasting / pulses
        if reading <= 0:
            lasting, reading = total / (1 - 1 / pulses), 0.0
        elif lasting <= 0:
            lasting, reading = 0.0, total / 2
    root_mean_square_S = np.sqrt(square.sum() / sum(np.count_nonzero(i) for i in inside))
    return Scatter(
        device_to_device=_weighted_spread(gains[known], square[known]),
        cycle_to_cycle=float(np.sqrt(lasting) / root_mean_square_S),
        reading_S=float(np.sqrt(reading)),
    )


def _weighted_spread(values: Array, weights: Array) -> float:
    """Standard deviation of weighted values."""
    if values.size < 2:
        return np.nan
    mean = np.average(values, weights=weights)
    variance = np.average((values - mean) ** 2, weights=weights)
    return float(np.sqrt(variance * values.size / (values.size - 1)))
