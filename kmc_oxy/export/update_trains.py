"""Trains of both polarities and their update curves, for neural-network simulators."""

from __future__ import annotations

from dataclasses import dataclass

from kmc_oxy.analysis import (
    Trains,
    UpdateCurve,
    both_polarities,
    common_range_S,
    read_trains,
    update_curve,
)
from kmc_oxy.export.selection import Selection
from kmc_oxy.storage import OutputFile


@dataclass(frozen=True, eq=False)
class UpdateTrains:
    """Trains of both polarities on their common range of conductance.

    Parameters
    ----------
    trains : (Trains, Trains)
        Up and down.
    range_S : (float, float)
        Ends of the common range, S.
    curves : (UpdateCurve, UpdateCurve)
        Change a pulse against the conductance, up and down.
    """

    trains: tuple[Trains, Trains]
    range_S: tuple[float, float]
    curves: tuple[UpdateCurve, UpdateCurve]


def update_trains(file: OutputFile, selection: Selection) -> UpdateTrains:
    """The trains of the selected point and cell, all members.

    Raises
    ------
    StoreError
        If the run has no trains of both polarities.
    """
    point, _, row, column = selection.one
    trains = both_polarities(read_trains(file, point, row, column))
    low_S, high_S = common_range_S(*trains)
    up, down = (update_curve(item, low_S, high_S) for item in trains)
    return UpdateTrains(trains, (low_S, high_S), (up, down))
