"""The `protocol` section of the input: steps, each a mapping with one key that names it.

V = V(LSMO) - V(Co). Positive pulses potentiate, negative ones depress.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, TypeAlias, cast

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from kmc_oxy.inputs.schema.fields import (
    Conductance,
    Duration,
    Flag,
    Fraction,
    MagneticField,
    Section,
    Voltage,
    Whole,
)

READ_VOLTAGE_V = -0.1  #: 0.1 V on the input line, the neuron line at virtual ground (paper)
MAX_COUNT = 10_000_000

Cell = Annotated[tuple[Whole, Whole], Field(description="[row, column], both counted from 0")]


class Rest(Section):
    """A voltage held between a pulse and its reading."""

    voltage: Voltage = Field(default=READ_VOLTAGE_V, description="voltage held")
    duration: Duration = Field(default=50e-3, gt=0, description="for how long")


def _rest() -> Any:
    return Field(
        default_factory=Rest, description="held after each pulse, before it is read; null: no rest"
    )


class Pulse(Section):
    """One pulse on the cross-point."""

    voltage: Voltage = Field(description="voltage of the pulse")
    duration: Duration = Field(gt=0, description="length of the pulse")
    rest: Rest | None = _rest()
    read: Flag = Field(default=True, description="whether a reading follows")


class Train(Section):
    """Identical pulses on the cross-point, each followed by its rest and its reading."""

    voltage: Voltage = Field(description="voltage of the pulses")
    duration: Duration = Field(gt=0, description="length of each pulse")
    count: Whole = Field(ge=1, le=MAX_COUNT, description="number of pulses")
    rest: Rest | None = _rest()
    read: Flag = Field(default=True, description="whether a reading follows each pulse")


class Read(Section):
    """One reading after a time at the reading voltage."""

    voltage: Voltage = Field(default=READ_VOLTAGE_V, description="voltage held")
    duration: Duration = Field(default=50e-3, gt=0, description="for how long before the reading")


class Relax(Section):
    """A voltage held for long, with readings evenly spaced in the logarithm of time."""

    voltage: Voltage = Field(default=READ_VOLTAGE_V, description="voltage held")
    duration: Duration = Field(gt=0, description="for how long; the last reading ends it")
    first: Duration = Field(
        default=1e-3, gt=0, description="time of the first reading, before the last"
    )
    points_per_decade: Whole = Field(
        default=10, ge=1, le=10_000, description="readings a decade of time"
    )

    @model_validator(mode="after")
    def _ordered(self) -> Relax:
        if self.first >= self.duration:
            raise ValueError(
                f"must have its first reading ({self.first:g} s) before its duration "
                f"({self.duration:g} s) is over"
            )
        return self


class Sweep(Section):
    """A staircase of voltages from 0 through turning points, read on every stair."""

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
    def _one_way(self) -> Sweep:
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


class FieldSweep(Section):
    """A magnetic sweep +amplitude, -amplitude, +amplitude, read on every stair."""

    amplitude: MagneticField = Field(default=0.1, gt=0, description="largest field")
    step: MagneticField = Field(default=1e-3, gt=0, description="largest height of a stair")
    voltage: Voltage = Field(default=READ_VOLTAGE_V, description="voltage held before the sweep")
    duration: Duration = Field(
        default=50e-3,
        gt=0,
        description="for how long before the sweep; the oxygens stay where they are during it",
    )


class Program(Section):
    """Pulses on one cell of the array by `crossbar.scheme`; with `target`, write and verify.

    The cell is read before the first pulse and after each. With a target there is room for
    `max_pulses`; what is not needed passes at the voltage of `rest`, so that all members keep
    one clock.
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
        description="voltage of the pulses that move away from an overshot target; null: -voltage",
    )

    @model_validator(mode="after")
    def _signs(self) -> Program:
        if (
            self.target is not None
            and self.voltage * (-self.voltage if self.reverse is None else self.reverse) >= 0
        ):
            raise ValueError("must have voltage and reverse of opposite signs to reach a target")
        return self


class Map(Section):
    """Every cell of the array read once, at `crossbar.read_voltage`."""

    duration: Duration = Field(
        default=50e-3,
        gt=0,
        description="for how long every cell has the reading voltage before it is read",
    )


class VectorMatrix(Section):
    """One product of a voltage on every column with the matrix of conductances."""

    inputs: tuple[Voltage, ...] = Field(
        min_length=1, max_length=100_000, description="voltages of the columns (input lines)"
    )
    duration: Duration = Field(default=50e-3, gt=0, description="for how long they are applied")


class Repeat(Section):
    """Steps done over and over."""

    count: Whole = Field(ge=1, le=MAX_COUNT, description="number of times")
    steps: tuple[Step, ...] = Field(min_length=1, description="the steps, in order")


Body: TypeAlias = (
    Pulse | Train | Read | Relax | Sweep | FieldSweep | Program | Map | VectorMatrix | Repeat
)


class Step(Section):
    """One step of the protocol: a mapping with exactly one of these keys."""

    pulse: Pulse | None = Field(default=None, description="one pulse on the cross-point")
    train: Train | None = Field(default=None, description="identical pulses on the cross-point")
    read: Read | None = Field(default=None, description="one reading")
    relax: Relax | None = Field(default=None, description="readings evenly spaced in log time")
    sweep: Sweep | None = Field(default=None, description="a staircase of voltages: I-V loop")
    field_sweep: FieldSweep | None = Field(default=None, description="a magnetic loop: G(H)")
    program: Program | None = Field(default=None, description="pulses on one cell of the array")
    map: Map | None = Field(default=None, description="every cell of the array read once")
    vector_matrix: VectorMatrix | None = Field(
        default=None, description="one vector-matrix product"
    )
    repeat: Repeat | None = Field(default=None, description="steps done over and over")

    @model_validator(mode="before")
    @classmethod
    def _one_key(cls, data: Any) -> Any:
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
    def _one_key_out(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {self.kind: handler(self)[self.kind]}

    @property
    def kind(self) -> str:
        """Name of the step: ``"pulse"``, ``"train"``, ..."""
        return next(name for name in type(self).model_fields if getattr(self, name) is not None)

    @property
    def body(self) -> Body:
        """What the step does: the model under its name."""
        return cast(Body, getattr(self, self.kind))


Repeat.model_rebuild()


def size_of(steps: tuple[Step, ...]) -> float:
    """Rough number of pulses, stairs and readings of `steps`, repeats included."""
    total = 0.0
    for step in steps:
        body = step.body
        if isinstance(body, Repeat):
            total += body.count * size_of(body.steps)
        elif isinstance(body, Train):
            total += body.count
        elif isinstance(body, Program):
            total += body.count if body.target is None else body.max_pulses
        elif isinstance(body, Relax):
            total += body.points_per_decade * 20
        elif isinstance(body, Sweep):
            stops = (0.0, *body.turning_voltages)
            total += sum(abs(b - a) for a, b in pairwise(stops)) / body.step
        elif isinstance(body, FieldSweep):
            total += 4 * body.amplitude / body.step
        total += 1
    return total


def largest_voltage_V(steps: tuple[Step, ...]) -> float:
    """The largest voltage, of either sign, that `steps` put on a cell."""
    largest = 0.0
    for step in steps:
        body = step.body
        if isinstance(body, Repeat):
            found: tuple[float | None, ...] = (largest_voltage_V(body.steps),)
        elif isinstance(body, Sweep):
            found = body.turning_voltages
        elif isinstance(body, VectorMatrix):
            found = body.inputs
        elif isinstance(body, Map):
            found = ()
        else:
            rest = getattr(body, "rest", None)
            found = (body.voltage, getattr(body, "reverse", None), rest and rest.voltage)
        largest = max([largest, *(abs(volts) for volts in found if volts is not None)])
    return largest
