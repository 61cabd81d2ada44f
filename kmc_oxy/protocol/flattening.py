"""Protocol steps become a flat schedule of holds of constant voltage and readings.

The schedule depends neither on the device nor on random numbers: time, pulse number and nominal
voltage of every reading are known before the run. `add_operations` has a rule for each step.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import singledispatch

import numpy as np

from kmc_oxy.inputs.schema import Repeat, Step, StepBody
from kmc_oxy.inputs.schema import steps as schema
from kmc_oxy.protocol.schedule import Drive, Hold, Operation, Reading, Schedule, Target

#: Earliest time that a relaxation resolves, relative to its first reading time.
RELAX_RESOLUTION_SHARE = 0.1


class ProtocolError(ValueError):
    """A protocol of valid steps that cannot be run."""


@dataclass
class _ScheduleBuilder:
    """Collects operations and keeps the present time, voltage and pulse number.

    A *leg* is one execution of one step; each repetition of a `repeat` gives new legs.
    """

    operations: list[Operation] = field(default_factory=list)
    time_s: float = 0.0
    step: int = 0
    leg: int = -1
    pulse: int = 0
    pulse_drive: Drive | None = None
    kind: str = ""
    last_drive: Drive | None = None

    def hold(
        self, drive: Drive | float, duration_s: float, resolution_s: float | None = None
    ) -> None:
        """A hold that is no pulse; none if the duration is zero."""
        self._hold(drive, duration_s, resolution_s=resolution_s)

    def apply(self, drive: Drive | float, duration_s: float, target: Target | None = None) -> None:
        """A hold that is the pulse of the readings after it."""
        self.pulse_drive = drive if isinstance(drive, Drive) else Drive(drive)
        self._hold(drive, duration_s, is_pulse=True, target=target)

    def _hold(
        self,
        drive: Drive | float,
        duration_s: float,
        *,
        resolution_s: float | None = None,
        is_pulse: bool = False,
        target: Target | None = None,
    ) -> None:
        if duration_s == 0:
            return
        drive = drive if isinstance(drive, Drive) else Drive(drive)
        # Without a change of voltages there is no edge: fast hops stay in equilibrium.
        self.operations.append(
            Hold(
                drive,
                duration_s,
                resolution_s,
                self.step,
                self.leg,
                self.pulse,
                edge=drive != self.last_drive,
                is_pulse=is_pulse,
                target=target,
            )
        )
        self.last_drive = drive
        self.time_s += duration_s

    def read(
        self,
        *,
        cell: tuple[int, int] | None = None,
        target: Target | None = None,
        field_T: float | None = None,
        inputs_V: tuple[float, ...] = (),
    ) -> None:
        """A reading of all cells; the arguments are those of `Reading`."""
        self.operations.append(
            Reading(
                self.time_s,
                self.step,
                self.leg,
                self.pulse,
                self.kind,
                self.pulse_drive,
                cell=cell,
                target=target,
                field_T=field_T,
                inputs_V=inputs_V,
            )
        )

    def pulses(self, body: schema.Pulse | schema.Train, count: int) -> None:
        """`count` pulses, each followed by its rest and a reading."""
        for number in range(1, count + 1):
            self.pulse = number
            self.apply(body.voltage, body.duration)
            if body.rest is not None:
                self.hold(body.rest.voltage, body.rest.duration)
            if body.read:
                self.read()


def flatten(steps: Sequence[Step]) -> Schedule:
    """Turn a checked protocol into a schedule.

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
        If no step has a reading.
    """
    builder = _ScheduleBuilder()
    for index, step in enumerate(steps):
        builder.step = index
        _add_step(builder, step)
    schedule = Schedule(tuple(builder.operations))
    if not schedule.readings:
        raise ProtocolError("protocol: must contain a reading (none of its steps reads)")
    return schedule


def _add_step(builder: _ScheduleBuilder, step: Step) -> None:
    body = step.body
    if isinstance(body, Repeat):
        for _ in range(body.count):
            for inner in body.steps:
                _add_step(builder, inner)
        return
    builder.leg += 1
    builder.kind = step.kind
    add_operations(body, builder)


@singledispatch
def add_operations(body: StepBody, builder: _ScheduleBuilder) -> None:
    """Append the holds and readings of one step; every type of step registers its rule here.

    Parameters
    ----------
    body : StepBody
    builder : _ScheduleBuilder
        At the end of the step before.

    Raises
    ------
    NotImplementedError
        If no rule is registered for the type of the step.
    """
    raise NotImplementedError(f"kmc_oxy.protocol.flattening has no rule for {type(body).__name__}")


@add_operations.register
def _pulse(body: schema.Pulse, builder: _ScheduleBuilder) -> None:
    builder.pulses(body, 1)


@add_operations.register
def _train(body: schema.Train, builder: _ScheduleBuilder) -> None:
    builder.pulse = 0
    if body.read:
        builder.read()
    builder.pulses(body, body.count)


@add_operations.register
def _read(body: schema.Read, builder: _ScheduleBuilder) -> None:
    builder.hold(body.voltage, body.duration)
    builder.read()


@add_operations.register
def _field_sweep(body: schema.FieldSweep, builder: _ScheduleBuilder) -> None:
    builder.hold(body.voltage, body.duration)
    for field_T in field_path(body.amplitude, body.step):
        builder.read(field_T=field_T)


@add_operations.register
def _map(body: schema.Map, builder: _ScheduleBuilder) -> None:
    builder.hold(Drive(None), body.duration)
    builder.read()


@add_operations.register
def _vector_matrix(body: schema.VectorMatrix, builder: _ScheduleBuilder) -> None:
    builder.hold(Drive(None, "product", inputs_V=body.inputs), body.duration)
    builder.read(inputs_V=body.inputs)


@add_operations.register
def _program(body: schema.Program, builder: _ScheduleBuilder) -> None:
    """Pulses on one cell, or time slots for the largest number of pulses of a write-verify."""
    forward = Drive(body.voltage, "program", body.cell)
    waiting = Drive(0.0 if body.rest is None else body.rest.voltage, "read", body.cell)
    target = None
    if body.target is not None:
        lowering, raising = sorted((body.voltage, body.reverse_voltage_V))
        target = Target(
            body.target,
            body.tolerance,
            Drive(raising, "program", body.cell),
            Drive(lowering, "program", body.cell),
            waiting,
        )
    builder.pulse = 0
    builder.read(cell=body.cell, target=target)
    for number in range(1, body.pulse_slots + 1):
        builder.pulse = number
        builder.apply(forward, body.duration, target)
        if body.rest is not None:
            builder.hold(waiting, body.rest.duration)
        builder.read(cell=body.cell, target=target)


@add_operations.register
def _relax(body: schema.Relax, builder: _ScheduleBuilder) -> None:
    elapsed_s = 0.0
    for time_s in relax_times(body):
        builder.hold(body.voltage, time_s - elapsed_s, body.first * RELAX_RESOLUTION_SHARE)
        builder.read()
        elapsed_s = time_s


def relax_times(body: schema.Relax) -> list[float]:
    """Reading times of a relaxation, evenly spaced in the logarithm of time.

    Parameters
    ----------
    body : schema.Relax

    Returns
    -------
    list of float
        Times since the step began (s); the last one is its duration.
    """
    decades = np.log10(body.duration / body.first)
    points = 1 + max(1, round(body.points_per_decade * decades))
    times = np.geomspace(body.first, body.duration, points)
    times[-1] = body.duration
    return [float(time) for time in times]


@add_operations.register
def _sweep(body: schema.Sweep, builder: _ScheduleBuilder) -> None:
    builder.pulse = 0
    for voltage in staircase(body.turning_voltages, body.step):
        builder.apply(voltage, body.dwell)
        builder.read()


def staircase(corners_V: Iterable[float], step_V: float) -> Iterator[float]:
    """Levels of a voltage staircase from 0 V through all corners, each corner exactly.

    Parameters
    ----------
    corners_V : iterable of float
        Turning points in order (V).
    step_V : float
        Largest step (V); the way to each corner is divided evenly.

    Yields
    ------
    float
        The levels after 0 V, in order (V).
    """
    level = 0.0
    for corner in corners_V:
        # A quotient that is a whole number up to rounding must not give a further step.
        count = max(1, int(np.ceil(abs(corner - level) / step_V - 1e-9)))
        start = level
        if corner == start:
            continue
        for number in range(1, count):
            # Rounded, so that 0.1 V * 3 is 0.3 V.
            yield round(start + (corner - start) * number / count, 12)
        yield corner
        level = corner


def field_path(amplitude_T: float, step_T: float) -> list[float]:
    """Fields of a magnetic sweep from +amplitude to -amplitude and back, both ends exactly.

    Parameters
    ----------
    amplitude_T : float
    step_T : float
        Largest step; the sweep is divided evenly.

    Returns
    -------
    list of float
        The fields in order (T).
    """
    count = max(1, int(np.ceil(2 * amplitude_T / step_T - 1e-9)))
    down = [round(amplitude_T * (1 - 2 * number / count), 12) for number in range(1, count)]
    up = down[::-1]
    return [amplitude_T, *down, -amplitude_T, *up, amplitude_T]
