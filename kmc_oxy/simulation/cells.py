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

With `device.feedback` a cell's potential and temperature follow its own state too (`feedback`).
Holds are then divided into the same intervals, and at the start of each the cell takes them anew,
without asking the others; the same tolerance and the same rule for edges hold.

Within an interval the cells do not know of each other, and several processes may have some cells
each. `Lines` says what every cell goes through, without the cells being there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kmc_oxy.inputs.schema import Input
from kmc_oxy.physics import WINDOWS_PER_DECADE, Engine, solve_crossbar
from kmc_oxy.simulation.device import CrossPoint
from kmc_oxy.simulation.feedback import Feedback
from kmc_oxy.units import BOLTZMANN_EV_PER_K

Array = NDArray[np.float64]

#: Largest change of the logarithm of a rate by a voltage, or by what follows the state of the
#: cell, that is not applied anew.
RATE_TOLERANCE = 0.1
#: Share of a hold from which on it is resolved, if it does not say.
DEFAULT_RESOLUTION = 0.01


@dataclass(frozen=True, eq=False)
class Interval:
    """Time that every cell spends at its voltage.

    Parameters
    ----------
    voltage_V : ndarray, shape (rows, columns)
    tolerance_V : float
        Voltage change that is not applied.
    is_edge : bool
        Whether a change counts as one of the lines.
    duration_s, resolution_s : float
    """

    voltage_V: Array
    tolerance_V: float
    is_edge: bool
    duration_s: float
    resolution_s: float


class Gather:
    """Stands where the conductances of all cells are needed: no cell can go on before."""


GATHER: Final = Gather()


@dataclass
class Cell:
    """One junction of the array.

    Parameters
    ----------
    index : int
        Row by row.
    device : CrossPoint
    engine : Engine
    voltage_V : float
        What is applied to it.
    age_s : float
        Time since its last edge.
    conductance_S : float
        Low-bias conductance with parallel magnetisations, when it was last measured.
    steps : int
        How many steps of the present stretch (`simulation`) it has behind it.
    begun : bool
        Whether it is inside the interval that comes next.
    """

    index: int
    device: CrossPoint
    engine: Engine
    voltage_V: float = 0.0
    age_s: float = 0.0
    conductance_S: float = math.nan
    steps: int = 0
    begun: bool = False
    _feedback: Feedback | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        is_on = self.device.inputs.device.feedback.is_on
        self._feedback = Feedback(self.device) if is_on else None

    def state_dict(self) -> dict[str, Any]:
        """Everything that `from_state` needs; valid between two kernel calls."""
        return {
            "engine": self.engine.state_dict(),
            "voltage_V": self.voltage_V,
            "age_s": self.age_s,
            "conductance_S": self.conductance_S,
            "steps": self.steps,
            "begun": self.begun,
        }

    @classmethod
    def from_state(cls, index: int, device: CrossPoint, state: Mapping[str, Any]) -> Cell:
        """The cell that gave `state`, on the same device."""
        others = {key: value for key, value in state.items() if key != "engine"}
        return cls(
            index, device, Engine.from_state(device.landscape, dict(state["engine"])), **others
        )

    def measure(self) -> float:
        """Take the conductance, as it is now."""
        self.conductance_S = self.device.spin_valve.conductances(self.engine.occupied)[0]
        return self.conductance_S

    def advance(self, interval: Interval) -> bool:
        """One kernel call; True at the end of the interval."""
        if not self.begun:
            self._begin(interval)
        if not self.engine.step():
            return False
        self.age_s += interval.duration_s
        self.begun = False
        return True

    def _begin(self, interval: Interval) -> None:
        voltage_V = float(interval.voltage_V.flat[self.index])
        is_new = abs(voltage_V - self.voltage_V) > interval.tolerance_V
        is_edge = is_new and interval.is_edge
        if self._feedback is None:
            if is_new:
                self.engine.set_potential(self.device.potential_per_volt * voltage_V)
        else:
            felt = self._feedback.at(voltage_V, self.engine.occupied)
            change = self._feedback.change_of_rates(self.engine, *felt)
            is_new = is_edge or change > RATE_TOLERANCE
            if is_new:
                self.engine.set_potential(*felt)
        if is_new:
            self.voltage_V = voltage_V
        if is_edge:
            self.age_s = 0.0
        self.engine.begin(interval.duration_s, max(interval.resolution_s, self.age_s))
        self.begun = True


class Lines:
    """What is on the lines of an array, and what that is at its cells.

    Parameters
    ----------
    inputs : Input
    tolerance_V : float
        Of `voltage_tolerance_V`.

    Attributes
    ----------
    cell_voltage_V : ndarray, shape (rows, columns)
        By the circuit, in the last interval.
    conductance_S : ndarray, shape (rows, columns)
        Of all cells, when they were last gathered.
    """

    def __init__(self, inputs: Input, tolerance_V: float) -> None:
        self.shape = (inputs.crossbar.rows, inputs.crossbar.columns)
        self.line_resistance_ohm = inputs.crossbar.line_resistance
        self.nonlinearity_V = inputs.conductance.nonlinearity
        self._follows = inputs.device.feedback.is_on
        self._tolerance_V = tolerance_V
        self.cell_voltage_V: Array = np.zeros(self.shape)
        self.conductance_S: Array = np.full(self.shape, np.nan)
        self._known = False
        self._row_V: Array | None = None
        self._column_V: Array = np.zeros(self.shape[1])
        self._age_s = 0.0  # of the lines, at the start of the interval
        self._elapsed_s = 0.0  # of the hold, at the start of the interval
        self._holding = False
        self._uncoupled: dict[tuple[bytes, bytes], Array] = {}

    def state_dict(self) -> dict[str, Any]:
        """Everything that `restore` needs; valid where `hold` asks for conductances or is over."""
        return {
            "conductance_S": self.conductance_S.copy(),
            "known": self._known,
            "row_V": None if self._row_V is None else self._row_V.copy(),
            "column_V": self._column_V.copy(),
            "age_s": self._age_s,
            "elapsed_s": self._elapsed_s,
            "holding": self._holding,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to a `state_dict`."""
        self.conductance_S = state["conductance_S"].copy()
        self._known = state["known"]
        self._row_V = None if state["row_V"] is None else state["row_V"].copy()
        self._column_V = state["column_V"].copy()
        self._age_s = state["age_s"]
        self._elapsed_s = state["elapsed_s"]
        self._holding = state["holding"]

    def learn(self, conductance_S: Array) -> None:
        """Take the conductances of all cells, shape (rows*columns,), as they are now."""
        self.conductance_S = conductance_S.reshape(self.shape).copy()
        self._known = True

    def hold(
        self, row_V: Array, column_V: Array, duration_s: float, resolution_s: float | None
    ) -> Iterator[Interval | Gather]:
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
        Interval or Gather
            What every cell goes through; at `GATHER` it has to `learn` the conductances.
        """
        if resolution_s is None:
            resolution_s = duration_s * DEFAULT_RESOLUTION
        if not self._holding:
            self._take(row_V, column_V)
        coupled = bool(self.line_resistance_ohm or np.isnan([*row_V, *column_V]).any())
        while True:
            left_s = end_s = duration_s - self._elapsed_s
            if coupled or self._follows:
                end_s = interval_end_s(self._age_s, resolution_s) - self._age_s
            if coupled and not self._known:
                yield GATHER
            self._solve(coupled)
            yield Interval(
                self.cell_voltage_V,
                self._tolerance_V if coupled else 0.0,
                self._age_s == 0,
                min(left_s, end_s),
                resolution_s,
            )
            self._known = False
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

    def _solve(self, coupled: bool) -> None:
        """Cell voltages from the lines and, if they depend on it, the cells' conductances."""
        assert self._row_V is not None
        if coupled:
            self.cell_voltage_V = solve_crossbar(
                self.conductance_S,
                self._row_V,
                self._column_V,
                self.line_resistance_ohm,
                self.nonlinearity_V,
            ).cell_voltage_V
            return
        # A train alternates between few voltages, but may do so thousands of times.
        key = (self._row_V.tobytes(), self._column_V.tobytes())
        if key not in self._uncoupled:
            self._uncoupled[key] = self._row_V[:, None] - self._column_V
        self.cell_voltage_V = self._uncoupled[key]


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
    end_s = float(10.0 ** (window / WINDOWS_PER_DECADE))
    # An interval no longer than a rounding error would not advance.
    if end_s <= start_s * (1 + 1e-9):
        end_s = float(10.0 ** ((window + 1) / WINDOWS_PER_DECADE))
    return end_s
