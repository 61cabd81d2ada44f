"""The cells of an array and its circuit together.

Every cell has an engine of its own and runs at its own voltage. Without line resistance and
without floating lines that voltage does not depend on the cells' conductances. Otherwise the
circuit is solved with the conductances as they are at the start of each interval, and the
intervals end where the engine's windows do: at 10^(k/4) s after the lines last changed, from the
resolution of the hold on. Conductances change about evenly in the logarithm of time, so this is a
constant number of steps a decade.

A cell is left alone while its voltage stays within a tolerance of what is applied to it: that
small a change alters no rate by more than a tenth. Beyond it the voltage is applied anew:

- if the lines have just changed, as an *edge*, from which the rate cap counts its time;
- if the other cells have moved the voltage during a hold, without one. What the cap slows
  equilibrates within about its tolerance times the time since the edge, and the voltage changes
  over that time itself; so the cap goes on from where it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kmc_oxy.constants import BOLTZMANN_EV_PER_K
from kmc_oxy.crossbar import solve_crossbar
from kmc_oxy.device import CrossPoint
from kmc_oxy.engine import WINDOWS_PER_DECADE, Engine
from kmc_oxy.schema import Input

Array = NDArray[np.float64]

#: Largest change of the logarithm of a rate by a voltage that is not applied anew.
RATE_TOLERANCE = 0.1
#: Share of a hold from which on it is resolved, if it does not say.
DEFAULT_RESOLUTION = 0.01


@dataclass
class Cell:
    """One junction of the array.

    Parameters
    ----------
    device : CrossPoint
    engine : Engine
    voltage_V : float
        What is applied to it.
    age_s : float
        Time since its last edge.
    """

    device: CrossPoint
    engine: Engine
    voltage_V: float = 0.0
    age_s: float = 0.0

    @property
    def conductance_S(self) -> float:
        """Low-bias conductance with parallel magnetisations, as it is now."""
        return self.device.spin_valve.conductances(self.engine.occupied)[0]

    def begin(
        self, voltage_V: float, tolerance_V: float, is_edge: bool, duration_s: float,
        resolution_s: float,
    ) -> None:  # fmt: skip
        """Set the voltage, if it differs by more than `tolerance_V`, and the engine's goal."""
        if abs(voltage_V - self.voltage_V) > tolerance_V:
            self.engine.set_potential(self.device.potential_per_volt * voltage_V)
            self.voltage_V = voltage_V
            if is_edge:
                self.age_s = 0.0
        self.engine.begin(duration_s, max(resolution_s, self.age_s))


class CellArray:
    """Rows by columns of cells, driven through their lines.

    Parameters
    ----------
    inputs : Input
    cells : sequence of Cell
        Row by row.

    Attributes
    ----------
    cell_voltage_V : ndarray, shape (rows, columns)
        By the circuit, in the interval that was begun last.
    """

    def __init__(self, inputs: Input, cells: Sequence[Cell]) -> None:
        self.cells = list(cells)
        self.shape = (inputs.crossbar.rows, inputs.crossbar.columns)
        self.line_resistance_ohm = inputs.crossbar.line_resistance
        self.nonlinearity_V = inputs.conductance.nonlinearity
        self._tolerance_V = voltage_tolerance_V(cells[0].device)
        self.cell_voltage_V: Array = np.zeros(self.shape)
        self._row_V: Array | None = None
        self._column_V: Array = np.zeros(self.shape[1])
        self._age_s = 0.0  # of the lines, at the start of the interval
        self._elapsed_s = 0.0  # of the hold, at the start of the interval
        self._holding = False
        self._solved = False
        self._conductance_S: Array = np.zeros(self.shape)
        self._cell = 0
        self._begun = False

    def state_dict(self) -> dict[str, Any]:
        """Everything that `restore` needs; valid whenever `hold` is suspended or not running."""
        return {
            "cells": [
                {
                    "engine": cell.engine.state_dict(),
                    "voltage_V": cell.voltage_V,
                    "age_s": cell.age_s,
                }
                for cell in self.cells
            ],
            "cell_voltage_V": self.cell_voltage_V.copy(),
            "row_V": None if self._row_V is None else self._row_V.copy(),
            "column_V": self._column_V.copy(),
            "age_s": self._age_s,
            "elapsed_s": self._elapsed_s,
            "holding": self._holding,
            "solved": self._solved,
            "conductance_S": self._conductance_S.copy(),
            "cell": self._cell,
            "begun": self._begun,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to a `state_dict`; the cells' own part of it is for `restored_cell`."""
        self.cell_voltage_V = state["cell_voltage_V"].copy()
        self._row_V = None if state["row_V"] is None else state["row_V"].copy()
        self._column_V = state["column_V"].copy()
        self._age_s = state["age_s"]
        self._elapsed_s = state["elapsed_s"]
        self._holding = state["holding"]
        self._solved = state["solved"]
        self._conductance_S = state["conductance_S"].copy()
        self._cell = state["cell"]
        self._begun = state["begun"]

    @property
    def current_cell(self) -> Cell:
        """The cell in progress."""
        return self.cells[min(self._cell, len(self.cells) - 1)]

    def hold(
        self, row_V: Array, column_V: Array, duration_s: float, resolution_s: float | None
    ) -> Iterator[None]:
        """Hold the lines at their potentials; goes on with a hold that was interrupted.

        Parameters
        ----------
        row_V, column_V : ndarray, shapes (rows,) and (columns,)
            NaN where a line floats.
        duration_s : float
        resolution_s : float or None
            Earliest time after the edge that matters; None: a hundredth of `duration_s`.

        Yields
        ------
        None
            After every kernel call and every measured cell.
        """
        if resolution_s is None:
            resolution_s = duration_s * DEFAULT_RESOLUTION
        if not self._holding:
            self._take(row_V, column_V)
        coupled = bool(self.line_resistance_ohm or np.isnan([*row_V, *column_V]).any())
        while True:
            left_s = duration_s - self._elapsed_s
            end_s = interval_end_s(self._age_s, resolution_s) - self._age_s if coupled else left_s
            if not self._solved:
                yield from self._solve(coupled)
            tolerance_V = self._tolerance_V if coupled else 0.0
            yield from self._advance(min(left_s, end_s), resolution_s, tolerance_V)
            self._solved = False
            self._age_s += min(left_s, end_s)
            self._elapsed_s += end_s
            if left_s <= end_s:
                break
        self._holding = False

    def _take(self, row_V: Array, column_V: Array) -> None:
        """Put potentials on the lines."""
        same = (
            self._row_V is not None
            and np.array_equal(row_V, self._row_V, equal_nan=True)
            and np.array_equal(column_V, self._column_V, equal_nan=True)
        )
        if not same:
            self._row_V, self._column_V = row_V, column_V
            self._age_s = 0.0
        self._elapsed_s = 0.0
        self._holding = True

    def _solve(self, coupled: bool) -> Iterator[None]:
        """Cell voltages from the lines and, if they depend on it, the cells' conductances."""
        assert self._row_V is not None
        if coupled:
            yield from self._measure()
            self.cell_voltage_V = solve_crossbar(
                self._conductance_S,
                self._row_V,
                self._column_V,
                self.line_resistance_ohm,
                self.nonlinearity_V,
            ).cell_voltage_V
        else:
            self.cell_voltage_V = self._row_V[:, None] - self._column_V
        self._solved = True

    def _measure(self) -> Iterator[None]:
        while self._cell < len(self.cells):
            self._conductance_S.flat[self._cell] = self.cells[self._cell].conductance_S
            self._cell += 1
            yield
        self._cell = 0

    def _advance(
        self, duration_s: float, resolution_s: float, tolerance_V: float
    ) -> Iterator[None]:
        """Run every cell through one interval, one after the other.

        Within an interval the cells do not know of each other: any order, or several processes
        with some cells each, would give the same.
        """
        is_edge = self._age_s == 0
        while self._cell < len(self.cells):
            cell = self.cells[self._cell]
            if not self._begun:
                voltage_V = float(self.cell_voltage_V.flat[self._cell])
                cell.begin(voltage_V, tolerance_V, is_edge, duration_s, resolution_s)
                self._begun = True
            while not cell.engine.step():
                yield
            cell.age_s += duration_s
            self._begun = False
            self._cell += 1
            yield
        self._cell = 0


def restored_cell(device: CrossPoint, state: Mapping[str, Any]) -> Cell:
    """A cell as it was in a `CellArray.state_dict`."""
    engine = Engine.from_state(device.landscape, state["engine"])
    return Cell(device, engine, state["voltage_V"], state["age_s"])


def voltage_tolerance_V(device: CrossPoint) -> float:
    """Change of the voltage that alters the logarithm of no rate by more than `RATE_TOLERANCE`.

    A rate's exponent changes by at most the charge times the potential step of its bond over kT.
    """
    first, second = device.landscape.bonds.T
    lever = np.abs(device.potential_per_volt[second] - device.potential_per_volt[first]).max()
    thermal_V = BOLTZMANN_EV_PER_K * device.inputs.device.temperature
    return float(RATE_TOLERANCE * thermal_V / (device.inputs.device.oxygen.charge_number * lever))


def interval_end_s(age_s: float, resolution_s: float) -> float:
    """Time since the lines changed at which the circuit is solved again, s.

    The first end of an engine's window after `age_s`, or after the resolution if that is later.
    """
    start_s = max(age_s, resolution_s)
    window = math.floor(WINDOWS_PER_DECADE * math.log10(start_s)) + 1
    end_s = 10.0 ** (window / WINDOWS_PER_DECADE)
    # An interval of rounding errors would be none.
    if end_s <= start_s * (1 + 1e-9):
        end_s = 10.0 ** ((window + 1) / WINDOWS_PER_DECADE)
    return end_s
