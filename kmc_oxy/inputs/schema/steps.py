"""The `protocol` section of the input: steps, each a mapping with one key that names it.

V = V(LSMO) - V(Co). Positive pulses potentiate, negative ones depress.

A step is a subclass of `StepBody` and a field of `Step` in this module, and a rule in
`kmc_oxy.protocol.steps_to_schedule` that makes holds and readings of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Annotated, Any, cast

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from kmc_oxy.inputs.schema.fields import (
    Conductance,
    Duration,
    Flag,
    Fraction,
    Location,
    MagneticField,
    Section,
    Voltage,
    Whole,
)
from kmc_oxy.inputs.schema.step_base import (
    READ_VOLTAGE_V,
    Rest,
    StepBody,
    rest_field,
    time_text,
    volts_text,
)
from kmc_oxy.inputs.schema.step_loops import written_out
from kmc_oxy.inputs.schema.stop_conditions import Until
from kmc_oxy.inputs.schema.waveform import Waveform
from kmc_oxy.units import format_quantity

MAX_COUNT = 10_000_000
#: Of a longer list of steps, a text gives only the first ones or their number.
MAX_LISTED_STEPS = 6

Cell = Annotated[tuple[Whole, Whole], Field(description="[row, column], both counted from 0")]


class Pulse(StepBody):
    """One pulse on the cross-point."""

    voltage: Voltage = Field(description="voltage of the pulse")
    duration: Duration = Field(gt=0, description="length of the pulse")
    rest: Rest | None = rest_field()
    read: Flag = Field(default=True, description="whether a reading follows")

    def voltages_V(self) -> Iterator[float]:
        yield self.voltage
        if self.rest:
            yield self.rest.voltage

    def reads(self) -> bool:
        return self.read

    def text(self) -> str:
        rest = self.rest.text() if self.rest else ""
        return f"a pulse of {volts_text(self.voltage)} for {time_text(self.duration)}{rest}"


class Train(StepBody):
    """Identical pulses on the cross-point, each followed by its rest and its reading."""

    voltage: Voltage = Field(description="voltage of the pulses")
    duration: Duration = Field(gt=0, description="length of each pulse")
    count: Whole = Field(ge=1, le=MAX_COUNT, description="number of pulses")
    rest: Rest | None = rest_field()
    read: Flag = Field(default=True, description="whether a reading follows each pulse")
    until: Until | None = Field(
        default=None,
        description="condition after which no further pulse follows, such as "
        "`conductance > 1 uS`; `count` is then the largest number of pulses",
    )

    def size(self) -> float:
        return self.count + 1.0

    def voltages_V(self) -> Iterator[float]:
        yield self.voltage
        if self.rest:
            yield self.rest.voltage

    def reads(self) -> bool:
        return self.read

    def text(self) -> str:
        rest = self.rest.text() if self.rest else ""
        return (
            f"a train of {self.count:,} pulses of {volts_text(self.voltage)}, "
            f"{time_text(self.duration)} each{rest}{_until_text(self.until)}"
        )

    def array_faults(self, rows: int, columns: int) -> Iterator[tuple[str, str]]:
        yield from _faults_of_until(self.until, rows * columns)


class Read(StepBody):
    """One reading after a time at the reading voltage."""

    voltage: Voltage = Field(default=READ_VOLTAGE_V, description="voltage held")
    duration: Duration = Field(default=50e-3, gt=0, description="for how long before the reading")

    def voltages_V(self) -> Iterator[float]:
        yield self.voltage

    def text(self) -> str:
        return f"a reading after {time_text(self.duration)} at {volts_text(self.voltage)}"


class Relax(StepBody):
    """A voltage held for long, with readings evenly spaced in the logarithm of time."""

    voltage: Voltage = Field(default=READ_VOLTAGE_V, description="voltage held")
    duration: Duration = Field(gt=0, description="for how long; the last reading is at its end")
    first: Duration = Field(
        default=1e-3, gt=0, description="time of the first reading; shorter than `duration`"
    )
    points_per_decade: Whole = Field(
        default=10, ge=1, le=10_000, description="readings per decade of time"
    )

    @model_validator(mode="after")
    def _first_before_last(self) -> Relax:
        if self.first >= self.duration:
            raise ValueError(
                f"must have its first reading ({self.first:g} s) before its duration "
                f"({self.duration:g} s) is over"
            )
        return self

    def size(self) -> float:
        return self.points_per_decade * math.log10(self.duration / self.first) + 2.0

    def listed(self) -> float:
        return self.size()

    def voltages_V(self) -> Iterator[float]:
        yield self.voltage

    def text(self) -> str:
        return f"a relaxation at {volts_text(self.voltage)} for {time_text(self.duration)}"


class Sweep(StepBody):
    """A staircase of voltages from 0 V through turning points, read on every stair."""

    amplitude: Voltage | None = Field(
        default=None, description="sweeps 0, +amplitude, -amplitude, 0 (a negative one: -, + first)"
    )
    to: tuple[Voltage, ...] | None = Field(
        default=None,
        min_length=1,
        max_length=10_000,
        description="turning voltages in place of `amplitude`; the sweep starts at 0",
    )
    step: Voltage = Field(default=0.1, gt=0, description="height of a stair")
    dwell: Duration = Field(default=10e-3, gt=0, description="time on a stair before its reading")

    @model_validator(mode="after")
    def _amplitude_or_to(self) -> Sweep:
        if (self.amplitude is None) == (self.to is None):
            raise ValueError("must have either amplitude or to")
        return self

    @property
    def turning_voltages(self) -> tuple[float, ...]:
        """Voltages between which the staircase runs, starting from 0, V."""
        if self.to is not None:
            return self.to
        amplitude = cast(float, self.amplitude)
        return (amplitude, -amplitude, 0.0)

    def size(self) -> float:
        stops = (0.0, *self.turning_voltages)
        return sum(abs(b - a) for a, b in pairwise(stops)) / self.step + 1

    def listed(self) -> float:
        return self.size()

    def voltages_V(self) -> Iterator[float]:
        yield from self.turning_voltages

    def reads(self) -> bool:
        return any(self.turning_voltages)

    def text(self) -> str:
        stops = ", ".join(volts_text(voltage) for voltage in (0.0, *self.turning_voltages))
        return f"a voltage sweep {stops} in stairs of {self.step:g} V, {time_text(self.dwell)} each"


class FieldSweep(StepBody):
    """A magnetic sweep +amplitude, -amplitude, +amplitude, read on every stair."""

    amplitude: MagneticField = Field(default=0.1, gt=0, description="largest field")
    step: MagneticField = Field(default=1e-3, gt=0, description="largest height of a stair")
    voltage: Voltage = Field(default=READ_VOLTAGE_V, description="voltage held before the sweep")
    duration: Duration = Field(
        default=50e-3,
        gt=0,
        description="for how long before the sweep; the oxygens do not move during the sweep",
    )

    def size(self) -> float:
        return 4 * self.amplitude / self.step + 1

    def listed(self) -> float:
        return self.size()

    def voltages_V(self) -> Iterator[float]:
        yield self.voltage

    def text(self) -> str:
        return f"a magnetic sweep to ±{format_quantity(self.amplitude, 'magnetic field')}"


class Program(StepBody):
    """Pulses on one cell of the array by `crossbar.scheme`; with `target`, write and verify.

    The cell is read before the first pulse and after each. With a target the step always takes
    the time of `max_pulses` pulses, so that all members are read at the same times: once the
    target is reached, the voltage of `rest` takes the place of the pulses.
    """

    cell: Cell
    voltage: Voltage = Field(description="voltage of the pulses at the chosen cell")
    duration: Duration = Field(default=10e-3, gt=0, description="length of each pulse")
    count: Whole = Field(
        default=1, ge=1, le=MAX_COUNT, description="number of pulses, without a target"
    )
    rest: Rest | None = Field(
        default_factory=Rest,
        description="held after each pulse, before it is read: the input of the cell at minus "
        "this voltage, all other lines at ground; null: no rest",
    )
    until: Until | None = Field(
        default=None,
        description="condition on the cell after which no further pulse follows, such as "
        "`conductance > 1 uS`; `count` is then the largest number of pulses",
    )
    target: Conductance | None = Field(
        default=None,
        gt=0,
        description="pulses until the cell's conductance is this, within `tolerance`",
    )
    tolerance: Fraction = Field(
        default=0.05,
        gt=0,
        lt=1,
        description="relative distance from the target that counts as reached",
    )
    max_pulses: Whole = Field(
        default=100,
        ge=1,
        le=MAX_COUNT,
        description="pulses after which a target is reported unreachable",
    )
    reverse: Voltage | None = Field(
        default=None,
        description="voltage of the pulses that bring the conductance back after it has gone "
        "beyond the target; null: -voltage",
    )

    @model_validator(mode="after")
    def _opposite_signs(self) -> Program:
        if self.target is not None and self.voltage * self.reverse_voltage_V >= 0:
            raise ValueError("must have voltage and reverse of opposite signs to reach a target")
        return self

    @model_validator(mode="after")
    def _one_end(self) -> Program:
        if self.until is not None and self.target is not None:
            raise ValueError(
                "must have either until or target: a target is verified with pulses of both signs"
            )
        if self.until is not None and "count" not in self.model_fields_set:
            raise ValueError("must have a count, the largest number of pulses, beside until")
        return self

    @property
    def reverse_voltage_V(self) -> float:
        """Voltage of the pulses in the opposite direction, V."""
        return -self.voltage if self.reverse is None else self.reverse

    @property
    def pulse_slots(self) -> int:
        """Number of pulses that the step has time for."""
        return self.count if self.target is None else self.max_pulses

    def size(self) -> float:
        return self.pulse_slots + 1.0

    def voltages_V(self) -> Iterator[float]:
        yield self.voltage
        if self.reverse is not None:
            yield self.reverse
        if self.rest:
            yield self.rest.voltage

    def text(self) -> str:
        cell = f"cell {list(self.cell)}"
        pulse = f"{volts_text(self.voltage)}, {time_text(self.duration)}"
        if self.target is not None:
            target = format_quantity(self.target, "conductance")
            most = f"{self.max_pulses:,}"
            return f"programming {cell} to {target} by at most {most} pulses of {pulse}"
        count = f"{self.count:,} pulses" if self.count > 1 else "one pulse"
        return f"programming {cell} by {count} of {pulse}{_until_text(self.until)}"

    def array_faults(self, rows: int, columns: int) -> Iterator[tuple[str, str]]:
        row, column = self.cell
        if not (0 <= row < rows and 0 <= column < columns):
            yield (
                "cell",
                f"must lie in the array of {rows} rows and {columns} columns, counted from 0 "
                "(see crossbar)",
            )


class Map(StepBody):
    """Every cell of the array read once, at `crossbar.read_voltage`."""

    duration: Duration = Field(
        default=50e-3,
        gt=0,
        description="for how long every cell has the reading voltage before it is read",
    )

    def voltages_V(self) -> Iterator[float]:
        yield from ()

    def text(self) -> str:
        return "a map of all cells"


class VectorMatrix(StepBody):
    """One product of a voltage on every column with the matrix of conductances."""

    inputs: tuple[Voltage, ...] = Field(
        min_length=1, max_length=100_000, description="voltages of the columns (input lines)"
    )
    duration: Duration = Field(default=50e-3, gt=0, description="for how long they are applied")

    def voltages_V(self) -> Iterator[float]:
        yield from self.inputs

    def span_V(self) -> float:
        return max(0.0, *self.inputs) - min(0.0, *self.inputs)

    def text(self) -> str:
        return "a vector-matrix product"

    def array_faults(self, rows: int, columns: int) -> Iterator[tuple[str, str]]:
        if len(self.inputs) != columns:
            yield "inputs", f"must be one voltage for each of the {columns} columns"


class Repeat(StepBody):
    """Steps that are repeated, `count` times or for lists of values."""

    count: Whole = Field(
        ge=1,
        le=MAX_COUNT,
        description="number of times; beside a `for`, of all of its rounds, 1 if left out",
    )
    steps: tuple[Step, ...] = Field(min_length=1, description="the steps, in order")
    until: Until | None = Field(
        default=None,
        description="condition after which no further repetition follows, such as "
        "`conductance > 1 uS`; `count` is then the largest number of repetitions",
    )

    @model_validator(mode="before")
    @classmethod
    def _write_out_loop(cls, data: Any) -> Any:
        return written_out(data)

    def size(self) -> float:
        return self.count * sum(step.body.size() for step in self.steps) + 1

    def listed(self) -> float:
        # The first repetition may differ from the others.
        return min(self.count, 2) * sum(step.body.listed() for step in self.steps) + 1

    def voltages_V(self) -> Iterator[float]:
        for step in self.steps:
            yield from step.body.voltages_V()

    def reads(self) -> bool:
        return any(step.body.reads() for step in self.steps)

    def text(self) -> str:
        inner = ", ".join(step.body.text() for step in self.steps[:MAX_LISTED_STEPS])
        more = len(self.steps) - MAX_LISTED_STEPS
        inner += f" and {more} more steps" if more > 0 else ""
        text = f"{self.count:,} × ({inner})" if self.count > 1 else inner
        return text + _until_text(self.until)

    def array_faults(self, rows: int, columns: int) -> Iterator[tuple[str, str]]:
        yield from _faults_of_until(self.until, rows * columns)


def _until_text(until: str | None) -> str:
    """A stop condition, to follow what it ends."""
    return f", until {until}" if until is not None else ""


def _faults_of_until(until: str | None, cells: int) -> Iterator[tuple[str, str]]:
    """The fault of a condition on the one cell of an array that has more."""
    if until is not None and cells > 1:
        yield (
            "until",
            f"must be left out in an array of {cells} cells, as it is about one cell: only "
            "`program` selects one and may have it",
        )


class Step(Section):
    """One step of the protocol: a mapping with exactly one of these keys."""

    pulse: Pulse | None = Field(default=None, description="one pulse on the cross-point")
    train: Train | None = Field(default=None, description="identical pulses on the cross-point")
    read: Read | None = Field(default=None, description="one reading")
    relax: Relax | None = Field(default=None, description="readings evenly spaced in log time")
    sweep: Sweep | None = Field(default=None, description="a staircase of voltages: I-V loop")
    waveform: Waveform | None = Field(
        default=None, description="voltages against time, from a list or a CSV file"
    )
    field_sweep: FieldSweep | None = Field(default=None, description="a magnetic loop: G(H)")
    program: Program | None = Field(default=None, description="pulses on one cell of the array")
    map: Map | None = Field(default=None, description="every cell of the array read once")
    vector_matrix: VectorMatrix | None = Field(
        default=None, description="one vector-matrix product"
    )
    repeat: Repeat | None = Field(default=None, description="steps that are repeated")

    @model_validator(mode="before")
    @classmethod
    def _has_one_key(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        if len(data) != 1:
            keys = ", ".join(str(key)[:30] for key in list(data)[:6]) or "none"
            raise ValueError(
                f"must be a mapping with one key, the name of the step (has {keys}); the step's "
                "own keys go one level deeper"
            )
        return {key: {} if value is None else value for key, value in data.items()}

    @model_serializer(mode="wrap")
    def _serialize_one_key(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {self.kind: handler(self)[self.kind]}

    @property
    def kind(self) -> str:
        """Name of the step: ``"pulse"``, ``"train"``, ..."""
        return next(iter(self.model_fields_set))

    @property
    def body(self) -> StepBody:
        """What the step does: the model under its name."""
        return cast(StepBody, getattr(self, self.kind))


Repeat.model_rebuild()


def all_steps(steps: Sequence[Step], location: Location = ()) -> Iterator[tuple[Location, Step]]:
    """Every step with its location; a `repeat` is followed by the steps inside it.

    Parameters
    ----------
    steps : sequence of Step
    location : Location, optional
        Location of `steps`, put before that of each step.

    Yields
    ------
    location : Location
    step : Step
    """
    for index, step in enumerate(steps):
        here = (*location, index)
        yield here, step
        if isinstance(step.body, Repeat):
            yield from all_steps(step.body.steps, (*here, step.kind, "steps"))


def protocol_size(steps: Sequence[Step]) -> float:
    """Rough number of pulses, stairs and readings of `steps`, repetitions included."""
    return sum(step.body.size() for step in steps)


def listed_size(steps: Sequence[Step]) -> float:
    """Rough number of pulses, stairs and readings that the schedule of `steps` lists."""
    return sum(step.body.listed() for step in steps)


def largest_span(steps: Sequence[Step]) -> tuple[float, Location]:
    """The largest difference between the potentials of two lines, V, and the step with it."""
    largest_V = 0.0
    where: Location = ()
    found: Iterator[tuple[Location, Step]] = all_steps(steps, ("protocol",))
    for location, step in found:
        if not isinstance(step.body, Repeat) and step.body.span_V() > largest_V:
            largest_V, where = step.body.span_V(), (*location, step.kind)
    return largest_V, where
