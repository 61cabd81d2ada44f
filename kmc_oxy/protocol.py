"""Protocol steps -> a flat schedule of constant-voltage holds and readings.

The schedule does not depend on the device or on chance, so the time, the pulse number and the
nominal voltage of every reading are known before anything runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kmc_oxy.schema_steps import Pulse, Read, Relax, Repeat, Step, Sweep, Train

#: A relaxation is resolved from this share of its first reading time on.
RELAX_RESOLUTION_SHARE = 0.1


class ProtocolError(ValueError):
    """A protocol that is well formed but cannot be carried out."""


@dataclass(frozen=True)
class Hold:
    """A constant voltage V(LSMO) - V(Co) for some time.

    Parameters
    ----------
    voltage_V, duration_s : float
    resolution_s : float or None
        Earliest time after the edge that matters; None leaves the choice to the engine.
    step, leg, pulse : int
        As in `Reading`, for whoever watches the run.
    edge : bool
        False if the voltage just goes on from the hold before.
    cell : (int, int) or None
        The selected cell of an array; None drives every cell alike.
    """

    voltage_V: float
    duration_s: float
    resolution_s: float | None
    step: int
    leg: int
    pulse: int
    edge: bool
    cell: tuple[int, int] | None = None


@dataclass(frozen=True)
class Reading:
    """A reading, which takes no time and disturbs nothing.

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
    voltage_V : float
        Of the last pulse as nominally applied, 0 before the first.
    cell : (int, int) or None
        The selected cell of an array; None reads every cell.
    """

    time_s: float
    step: int
    leg: int
    pulse: int
    voltage_V: float
    cell: tuple[int, int] | None = None


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


@dataclass
class _Writer:
    """Appends operations and keeps track of time, voltage and pulse number."""

    operations: list[Operation] = field(default_factory=list)
    time_s: float = 0.0
    step: int = 0
    leg: int = -1
    pulse: int = 0
    pulse_voltage_V: float = 0.0
    held_V: float | None = None

    def hold(self, voltage_V: float, duration_s: float, resolution_s: float | None = None) -> None:
        if duration_s == 0:
            return
        # Where the voltage does not change there is no edge: fast degrees of freedom stay relaxed.
        edge = voltage_V != self.held_V
        self.operations.append(
            Hold(voltage_V, duration_s, resolution_s, self.step, self.leg, self.pulse, edge)
        )
        self.held_V = voltage_V
        self.time_s += duration_s

    def read(self) -> None:
        self.operations.append(
            Reading(self.time_s, self.step, self.leg, self.pulse, self.pulse_voltage_V)
        )

    def pulses(self, body: Pulse | Train, count: int) -> None:
        """`count` pulses, each followed by its rest and a reading."""
        for number in range(1, count + 1):
            self.pulse, self.pulse_voltage_V = number, body.voltage
            self.hold(body.voltage, body.duration)
            if body.rest is not None:
                self.hold(body.rest.voltage, body.rest.duration)
            if body.read:
                self.read()


def flatten(steps: Sequence[Step]) -> Schedule:
    """Schedule of a checked protocol.

    Parameters
    ----------
    steps : sequence of schema.Step
        The `protocol` of a checked input.

    Returns
    -------
    Schedule

    Raises
    ------
    ProtocolError
        If a step is of a kind that cannot be carried out, or nothing is ever read.
    """
    writer = _Writer()
    for index, step in enumerate(steps):
        writer.step = index
        _carry_out(writer, step)
    schedule = Schedule(tuple(writer.operations))
    if not schedule.readings:
        raise ProtocolError("protocol: must contain a reading (none of its steps reads)")
    return schedule


def _carry_out(writer: _Writer, step: Step) -> None:
    body = step.body
    if isinstance(body, Repeat):
        for _ in range(body.count):
            for inner in body.steps:
                _carry_out(writer, inner)
        return
    writer.leg += 1
    if isinstance(body, Pulse):
        writer.pulses(body, 1)
    elif isinstance(body, Train):
        writer.pulse = 0
        if body.read:
            writer.read()
        writer.pulses(body, body.count)
    elif isinstance(body, Read):
        writer.hold(body.voltage, body.duration)
        writer.read()
    elif isinstance(body, Relax):
        _relax(writer, body)
    elif isinstance(body, Sweep):
        _sweep(writer, body)
    else:
        raise ProtocolError(
            f"protocol.{writer.step}: a {step.kind!r} step cannot be carried out by this version"
        )


def _relax(writer: _Writer, body: Relax) -> None:
    elapsed = 0.0
    for time in relax_times(body):
        writer.hold(body.voltage, time - elapsed, body.first * RELAX_RESOLUTION_SHARE)
        writer.read()
        elapsed = time


def relax_times(body: Relax) -> list[float]:
    """Reading times since the step began (s), even in log time, the last one at its end."""
    decades = np.log10(body.duration / body.first)
    points = 1 + max(1, round(body.points_per_decade * decades))
    times = np.geomspace(body.first, body.duration, points)
    times[-1] = body.duration
    return [float(time) for time in times]


def _sweep(writer: _Writer, body: Sweep) -> None:
    writer.pulse = 0
    for voltage in staircase(body.turning_voltages, body.step):
        writer.pulse_voltage_V = voltage
        writer.hold(voltage, body.dwell)
        writer.read()


def staircase(corners_V: Iterable[float], step_V: float) -> Iterator[float]:
    """Levels of a voltage staircase from 0 V through all corners, each corner hit exactly.

    Parameters
    ----------
    corners_V : iterable of float
        Voltages to go to, one after the other.
    step_V : float
        Largest step; each flank is divided evenly.

    Yields
    ------
    float
        The levels after 0 V, in order.
    """
    level = 0.0
    for corner in corners_V:
        # A quotient that is whole but for rounding must not get one step more.
        count = max(1, int(np.ceil(abs(corner - level) / step_V - 1e-9)))
        start = level
        if corner == start:
            continue
        for number in range(1, count):
            # Rounded so that a level that should be 0.3 V is 0.3 V.
            yield round(start + (corner - start) * number / count, 12)
        yield corner
        level = corner
