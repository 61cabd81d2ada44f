"""The cells of an array, and the voltages that its circuit applies to them.

Every cell has its own engine and its own voltage. Without line resistance and without floating
lines that voltage does not depend on the conductances. Otherwise the circuit is solved with the
conductances at the start of each interval. Intervals end where the windows of the engine end: at
10^(k/4) s after the lines last changed, from the resolution of the hold on. Conductances change
roughly evenly in the logarithm of time, so the number of intervals per decade is constant.

The potential of a cell is updated only if its voltage has changed by more than a tolerance; a
smaller change alters no rate by more than a tenth. An update counts

- as an *edge*, from which the rate cap counts its time, if the lines have changed;
- not as an edge, if the conductances of other cells have changed the voltage during a hold. Hops
  that the cap slows down equilibrate within about its tolerance times the time since the edge, and
  the voltage changes over that time itself; so the rate cap goes on without a reset.

With `device.feedback` the potential and the temperature of a cell also depend on its own state
(module `feedback`). Holds are then divided into the same intervals, and each cell computes both at
the start of an interval, without the other cells. The tolerance and the rule for edges are the
same.

Within an interval the cells are independent, so that several processes may run some cells each.
`CrossbarLines` computes the intervals without the engines of the cells.
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

#: Largest change of the logarithm of a rate, by the voltage or by feedback, for which the potential
#: of a cell is not updated.
RATE_TOLERANCE = 0.1
#: Default resolution of a hold, as a fraction of its duration.
DEFAULT_RESOLUTION_FRACTION = 0.01


@dataclass(frozen=True, eq=False)
class Interval:
    """A time during which every cell has a constant voltage.

    Parameters
    ----------
    voltage_V : ndarray, shape (rows, columns)
    tolerance_V : float
        Change of the voltage for which the potential of a cell is not updated.
    is_edge : bool
        Whether the lines have changed at the start of the interval.
    duration_s : float
    resolution_s : float
        Shortest time after an edge that is resolved.
    """

    voltage_V: Array
    tolerance_V: float
    is_edge: bool
    duration_s: float
    resolution_s: float


class Gather:
    """Marks the point where the conductances of all cells are needed before any cell continues."""


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
        Voltage of the present potential.
    age_s : float
        Time since the last edge.
    conductance_S : float
        Low-bias conductance with parallel magnetisations, as measured last.
    steps : int
        Number of finished steps of the present segment (`execution_plan`).
    begun : bool
        Whether the engine is inside the next interval.
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
        """State for `from_state`, valid between two kernel calls."""
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
        """Make the cell with this `state_dict`, on the same device."""
        others = {key: value for key, value in state.items() if key != "engine"}
        return cls(
            index, device, Engine.from_state(device.landscape, dict(state["engine"])), **others
        )

    def measure(self) -> float:
        """Measure the conductance, S."""
        self.conductance_S = self.device.spin_valve.conductances(self.engine.occupied)[0]
        return self.conductance_S

    def advance(self, interval: Interval) -> bool:
        """Make one kernel call; returns True at the end of the interval."""
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
            updated = self._feedback.potential_and_temperature(voltage_V, self.engine.occupied)
            change = self._feedback.log_rate_change(self.engine, *updated)
            is_new = is_edge or change > RATE_TOLERANCE
            if is_new:
                self.engine.set_potential(*updated)
        if is_new:
            self.voltage_V = voltage_V
        if is_edge:
            self.age_s = 0.0
        self.engine.begin(interval.duration_s, max(interval.resolution_s, self.age_s))
        self.begun = True


class CrossbarLines:
    """The potentials of the lines of an array, and the voltages of its cells.

    Parameters
    ----------
    inputs : Input
    tolerance_V : float
        `voltage_tolerance_V` of its devices.

    Attributes
    ----------
    cell_voltage_V : ndarray, shape (rows, columns)
        Cell voltages in the last interval, from the circuit.
    conductance_S : ndarray, shape (rows, columns)
        Conductances of all cells, as gathered last.
    """

    def __init__(self, inputs: Input, tolerance_V: float) -> None:
        self.shape = (inputs.crossbar.rows, inputs.crossbar.columns)
        self.line_resistance_ohm = inputs.crossbar.line_resistance
        self.nonlinearity_V = inputs.conductance.nonlinearity
        self._has_feedback = inputs.device.feedback.is_on
        self._tolerance_V = tolerance_V
        self.cell_voltage_V: Array = np.zeros(self.shape)
        self.conductance_S: Array = np.full(self.shape, np.nan)
        self._is_gathered = False
        self._row_V: Array | None = None
        self._column_V: Array = np.zeros(self.shape[1])
        self._age_s = 0.0  # of the lines, at the start of the interval
        self._elapsed_s = 0.0  # of the hold, at the start of the interval
        self._holding = False
        self._uncoupled: dict[tuple[bytes, bytes], Array] = {}

    def state_dict(self) -> dict[str, Any]:
        """State for `restore`, valid where `hold` yields `GATHER` or has ended."""
        return {
            "conductance_S": self.conductance_S.copy(),
            "known": self._is_gathered,
            "row_V": None if self._row_V is None else self._row_V.copy(),
            "column_V": self._column_V.copy(),
            "age_s": self._age_s,
            "elapsed_s": self._elapsed_s,
            "holding": self._holding,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the state from a `state_dict`."""
        self.conductance_S = state["conductance_S"].copy()
        self._is_gathered = state["known"]
        self._row_V = None if state["row_V"] is None else state["row_V"].copy()
        self._column_V = state["column_V"].copy()
        self._age_s = state["age_s"]
        self._elapsed_s = state["elapsed_s"]
        self._holding = state["holding"]

    def set_conductances(self, conductance_S: Array) -> None:
        """Set the present conductances of all cells, shape (rows*columns,), S."""
        self.conductance_S = conductance_S.reshape(self.shape).copy()
        self._is_gathered = True

    def hold(
        self, row_V: Array, column_V: Array, duration_s: float, resolution_s: float | None
    ) -> Iterator[Interval | Gather]:
        """Hold the lines at constant potentials; continues a hold that was interrupted.

        Parameters
        ----------
        row_V, column_V : ndarray, shapes (rows,) and (columns,)
            In V; NaN where a line floats.
        duration_s : float
        resolution_s : float or None
            Shortest time after the edge that is resolved; None: a hundredth of `duration_s`.

        Yields
        ------
        Interval or Gather
            The intervals of all cells. After `GATHER`, `set_conductances` has to be called.
        """
        if resolution_s is None:
            resolution_s = duration_s * DEFAULT_RESOLUTION_FRACTION
        if not self._holding:
            self._set_potentials(row_V, column_V)
        coupled = bool(self.line_resistance_ohm or np.isnan([*row_V, *column_V]).any())
        while True:
            left_s = end_s = duration_s - self._elapsed_s
            if coupled or self._has_feedback:
                end_s = interval_end_s(self._age_s, resolution_s) - self._age_s
            if coupled and not self._is_gathered:
                yield GATHER
            self._solve(coupled)
            yield Interval(
                self.cell_voltage_V,
                self._tolerance_V if coupled else 0.0,
                self._age_s == 0,
                min(left_s, end_s),
                resolution_s,
            )
            self._is_gathered = False
            self._age_s += min(left_s, end_s)
            self._elapsed_s += end_s
            if left_s <= end_s:
                break
        self._holding = False

    def _set_potentials(self, row_V: Array, column_V: Array) -> None:
        """Begin a hold; the age of the lines is zero if their potentials change."""
        is_unchanged = (
            self._row_V is not None
            and np.array_equal(row_V, self._row_V, equal_nan=True)
            and np.array_equal(column_V, self._column_V, equal_nan=True)
        )
        if not is_unchanged:
            self._row_V, self._column_V = row_V, column_V
            self._age_s = 0.0
        self._elapsed_s = 0.0
        self._holding = True

    def _solve(self, coupled: bool) -> None:
        """Compute the cell voltages from the lines and, if coupled, the conductances."""
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
        # A train has few different voltages, but may have thousands of pulses.
        key = (self._row_V.tobytes(), self._column_V.tobytes())
        if key not in self._uncoupled:
            self._uncoupled[key] = self._row_V[:, None] - self._column_V
        self.cell_voltage_V = self._uncoupled[key]


def voltage_tolerance_V(device: CrossPoint) -> float:
    """Change of the voltage that alters no logarithm of a rate by more than `RATE_TOLERANCE`.

    The exponent of a rate changes by at most the charge times the change of the potential step
    of its bond, over kT.

    Parameters
    ----------
    device : CrossPoint

    Returns
    -------
    float
        In V; infinite if the potential is the same in all layers at any voltage.
    """
    first, second = device.landscape.bonds.T
    per_volt, settings = device.potential_per_volt, device.inputs.device
    largest_step = np.abs(per_volt[second] - per_volt[first]).max()
    if largest_step == 0:
        # All of the voltage drops beside the layers.
        return math.inf
    thermal_V = BOLTZMANN_EV_PER_K * settings.temperature
    return float(RATE_TOLERANCE * thermal_V / (settings.oxygen.charge_number * largest_step))


def interval_end_s(age_s: float, resolution_s: float) -> float:
    """Time since the lines changed at which the circuit is solved again.

    It is the first end of a window of the engine after `age_s`, or after the resolution if that
    is later.

    Parameters
    ----------
    age_s : float
        Present time since the lines changed.
    resolution_s : float

    Returns
    -------
    float
        In s.
    """
    start_s = max(age_s, resolution_s)
    window = math.floor(WINDOWS_PER_DECADE * math.log10(start_s)) + 1
    end_s = float(10.0 ** (window / WINDOWS_PER_DECADE))
    # An interval no longer than a rounding error would not advance.
    if end_s <= start_s * (1 + 1e-9):
        end_s = float(10.0 ** ((window + 1) / WINDOWS_PER_DECADE))
    return end_s
