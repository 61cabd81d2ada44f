"""What all steps of a protocol have in common, and the rest after a pulse."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from kmc_oxy.inputs.schema.fields import Duration, Section, Voltage
from kmc_oxy.units import format_quantity

READ_VOLTAGE_V = -0.1  #: 0.1 V on the input line, the neuron line at virtual ground (paper)


class StepBody(Section):
    """What one step does: base of all steps."""

    def size(self) -> float:
        """Rough number of pulses, stairs and readings; limits the size of a protocol."""
        return 1.0

    def listed(self) -> float:
        """Like `size`, but what the schedule repeats in a loop counts once."""
        return 1.0

    @abstractmethod
    def voltages_V(self) -> Iterator[float]:
        """Voltages that the step applies to a cell, V, without the array's own reading voltage."""

    @abstractmethod
    def text(self) -> str:
        """The step as a noun phrase, for reports: ``"a map of all cells"``."""

    def span_V(self) -> float:
        """Largest difference between the potentials of two lines, V."""
        return max((abs(voltage_V) for voltage_V in self.voltages_V()), default=0.0)

    def reads(self) -> bool:
        """Whether the step has a reading."""
        return True

    @model_serializer(mode="wrap")
    def _without_absent_condition(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # So that a protocol without conditions is resolved to the same text with every version.
        data: dict[str, Any] = handler(self)
        if data.get("until", "") is None:
            del data["until"]
        return data

    def array_faults(self, rows: int, columns: int) -> Iterator[tuple[str, str]]:
        """Keys whose values do not fit an array of this size, each with a message."""
        yield from ()


class Rest(Section):
    """A voltage held between a pulse and its reading."""

    voltage: Voltage = Field(default=READ_VOLTAGE_V, description="voltage held")
    duration: Duration = Field(default=50e-3, gt=0, description="for how long")

    def text(self) -> str:
        """The rest in parentheses, to follow its pulse."""
        return f" (then {time_text(self.duration)} at {volts_text(self.voltage)})"


def rest_field() -> Any:
    return Field(
        default_factory=Rest, description="held after each pulse, before it is read; null: no rest"
    )


def volts_text(voltage_V: float) -> str:
    """A voltage with its sign, for texts of steps."""
    return f"{voltage_V:+g} V".replace("-", "\N{MINUS SIGN}") if voltage_V else "0 V"


def time_text(duration_s: float) -> str:
    """A duration to four digits, for texts of steps."""
    return format_quantity(float(f"{duration_s:.4g}"), "duration")
