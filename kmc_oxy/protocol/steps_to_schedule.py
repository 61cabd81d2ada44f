"""Protocol steps become a flat schedule of holds of constant voltage and readings.

The schedule depends neither on the device nor on random numbers: time, pulse number and nominal
voltage of every reading are known before the run. `add_operations` has a rule for each step.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import singledispatch

import numpy as np

from kmc_oxy.inputs.schema import Repeat, Step, StepBody, Waveform, stop_condition
from kmc_oxy.inputs.schema import steps as schema
from kmc_oxy.protocol.loops import Loop, Position, ticks
from kmc_oxy.protocol.schedule import (
    Drive,
    Hold,
    Operation,
    Reading,
    Schedule,
    Target,
    Until,
)

#: Earliest time that a relaxation resolves, relative to its first reading time.
RELAX_RESOLUTION_SHARE = 0.1
#: Earliest time that is resolved after an edge of a wave form, relative to the time to the next.
RESOLUTION_SHARE = 0.01


class ScheduleBuilder:
    """Collects operations, and keeps the present time, voltage and pulse number.

    A *leg* is one execution of one step; each repetition of a `repeat` gives new legs.

    Attributes
    ----------
    pulse : int
        Number of pulses of the current train so far.
    """

    def __init__(self) -> None:
        self.pulse = 0
        self._ticks = self._leg_ticks = 0
        self._step = 0
        self._leg = -1
        self._kind = ""
        self._pulse_drive: Drive | None = None
        self._origin = Position()
        self._items: list[Operation | Loop[Operation]] = []
        self._offsets: list[Position] = []

    def begin_step(self, index: int) -> None:
        """Begin a step of the top level of the protocol."""
        self._step = index

    def begin_leg(self, kind: str) -> None:
        """Begin an execution of a step of this kind."""
        self._leg += 1
        self._leg_ticks = 0
        self._kind = kind

    def hold(
        self, drive: Drive | float, duration_s: float, resolution_s: float | None = None
    ) -> None:
        """A hold that is no pulse; none if the duration is zero."""
        self._hold(Hold(_drive(drive), duration_s, resolution_s))

    def apply(
        self,
        drive: Drive | float,
        duration_s: float,
        target: Target | None = None,
        resolution_s: float | None = None,
    ) -> None:
        """A hold that is the pulse of the readings after it."""
        self._pulse_drive = _drive(drive)
        self._hold(Hold(self._pulse_drive, duration_s, resolution_s, True, target))

    def _hold(self, hold: Hold) -> None:
        if hold.duration_s == 0:
            return
        self._append(hold)
        self._ticks += ticks(hold.duration_s)
        self._leg_ticks += ticks(hold.duration_s)

    def set_leg_time(self, leg_time_s: float) -> None:
        """Set the time since the leg began, where rounded durations do not add up to it."""
        self._ticks += ticks(leg_time_s) - self._leg_ticks
        self._leg_ticks = ticks(leg_time_s)

    def read(
        self,
        *,
        cell: tuple[int, int] | None = None,
        target: Target | None = None,
        field_T: float | None = None,
        inputs_V: tuple[float, ...] = (),
    ) -> None:
        """A reading of all cells; the arguments are those of `Reading`."""
        self._append(
            Reading(
                time_s=0.0,
                leg_time_s=0.0,
                step=self._step,
                leg=0,
                pulse=0,
                kind=self._kind,
                pulse_drive=self._pulse_drive,
                cell=cell,
                target=target,
                field_T=field_T,
                inputs_V=inputs_V,
            )
        )

    def pulses(self, count: int, pulse: Callable[[], None], until: Until | None = None) -> None:
        """Repeat what `pulse` appends; the pulse number rises by one each time.

        Parameters
        ----------
        count : int
        pulse : callable
            Appends the operations of one pulse.
        until : Until, optional
            Condition after which no further pulse follows.
        """

        def append() -> None:
            self.pulse += 1
            origin = self._position
            body = self._body(pulse, origin, pulses=1)
            self._append_loop(body, count, origin, until)
            self.pulse += count - 1

        self._append_until(append, until)

    def repeat(self, count: int, steps: Callable[[], None], until: Until | None = None) -> None:
        """Repeat what `steps` appends, with new legs each time.

        Parameters
        ----------
        count : int
        steps : callable
            Appends the operations of the steps that are repeated.
        until : Until, optional
            Condition after which no further repetition follows.
        """

        def append() -> None:
            left = count
            while left:
                before = (self.pulse, self._pulse_drive)
                origin = self._position._replace(leg_ticks=0, pulse=0)
                body = self._body(steps, origin, pulses=0)
                # A repetition differs from later ones if it begins with another pulse than they do.
                is_steady = before == (self.pulse, self._pulse_drive)
                repetitions = left if is_steady else 1
                self._append_loop(body, repetitions, origin, until)
                left -= repetitions

        self._append_until(append, until)

    @property
    def loop(self) -> Loop[Operation]:
        """Everything appended, as a loop with one repetition."""
        return _loop(self._items, self._offsets, self._position)

    @property
    def _position(self) -> Position:
        return Position(self._ticks, self._leg_ticks, self._leg, self.pulse)

    def _append(self, item: Operation | Loop[Operation]) -> None:
        self._items.append(item)
        self._offsets.append(self._position.relative_to(self._origin))

    def _body(self, append: Callable[[], None], origin: Position, pulses: int) -> Loop[Operation]:
        """One repetition of a loop that begins at `origin`.

        `pulses` is 1 inside a leg, whose pulse number and time go on, and 0 for whole legs.
        """
        outer = self._origin, self._items, self._offsets
        self._origin, self._items, self._offsets = origin, [], []
        append()
        shift = Position(
            ticks=self._ticks - origin.ticks,
            leg_ticks=self._ticks - origin.ticks if pulses else 0,
            leg=self._leg - origin.leg,
            pulse=pulses,
        )
        body = _loop(self._items, self._offsets, shift)
        self._origin, self._items, self._offsets = outer
        return body

    def _append_until(self, append: Callable[[], None], until: Until | None) -> None:
        """Append loops with the same condition, inside the loop that it leaves."""
        if until is None:
            append()
            return
        origin = self._position
        self._append_loop(self._body(append, origin, pulses=0), 1, origin)

    def _append_loop(
        self, body: Loop[Operation], count: int, origin: Position, until: Until | None = None
    ) -> None:
        """Append a loop that begins at `origin`, of whose repetitions one has been built."""
        if body.items:
            self._items.append(dataclasses.replace(body, count=count, until=until))
            self._offsets.append(origin.relative_to(self._origin))
        more = count - 1
        self._ticks += more * body.shift.ticks
        self._leg_ticks += more * body.shift.leg_ticks
        self._leg += more * body.shift.leg


def _loop(
    items: Sequence[Operation | Loop[Operation]], offsets: Sequence[Position], shift: Position
) -> Loop[Operation]:
    """A loop with one repetition."""
    return Loop(tuple(items), tuple(offsets), shift, 1)


def _drive(drive: Drive | float) -> Drive:
    return drive if isinstance(drive, Drive) else Drive(drive)


def flatten(steps: Sequence[Step]) -> Schedule:
    """Turn a checked protocol into a schedule.

    Parameters
    ----------
    steps : sequence of schema.Step
        The `protocol` of a checked input.

    Returns
    -------
    Schedule
    """
    builder = ScheduleBuilder()
    for index, step in enumerate(steps):
        builder.begin_step(index)
        _add_step(builder, step)
    return Schedule(builder.loop)


def _add_step(builder: ScheduleBuilder, step: Step) -> None:
    body = step.body
    if not isinstance(body, Repeat):
        builder.begin_leg(step.kind)
        add_operations(body, builder)
        return

    def add_steps() -> None:
        for inner in body.steps:
            _add_step(builder, inner)

    builder.repeat(body.count, add_steps, _until(body.until))


@singledispatch
def add_operations(body: StepBody, builder: ScheduleBuilder) -> None:
    """Append the holds and readings of one step; every type of step registers its rule here.

    Parameters
    ----------
    body : StepBody
    builder : ScheduleBuilder
        At the end of the step before.

    Raises
    ------
    NotImplementedError
        If no rule is registered for the type of the step.
    """
    raise NotImplementedError(
        f"kmc_oxy.protocol.steps_to_schedule has no rule for {type(body).__name__}"
    )


@add_operations.register
def _pulse(body: schema.Pulse, builder: ScheduleBuilder) -> None:
    _add_pulses(body, builder, 1)


@add_operations.register
def _train(body: schema.Train, builder: ScheduleBuilder) -> None:
    builder.pulse = 0
    if body.read:
        builder.read()
    _add_pulses(body, builder, body.count, _until(body.until))


def _add_pulses(
    body: schema.Pulse | schema.Train,
    builder: ScheduleBuilder,
    count: int,
    until: Until | None = None,
) -> None:
    """Pulses, each followed by its rest and a reading."""

    def add_pulse() -> None:
        builder.apply(body.voltage, body.duration)
        if body.rest is not None:
            builder.hold(body.rest.voltage, body.rest.duration)
        if body.read:
            builder.read()

    builder.pulse = 0
    builder.pulses(count, add_pulse, until)


def _until(text: str | None, cell: tuple[int, int] = (0, 0)) -> Until | None:
    """The condition of a step on a cell; without an array there is one."""
    return None if text is None else Until(stop_condition(text), cell)


@add_operations.register
def _waveform(body: Waveform, builder: ScheduleBuilder) -> None:
    """Voltages, each divided where a reading falls into it."""
    builder.pulse = 0
    readings_s = body.reading_times_s[::-1]
    start_s = 0.0
    for voltage_V, end_s in zip(body.voltages, body.ends_s, strict=True):
        resolution_s = RESOLUTION_SHARE * (end_s - start_s)
        while start_s < end_s:
            is_read = bool(readings_s) and readings_s[-1] <= end_s
            until_s = readings_s.pop() if is_read else end_s
            builder.apply(voltage_V, until_s - start_s, resolution_s=resolution_s)
            builder.set_leg_time(until_s)
            if is_read:
                builder.read()
            start_s = until_s


@add_operations.register
def _read(body: schema.Read, builder: ScheduleBuilder) -> None:
    builder.hold(body.voltage, body.duration)
    builder.read()


@add_operations.register
def _field_sweep(body: schema.FieldSweep, builder: ScheduleBuilder) -> None:
    builder.hold(body.voltage, body.duration)
    for field_T in field_path(body.amplitude, body.step):
        builder.read(field_T=field_T)


@add_operations.register
def _map(body: schema.Map, builder: ScheduleBuilder) -> None:
    builder.hold(Drive(None), body.duration)
    builder.read()


@add_operations.register
def _vector_matrix(body: schema.VectorMatrix, builder: ScheduleBuilder) -> None:
    builder.hold(Drive(None, "product", inputs_V=body.inputs), body.duration)
    builder.read(inputs_V=body.inputs)


@add_operations.register
def _program(body: schema.Program, builder: ScheduleBuilder) -> None:
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

    def add_pulse() -> None:
        builder.apply(forward, body.duration, target)
        if body.rest is not None:
            builder.hold(waiting, body.rest.duration)
        builder.read(cell=body.cell, target=target)

    builder.pulses(body.pulse_slots, add_pulse, _until(body.until, body.cell))


@add_operations.register
def _relax(body: schema.Relax, builder: ScheduleBuilder) -> None:
    elapsed_s = 0.0
    for time_s in relax_times(body):
        builder.hold(body.voltage, time_s - elapsed_s, body.first * RELAX_RESOLUTION_SHARE)
        builder.set_leg_time(time_s)
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
def _sweep(body: schema.Sweep, builder: ScheduleBuilder) -> None:
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
