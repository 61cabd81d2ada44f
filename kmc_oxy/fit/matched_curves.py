"""Measured curves over the legs of an experiment: which reading belongs to which data point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kmc_oxy.analysis import Datasets, Leg, branches
from kmc_oxy.measured import MeasuredCurve
from kmc_oxy.physics import current

Array = NDArray[np.float64]

#: Kind of the legs that a measured curve is compared with, by what was varied.
KIND_OF_X = {"pulse": "train", "time": "relax", "voltage": "sweep", "field": "field"}


@dataclass(frozen=True, eq=False)
class SimulatedCurve:
    """The readings of a leg at the abscissas of a measured curve.

    A value between two readings is interpolated, linearly in the abscissa or in its logarithm.

    Parameters
    ----------
    leg : Leg
    curve : MeasuredCurve
    below, above : ndarray of int, shape (n,)
        Readings of the leg on both sides of each data point.
    fraction : ndarray, shape (n,)
        Weight of the one above.
    factor : ndarray, shape (n,), or None
        For currents of a sweep before its first stair: the voltage over that of the stair.
    """

    leg: Leg
    curve: MeasuredCurve
    below: NDArray[np.int64]
    above: NDArray[np.int64]
    fraction: Array
    factor: Array | None = None

    def values(self, output: Datasets) -> Array:
        """Simulated values of the measured quantity, shape (members, n), SI.

        Currents of trains and relaxations are those at the voltage of a reading.

        Parameters
        ----------
        output : Datasets
        """
        is_current = self.curve.y_quantity == "current"
        name = "conductance"
        if self.leg.kind == "field":
            name = "field_conductance"
        elif is_current and self.leg.kind == "sweep":
            name = "sweep_current"
        read = self.leg.values(output, name)
        found: Array = read[:, self.below] * (1 - self.fraction)
        found = found + read[:, self.above] * self.fraction
        if is_current and self.factor is not None:
            found = found * self.factor
        if is_current and name == "conductance":
            # Of this set: the nonlinearity may be a free parameter.
            inputs = output.resolved
            nonlinearity_V = inputs["conductance"]["nonlinearity"] or np.inf
            found = current(found, abs(inputs["crossbar"]["read_voltage"]), nonlinearity_V)
        if self.curve.y_quantity == "resistance":
            found = 1 / found
        return found


class CurveMismatch(ValueError):
    """Measured curves that do not belong to the legs of an experiment; for the user."""


def match_curves(
    curves: Sequence[MeasuredCurve], legs: Sequence[Leg]
) -> tuple[SimulatedCurve, ...]:
    """Assign measured curves to the legs of an experiment, in their order.

    Parameters
    ----------
    curves : sequence of MeasuredCurve
    legs : sequence of Leg
        All legs of the experiment.

    Returns
    -------
    tuple of SimulatedCurve

    Raises
    ------
    CurveMismatch
        If their numbers differ, or data lie outside a leg.
    """
    quantity = curves[0].x_quantity
    kind = KIND_OF_X[quantity]
    chosen = [leg for leg in legs if leg.kind == kind]
    if len(chosen) != len(curves):
        names = {"train": "train", "relax": "relaxation", "sweep": "sweep", "field": "field sweep"}
        raise CurveMismatch(
            f"has {len(curves)} curve(s) against {quantity}, and the experiment has {len(chosen)} "
            f"{names[kind]}(s): they are compared in their order, one with each"
        )
    return tuple(_matched(curve, leg) for curve, leg in zip(curves, chosen, strict=True))


def _matched(curve: MeasuredCurve, leg: Leg) -> SimulatedCurve:
    quantity = curve.x_quantity
    label = f" {curve.label!r}" if curve.label else ""
    if quantity == "pulse":
        read = leg.pulse.astype(np.float64)
    elif quantity == "time":
        read = leg.time_s
    else:
        return _matched_path(curve, leg, label)
    x = curve.x
    slack = 0.0 if quantity == "pulse" else 0.01
    outside = (x < read[0] * (1 - slack)) | (x > read[-1] * (1 + slack))
    if outside.any():
        worst = int(np.flatnonzero(outside)[0])
        unit = "" if quantity == "pulse" else " s"
        raise CurveMismatch(
            f"curve{label}: {quantity} {x[worst]:g}{unit} (line {curve.lines[worst]}) lies outside "
            f"the experiment, which reads from {read[0]:g} to {read[-1]:g}{unit}"
        )
    if quantity == "time" and read[0] > 0 and x[0] > 0:
        return SimulatedCurve(leg, curve, *_between(np.log(read), np.log(x)))
    return SimulatedCurve(leg, curve, *_between(read, x))


def _between(read: Array, x: Array) -> tuple[NDArray[np.int64], NDArray[np.int64], Array]:
    """Neighbouring readings of each abscissa of a rising series, and the weight of the later."""
    above = np.clip(np.searchsorted(read, x), 1, max(1, len(read) - 1))
    if len(read) == 1:
        zero = np.zeros(len(x), dtype=np.int64)
        return zero, zero, np.zeros(len(x))
    below = above - 1
    fraction = np.clip((x - read[below]) / (read[above] - read[below]), 0.0, 1.0)
    return below, above, fraction


def _matched_path(curve: MeasuredCurve, leg: Leg, label: str) -> SimulatedCurve:
    """A curve along a path of voltages or fields: branch by branch."""
    path = leg.voltage_V if leg.field_T is None else leg.field_T
    unit = "V" if leg.field_T is None else "T"
    measured, simulated = (branches(each, share_turns=False) for each in (curve.x, path))
    if len(measured) != len(simulated):
        raise CurveMismatch(
            f"curve{label}: its {curve.x_quantity} changes direction {len(measured) - 1} time(s), "
            f"and that of the experiment {len(simulated) - 1} time(s)"
        )
    below: list[NDArray[np.int64]] = []
    above: list[NDArray[np.int64]] = []
    fraction: list[Array] = []
    factor = np.ones(len(curve.x))
    for own, branch in zip(measured, simulated, strict=True):
        # The turning point belongs to both branches.
        other = slice(max(0, branch.start - 1), branch.stop)
        x, read = curve.x[own], path[other]
        sign = 1.0 if read[-1] >= read[0] else -1.0
        slack = 0.01 * np.ptp(path)
        low, high = read.min(), read.max()
        if not below and leg.field_T is None:
            # A sweep starts at 0 V and is first read on its first stair.
            low, high = min(low, 0.0), max(high, 0.0)
            factor[own] = np.clip(x / read[0], 0.0, 1.0)
        outside = (x < low - slack) | (x > high + slack)
        if outside.any():
            worst = int(np.flatnonzero(outside)[0])
            raise CurveMismatch(
                f"curve{label}: {curve.x_quantity} {x[worst]:g} {unit} (line "
                f"{curve.lines[own][worst]}) lies outside the experiment, which goes from "
                f"{read[0]:g} to {read[-1]:g} {unit} there"
            )
        before, after, part = _between(sign * read, sign * x)
        below.append(before + other.start)
        above.append(after + other.start)
        fraction.append(part)
    return SimulatedCurve(
        leg, curve, np.concatenate(below), np.concatenate(above), np.concatenate(fraction), factor
    )
