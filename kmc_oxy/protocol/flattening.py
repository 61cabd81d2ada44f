"""Protocol steps -> a flat schedule of constant-voltage holds and readings.

The schedule does not depend on the device or on chance, so the time, the pulse number and the
nominal voltage of every reading are known before anything runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kmc_oxy.inputs.schema import (
    FieldSweep,
    Map,
    Program,
    Pulse,
    Read,
    Relax,
    Repeat,
    Step,
    Sweep,
    Train,
    VectorMatrix,
)
from kmc_oxy.protocol.schedule import Drive, Hold, Operation, Reading, Schedule, Target

#: A relaxation is resolved from this share of its first reading time on.
RELAX_RESOLUTION_SHARE = 0.1


class ProtocolError(ValueError):
    """A protocol that is well formed but cannot be carried out."""


@dataclass
class _Writer:
    """Appends operations and keeps track of time, voltage and pulse number."""

    operations: list[Operation] = field(default_factory=list)
    time_s: float = 0.0
    step: int = 0
    leg: int = -1
    pulse: int = 0
    pulse_drive: Drive | None = None
    kind: str = ""
    held: Drive | None = None

    def hold(
        self, drive: Drive | float, duration_s: float, resolution_s: float | None = None
    ) -> None:
        self._hold(drive, duration_s, resolution_s)

    def apply(self, drive: Drive | float, duration_s: float, target: Target | None = None) -> None:
        """A hold that readings after it refer to as the pulse."""
        self.pulse_drive = drive if isinstance(drive, Drive) else Drive(drive)
        self._hold(drive, duration_s, None, is_pulse=True, target=target)

    def _hold(
        self,
        drive: Drive | float,
        duration_s: float,
        resolution_s: float | None,
        is_pulse: bool = False,
        target: Target | None = None,
    ) -> None:
        if duration_s == 0:
            return
        drive = drive if isinstance(drive, Drive) else Drive(drive)
        # Where the voltage does not change there is no edge: fast degrees of freedom stay relaxed.
        self.operations.append(
            Hold(
                drive,
                duration_s,
                resolution_s,
                self.step,
                self.leg,
                self.pulse,
                edge=drive != self.held,
                is_pulse=is_pulse,
                target=target,
            )
        )
        self.held = drive
        self.time_s += duration_s

    def read(self, **special: Any) -> None:
        self.operations.append(
            Reading(
                self.time_s,
                self.step,
                self.leg,
                self.pulse,
                self.kind,
                self.pulse_drive,
                **special,
            )
        )

    def pulses(self, body: Pulse | Train, count: int) -> None:
        """`count` pulses, each followed by its rest and a reading."""
        for number in range(1, count + 1):
            self.pulse = number
            self.apply(body.voltage, body.duration)
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
        If nothing is ever read.
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
    writer.kind = step.kind
    match body:
        case Pulse():
            writer.pulses(body, 1)
        case Train():
            writer.pulse = 0
            if body.read:
                writer.read()
            writer.pulses(body, body.count)
        case Read():
            writer.hold(body.voltage, body.duration)
            writer.read()
        case Relax():
            _relax(writer, body)
        case Sweep():
            _sweep(writer, body)
        case FieldSweep():
            writer.hold(body.voltage, body.duration)
            for field_T in field_path(body.amplitude, body.step):
                writer.read(field_T=field_T)
        case Program():
            _program(writer, body)
        case Map():
            writer.hold(Drive(None), body.duration)
            writer.read()
        case VectorMatrix():
            writer.hold(Drive(None, "product", inputs_V=body.inputs), body.duration)
            writer.read(inputs_V=body.inputs)


def _program(writer: _Writer, body: Program) -> None:
    """Pulses on one cell, or slots for as many as a write-verify may need."""
    forward = Drive(body.voltage, "program", body.cell)
    waiting = Drive(0.0 if body.rest is None else body.rest.voltage, "read", body.cell)
    target, count = None, body.count
    if body.target is not None:
        back = -body.voltage if body.reverse is None else body.reverse
        raising, lowering = max(body.voltage, back), min(body.voltage, back)
        target = Target(
            body.target,
            body.tolerance,
            Drive(raising, "program", body.cell),
            Drive(lowering, "program", body.cell),
            waiting,
        )
        count = body.max_pulses
    writer.pulse = 0
    writer.read(cell=body.cell, target=target)
    for number in range(1, count + 1):
        writer.pulse = number
        writer.apply(forward, body.duration, target)
        if body.rest is not None:
            writer.hold(waiting, body.rest.duration)
        writer.read(cell=body.cell, target=target)


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
        writer.apply(voltage, body.dwell)
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


def field_path(amplitude_T: float, step_T: float) -> list[float]:
    """Fields from +amplitude to -amplitude and back (T), both ends hit exactly."""
    count = max(1, int(np.ceil(2 * amplitude_T / step_T - 1e-9)))
    down = [round(amplitude_T * (1 - 2 * number / count), 12) for number in range(1, count)]
    up = down[::-1]
    return [amplitude_T, *down, -amplitude_T, *up, amplitude_T]
