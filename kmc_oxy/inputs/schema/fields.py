"""Building blocks of the models of the input: typed fields with units, the strict base model."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, GetCoreSchemaHandler, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError, core_schema

from kmc_oxy.units import HELD_IN, parse_quantity

Location = tuple[str | int, ...]

#: Smallest and largest magnitude of a quantity other than zero, in the unit of the code. Beyond
#: them the model describes nothing, and powers and exponentials would leave the range of floats.
MAGNITUDES: dict[str, tuple[float, float]] = {
    "duration": (1e-15, 1e10),
    "length": (1e-30, 1e-3),
    "inverse length": (1.0, 1e13),
    "voltage": (1e-9, 1e3),
    "frequency": (1e-9, 1e16),
    "energy": (1e-9, 100.0),
    "temperature": (1e-3, 1e4),
    "magnetic field": (1e-9, 1e3),
    "conductance": (1e-30, 1e6),
    "current": (1e-30, 1e9),
    "resistance": (1e-9, 1e15),
    "thermal resistance": (1e-30, 1e18),
    "fraction": (1e-12, 1.0),
    "number": (1e-30, 1e6),
}


@dataclass(frozen=True)
class Dimension:
    """Marks a float field as a quantity of this dimension (a key of `units.HELD_IN`)."""

    name: str

    def parse(self, value: object) -> float:
        number = parse_quantity(value, self.name)
        least, most = MAGNITUDES[self.name]
        if abs(number) > most and self.name != "fraction":
            raise ValueError(f"must not exceed {self._text(most)} in magnitude")
        if 0 < abs(number) < least:
            raise ValueError(f"must be 0, or at least {self._text(least)} in magnitude")
        return number

    def _text(self, value: float) -> str:
        return f"{value:g} {HELD_IN[self.name]}".rstrip()

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_before_validator_function(self.parse, handler(source))


def _whole(value: object) -> int:
    # 1e3 is a float in YAML, but a valid count.
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("must be a whole number")
    if abs(value) >= 2**63:
        raise ValueError("must be a whole number below 2^63")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


Duration = Annotated[float, Dimension("duration")]
Length = Annotated[float, Dimension("length")]
InverseLength = Annotated[float, Dimension("inverse length")]
Voltage = Annotated[float, Dimension("voltage")]
Frequency = Annotated[float, Dimension("frequency")]
Energy = Annotated[float, Dimension("energy")]
Temperature = Annotated[float, Dimension("temperature")]
MagneticField = Annotated[float, Dimension("magnetic field")]
Conductance = Annotated[float, Dimension("conductance")]
Resistance = Annotated[float, Dimension("resistance")]
ThermalResistance = Annotated[float, Dimension("thermal resistance")]
Fraction = Annotated[float, Dimension("fraction")]
Number = Annotated[float, Dimension("number")]
Whole = Annotated[int, BeforeValidator(_whole)]
Flag = Annotated[bool, BeforeValidator(_flag)]


class Section(BaseModel):
    """A mapping of the input; it refuses unknown keys and cannot be changed once checked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _empty_sections_are_defaults(cls, data: Any) -> Any:
        # `lattice:` with every line below it commented out is null in YAML.
        if not isinstance(data, dict):
            return data
        return {
            key: {} if value is None and _is_plain_section(cls.model_fields.get(key)) else value
            for key, value in data.items()
        }


def _is_plain_section(field: FieldInfo | None) -> bool:
    annotation = field.annotation if field else None
    return isinstance(annotation, type) and issubclass(annotation, Section)


class Inconsistency(NamedTuple):
    """A fault between keys whose values are valid one by one."""

    location: Location  #: from the top of the input, or from the model that found it
    message: str
    uses: tuple[Location, ...]  #: sections, from the top, whose values the check used


def raise_inconsistencies(found: list[Inconsistency]) -> None:
    """Raise one pydantic error that carries all inconsistencies found.

    Parameters
    ----------
    found : list of Inconsistency

    Raises
    ------
    PydanticCustomError
        Of type ``"inconsistencies"``, with `found` as its context; not if `found` is empty.
    """
    if found:
        text = "; ".join(f"{dotted(fault.location)} {fault.message}" for fault in found)
        text = text.replace("{", "{{").replace("}", "}}")
        raise PydanticCustomError("inconsistencies", text, {"inconsistencies": found})


def dotted(location: Location) -> str:
    """A location as the user writes a key: ``protocol.1.train.voltage``."""
    return ".".join(str(part) for part in location)


def parts(annotation: Any) -> Iterator[Any]:
    """The types and markers that an annotation is composed of, the innermost last."""
    yield annotation
    if typing.get_origin(annotation) in (
        Annotated,
        typing.Union,
        types.UnionType,
        tuple,
        list,
        dict,
    ):
        for argument in typing.get_args(annotation):
            yield from parts(argument)


def sections_in(annotation: Any) -> list[type[Section]]:
    """Models that a value of this annotation may be, or may be a list of."""
    return [p for p in parts(annotation) if isinstance(p, type) and issubclass(p, Section)]


def dimension_of(field: FieldInfo) -> str | None:
    """Name of the dimension of a quantity field, whether bare, optional or in a list."""
    for part in (*field.metadata, *parts(field.annotation)):
        if isinstance(part, Dimension):
            return part.name
    return None
