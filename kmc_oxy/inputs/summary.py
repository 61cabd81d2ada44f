"""Summary of an input: a sentence, and the keys with their defaults."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel

from kmc_oxy.inputs.scan import n_points
from kmc_oxy.inputs.schema import (
    MAX_LISTED_STEPS,
    Input,
    axes,
    dimension_of,
    dotted,
    scanned_keys,
)
from kmc_oxy.units import format_quantity

#: Of a scan with more values than this, only the first two and the last are given.
MAX_LISTED_VALUES = 6
#: Keys that are not compared with a default.
KEYS_WITHOUT_DEFAULT = ("name", "protocol", "scan")
#: The default of a key that has none.
NO_DEFAULT = "—"


class Key(NamedTuple):
    """One key of an input, its value and its default as a user would write them."""

    key: str
    value: str
    default: str

    @property
    def differs(self) -> bool:
        """Whether the value is not the default."""
        return self.value != self.default


def keys(inputs: Input) -> list[Key]:
    """Keys of an input with their values and defaults.

    Parameters
    ----------
    inputs : Input

    Returns
    -------
    list of Key
        All but `KEYS_WITHOUT_DEFAULT`, in the order of the schema.
    """
    values = dict(_leaves(inputs, ()))
    # A protocol is required, but its keys are not compared.
    shortest = Input.model_validate({"protocol": [{"read": {}}]})
    if inputs.device.lattice.organic_layers is not None:
        shortest = shortest.with_layers()
    defaults = dict(_leaves(shortest, ()))
    return [Key(key, value, defaults.get(key, NO_DEFAULT)) for key, value in values.items()]


def _leaves(model: BaseModel, prefix: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if not prefix and name in KEYS_WITHOUT_DEFAULT:
            continue
        if isinstance(value, BaseModel):
            yield from _leaves(value, (*prefix, name))
        else:
            yield dotted((*prefix, name)), value_text(value, dimension_of(field))


def value_text(value: Any, dimension: str | None) -> str:
    """A value as a user would write it.

    Parameters
    ----------
    value : object
        Of a key of the input.
    dimension : str or None
        As in `units.HELD_IN`; None for a pure number.

    Returns
    -------
    str
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(value_text(item, dimension) for item in value) + "]"
    if isinstance(value, float):
        return format_quantity(float(f"{value:.6g}"), dimension or "number")
    return str(value)


def sentence(inputs: Input) -> str:
    """Describe an input in one sentence: devices, temperature, array, protocol and scan.

    Parameters
    ----------
    inputs : Input

    Returns
    -------
    str
    """
    members, array = inputs.ensemble.members, inputs.crossbar
    sites, oxygens = inputs.device.lattice.n_sites, inputs.device.n_oxygens
    array_of = f"array of {array.rows} × {array.columns} " if array.rows * array.columns > 1 else ""
    junction = f"{array_of}LSMO/Gaq3/AlOx/Co cross-point"
    if members == 1:
        subject = f"one {junction}" + ("s" if array_of else "")
    else:
        plural = junction.replace("array", "arrays", 1)
        subject = f"{members:,} {plural}s that differ in their disorder"
    cell = f"{'each cross-point' if array_of else 'each' if members > 1 else ''}"
    size = f"{cell} a lattice of {sites:,} sites with {oxygens:,} oxygens"
    scanned = "device.temperature" in scanned_keys(inputs.scan)
    where = "" if scanned else f"At {inputs.device.temperature:g} K, "
    text = f"{where}{subject} ({size.strip()}) went through {_protocol(inputs)}{_scan(inputs)}."
    return text[0].upper() + text[1:]


def _protocol(inputs: Input) -> str:
    protocol = inputs.protocol
    if len(protocol) <= MAX_LISTED_STEPS:
        return "; then ".join(step.body.text() for step in protocol)
    counts = Counter(step.kind.replace("_", " ") for step in protocol)
    counted = ", ".join(f"{count} × {kind}" for kind, count in counts.items())
    return f"a protocol of {len(protocol)} steps ({counted})"


def _scan(inputs: Input) -> str:
    if not inputs.scan:
        return ""
    listed = " and each ".join(
        " with ".join(f"{key} of {_listed(values)}" for key, values in axis.items())
        for axis in axes(inputs.scan)
    )
    return f", for each {listed} ({n_points(inputs)} points of a scan)"


def _listed(values: Sequence[Any]) -> str:
    """Values of a scanned key as they were written; only their number if any is not a scalar."""
    if any(isinstance(value, (dict, list, tuple)) for value in values):
        return f"{len(values)} variants"
    texts = [value_text(value, None) for value in values]
    if len(texts) > MAX_LISTED_VALUES:
        texts = [*texts[:2], "...", texts[-1]]
    return ", ".join(texts)
