"""The step `waveform`: voltages against time, as an arbitrary waveform generator applies them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from itertools import pairwise
from typing import Annotated, Any, cast

from pydantic import Field, ValidationInfo, model_validator

from kmc_oxy.inputs.schema.fields import (
    Duration,
    Inconsistency,
    Voltage,
    raise_inconsistencies,
)
from kmc_oxy.inputs.schema.step_base import StepBody, time_text
from kmc_oxy.units import format_quantity

MAX_POINTS = 200_000
MAX_READINGS = 20_000
#: A point of a wave form costs this share of a pulse that is written out (no step, no reading).
COST_OF_POINT = 0.1
#: Key of the reader of files in pydantic's context; only the input that is loaded has one.
READ_WAVE = "read_wave"
_MAX_FAULTS = 20

Point = Annotated[tuple[Duration, Voltage], Field(description="[time, voltage]")]
#: Reads a CSV file from the names of file, time column and voltage column: times (s), voltages (V).
ReadWave = Callable[[str, str | None, str | None], list[tuple[float, float]]]


class Waveform(StepBody):
    """Voltages against time, each held until the time of the next one.

    This is what an arbitrary waveform generator does between its samples. Times are counted from
    the first point. The last point is the end of the step: its voltage is not applied. Voltages
    and times are those of `points` or of the CSV file `file`, which has a header. A unit stands
    in parentheses in the name of a column, `t (ms)`; without one the times are in s, the voltages
    in V. The output contains the points that were read.

    A reading follows at the end, every `read_every`, or at each of `read_at`.
    """

    points: tuple[Point, ...] | None = Field(
        default=None, min_length=2, description="[time, voltage] of every point; or else `file`"
    )
    file: str | None = Field(
        default=None,
        min_length=1,
        description="CSV file with the points, relative to the folder of the input",
    )
    time: str | None = Field(
        default=None, min_length=1, description="column of times; null: the one named `time`"
    )
    voltage: str | None = Field(
        default=None, min_length=1, description="column of voltages; null: the one named `voltage`"
    )
    read_every: Duration | None = Field(
        default=None, gt=0, description="time from reading to reading; null: one at the end"
    )
    read_at: tuple[Duration, ...] | None = Field(
        default=None,
        min_length=1,
        description="times of the readings since the step began, rising, in place of `read_every`",
    )

    @model_validator(mode="before")
    @classmethod
    def _read_file(cls, data: Any, info: ValidationInfo) -> Any:
        """The data with the points of the file; a resolved input contains them already."""
        if not isinstance(data, dict):
            return data
        has_points, file = data.get("points") is not None, data.get("file")
        read_wave: ReadWave | None = (info.context or {}).get(READ_WAVE)
        columns = [data.get("time"), data.get("voltage")]
        if file is None:
            if not has_points:
                raise ValueError("must have either points or file")
            if columns != [None, None]:
                raise ValueError("must have a file if it names columns")
            return data
        if has_points:
            if read_wave is not None:
                raise ValueError("must have either points or file")
            return data
        if not all(name is None or isinstance(name, str) for name in (file, *columns)):
            return {**data, "points": [[0, 0], [1, 0]]}  # the names are reported as faults
        if read_wave is None:
            raise ValueError("must have points here: a file is read only where an input names it")
        return {**data, "points": read_wave(file, *columns)}

    @model_validator(mode="after")
    def _in_order(self) -> Waveform:
        times_s = self._times_s
        found = [
            Inconsistency(
                ("points", number, 0),
                f"must rise from point to point ({after:g} s after {before:g} s)",
                (),
            )
            for number, (before, after) in enumerate(pairwise(times_s), 1)
            if after <= before
        ][:_MAX_FAULTS]
        if len(times_s) > MAX_POINTS:
            message = f"has {len(times_s):,} points; at most {MAX_POINTS:,}"
            found.append(Inconsistency(("points",), message, ()))
        if not found:
            found += self._reading_faults()
        raise_inconsistencies(found)
        return self

    def _reading_faults(self) -> Iterator[Inconsistency]:
        if self.read_every is not None and self.read_at is not None:
            yield Inconsistency(("read_at",), "must be left out beside read_every", ())
        elif self.read_every is not None:
            if self.read_every > self.duration_s:
                message = f"must be at most the duration of the wave form, {self.duration_s:g} s"
                yield Inconsistency(("read_every",), message, ())
            elif self.duration_s / self.read_every > MAX_READINGS:
                message = f"must give at most {MAX_READINGS:,} readings"
                yield Inconsistency(("read_every",), message, ())
        for number, time_s in enumerate(self.read_at or ()):
            before_s = self.read_at[number - 1] if self.read_at and number else 0.0
            if not before_s < time_s <= self.duration_s:
                message = (
                    f"must rise from reading to reading, above 0, up to the {self.duration_s:g} s "
                    "of the wave form"
                )
                yield Inconsistency(("read_at", number), message, ())

    @property
    def _times_s(self) -> list[float]:
        return [time_s for time_s, _ in cast("tuple[tuple[float, float], ...]", self.points)]

    @property
    def voltages(self) -> list[float]:
        """Voltages that are held, V; one fewer than points."""
        points = cast("tuple[tuple[float, float], ...]", self.points)
        return [voltage_V for _, voltage_V in points[:-1]]

    @cached_property
    def ends_s(self) -> list[float]:
        """Time since the step began at which each voltage ends, s."""
        first_s, *others_s = self._times_s
        return [time_s - first_s for time_s in others_s]

    @property
    def duration_s(self) -> float:
        """Length of the step, s."""
        return self.ends_s[-1]

    @property
    def reading_times_s(self) -> list[float]:
        """Times of the readings since the step began, s."""
        if self.read_at is not None:
            return list(self.read_at)
        if self.read_every is None:
            return [self.duration_s]
        # A quotient that is a whole number up to rounding must not lose its last reading.
        count = int(self.duration_s / self.read_every * (1 + 1e-12))
        return [min(number * self.read_every, self.duration_s) for number in range(1, count + 1)]

    def size(self) -> float:
        return len(self.voltages) + len(self.reading_times_s)

    def listed(self) -> float:
        return COST_OF_POINT * len(self.voltages) + len(self.reading_times_s)

    def voltages_V(self) -> Iterator[float]:
        yield from set(self.voltages)

    def text(self) -> str:
        lowest, highest = (format_quantity(f(self.voltages), "voltage") for f in (min, max))
        return (
            f"a wave form of {len(self.voltages):,} voltages from {lowest} to {highest} in "
            f"{time_text(self.duration_s)}"
        )
