"""What happens when: a flat schedule of holds of constant voltage and of readings."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from kmc_oxy.inputs.schema import READ_VOLTAGE_V, Crossbar
from kmc_oxy.physics import programming_voltages, reading_voltages

Lines = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True)
class Drive:
    """How a voltage is put on the lines of the array.

    Parameters
    ----------
    voltage_V : float or None
        V(LSMO) - V(Co) of the cells that are meant; None: the array's own reading voltage.
    kind : {"all", "program", "read", "product"}
        "all": every row at `voltage_V`, every column at ground. "program": one cell, by the
        array's scheme. "read": the input of one cell at -`voltage_V`, all else at ground.
        "product": the columns at `inputs_V`, the rows at ground.
    cell : (int, int) or None
        Of "program" and "read".
    inputs_V : tuple of float
        Of "product".
    """

    voltage_V: float | None
    kind: Literal["all", "program", "read", "product"] = "all"
    cell: tuple[int, int] | None = None
    inputs_V: tuple[float, ...] = ()

    def lines(self, crossbar: Crossbar) -> Lines:
        """Potentials of the rows and of the columns (V), NaN where a line floats."""
        rows, columns = crossbar.rows, crossbar.columns
        if self.kind == "product":
            return np.zeros(rows), np.array(self.inputs_V)
        voltage_V = crossbar.read_voltage if self.voltage_V is None else self.voltage_V
        if self.cell is None:
            return np.full(rows, voltage_V), np.zeros(columns)
        if self.kind == "program":
            return programming_voltages(crossbar.scheme, rows, columns, self.cell, voltage_V)
        return reading_voltages(rows, columns, self.cell, voltage_V)


@dataclass(frozen=True)
class Target:
    """What a write-verify chooses from before each pulse.

    Parameters
    ----------
    conductance_S, tolerance : float
        Wanted low-bias conductance of the cell, and the relative distance that counts as there.
    raising, lowering, waiting : Drive
        Below the target, above it, and from its being reached on.
    """

    conductance_S: float
    tolerance: float
    raising: Drive
    lowering: Drive
    waiting: Drive


@dataclass(frozen=True)
class Hold:
    """Constant voltages on the lines for some time.

    Parameters
    ----------
    drive : Drive
        Of a write-verify: that of the first direction; what is done depends on the cell.
    duration_s : float
    resolution_s : float or None
        Earliest time after the edge that matters; None: a hundredth of the duration.
    step, leg, pulse : int
        As in `Reading`, for whoever watches the run.
    edge : bool
        False if the voltages just go on from the hold before.
    is_pulse : bool
        Whether this is the pulse that readings after it refer to.
    target : Target or None
        Of a write-verify.
    """

    drive: Drive
    duration_s: float
    resolution_s: float | None
    step: int
    leg: int
    pulse: int
    edge: bool
    is_pulse: bool = False
    target: Target | None = None

    @property
    def voltage_V(self) -> float:
        """V(LSMO) - V(Co) of the cells that are meant, as far as it is known before the run."""
        if self.drive.inputs_V:
            return -max(self.drive.inputs_V, key=abs)
        return READ_VOLTAGE_V if self.drive.voltage_V is None else self.drive.voltage_V


@dataclass(frozen=True)
class Reading:
    """A reading of every cell, which takes no time and disturbs nothing.

    Parameters
    ----------
    time_s : float
        Since the protocol began.
    step : int
        Index into the protocol's list of steps.
    leg : int
        How many steps were carried out before, the repetitions of a `repeat` counted one by one:
        tells two trains apart that one `repeat` makes.
    pulse : int
        Pulses of the current train so far, 0 before the first.
    kind : str
        Of the step that reads: ``"train"``, ``"map"``, ...
    pulse_drive : Drive or None
        Of the last pulse, None before the first.
    cell : (int, int) or None
        The cell that the step has chosen.
    target : Target or None
        Of a write-verify.
    field_T : float or None
        Magnetic field of a field sweep.
    inputs_V : tuple of float
        Of a vector-matrix product.
    """

    time_s: float
    step: int
    leg: int
    pulse: int
    kind: str
    pulse_drive: Drive | None = None
    cell: tuple[int, int] | None = None
    target: Target | None = None
    field_T: float | None = None
    inputs_V: tuple[float, ...] = ()

    @property
    def voltage_V(self) -> float:
        """Nominal voltage of the last pulse at the cells that it was meant for."""
        return (self.pulse_drive and self.pulse_drive.voltage_V) or 0.0


Operation = Hold | Reading


@dataclass(frozen=True)
class Schedule:
    """What happens when: holds and readings in order.

    Parameters
    ----------
    operations : tuple of Hold and Reading
    """

    operations: tuple[Operation, ...]

    @cached_property
    def readings(self) -> tuple[Reading, ...]:
        """The readings in order."""
        return tuple(item for item in self.operations if isinstance(item, Reading))

    @cached_property
    def holds(self) -> tuple[Hold, ...]:
        """The holds in order."""
        return tuple(item for item in self.operations if isinstance(item, Hold))

    @cached_property
    def duration_s(self) -> float:
        """Length of the whole protocol (s)."""
        return sum(hold.duration_s for hold in self.holds)

    def per_reading(self, name: str) -> NDArray[Any]:
        """One attribute of every reading (`time_s`, `step`, `leg`, `pulse`, `voltage_V`)."""
        kind = float if name in ("time_s", "voltage_V") else int
        return np.array([getattr(reading, name) for reading in self.readings], dtype=kind)

    def nominal_voltages_V(self, crossbar: Crossbar) -> NDArray[np.float64]:
        """Voltage of the last pulse at each cell as nominally applied, V.

        Without line resistance; NaN at the cells of floating lines; of a write-verify that of its
        first direction.

        Parameters
        ----------
        crossbar : Crossbar

        Returns
        -------
        ndarray, shape (rows, columns, readings)
        """
        voltage_V = np.zeros((crossbar.rows, crossbar.columns, len(self.readings)))
        known: dict[Drive, NDArray[np.float64]] = {}
        for index, reading in enumerate(self.readings):
            drive = reading.pulse_drive
            if drive is None:
                continue
            if drive not in known:
                row, column = drive.lines(crossbar)
                known[drive] = row[:, None] - column
            voltage_V[:, :, index] = known[drive]
        return voltage_V
