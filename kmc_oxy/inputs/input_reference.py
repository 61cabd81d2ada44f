"""The reference page of the input file, generated from the schema."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Iterator
from typing import Any

from annotated_types import MinLen

from kmc_oxy.inputs.schema import (
    DISTRIBUTIONS,
    MAGNITUDES,
    BarrierDistribution,
    Barriers,
    Dimension,
    Input,
    Rest,
    Section,
    Step,
    dimension_of,
    distribution_name,
    dotted,
    parts,
    sections_in,
)
from kmc_oxy.units import HELD_IN, UNITS, format_quantity

if typing.TYPE_CHECKING:
    from pydantic.fields import FieldInfo


_INTRODUCTION = """\
# The input file

An input file is one YAML mapping. Only `protocol` is required. Unknown keys, duplicate keys, tabs,
anchors, merge keys and tags are errors; `kmc-oxy validate` reports every error with its line and
column.

A quantity is a number in the unit given below, or text with any unit of its dimension, such as
`50 ms`, `0.835 nm` or `-2.8 V`. Any key can be given on the command line as well:
`--set device.temperature="100 K"`, `--set protocol.3.train.count=20` (steps are counted from 0).
*Free* numbers are parameters of the model that were fitted, not measured.

This page is generated from the schema by `kmc_oxy.inputs.input_reference.reference_markdown`.
"""
_HEADER = "| key | type | unit | default | range | meaning |\n|---|---|---|---|---|---|"


def reference_markdown() -> str:
    """Write the reference of every key: type, unit, default, range and meaning.

    Returns
    -------
    str
        A page in markdown: docs/input.md.
    """
    blocks = [_INTRODUCTION]
    for title, model, after in _chapters():
        body = _steps() if model is Step else _table(model)
        blocks.append(f"## {title}\n\n{inspect.cleandoc(model.__doc__ or '')}\n\n{body}{after}\n")
    blocks.append(_units())
    return "\n".join(blocks)


def _chapters() -> Iterator[tuple[str, type[Section], str]]:
    """Heading, model and closing remark of each table, in the order of the page."""
    yield "Top level", Input, _REMARK_ON_SCAN
    yield from _sections(Input, ())
    for model in DISTRIBUTIONS:
        yield f"A barrier: `{distribution_name(model)}`", model, ""
    yield "A step of `protocol`", Step, ""
    for name, field in Step.model_fields.items():
        remark = {"repeat": _REMARK_ON_LOOPS, "train": _REMARK_ON_UNTIL}.get(name, "")
        yield f"`{name}`", sections_in(field.annotation)[0], remark
    yield "`rest`", Rest, "\n\nA key left out of `rest` has its default."


_REMARK_ON_LOOPS = """

With `for` the steps are written out for every combination of values, the last name running fastest;
with `zip: true` for the first values together, then the second ones, and so on:

```text
- repeat:
    for: {voltage: [+3 V, +4 V], duration: [1 ms, 5 ms]}
    steps:
      - pulse: {voltage: -4 V, duration: 1 s}
      - train: {voltage: $voltage, duration: $duration, count: 50}
```

Every name must be used by a step. With `count` all rounds are repeated that often, one pass after
the other.
`--set` counts the steps as they are written, `scan` and the output as written out."""

_REMARK_ON_SCAN = """

A range in `scan` stands for the list of its values, `steps` in number, both ends included; `scale`
is `linear` or `log`. Keys below `zip` are one axis of the grid: their first values belong together,
then the second ones, and so on. This scan has 4 × 3 points:

```text
scan:
  device.temperature: {from: 70 K, to: 100 K, steps: 4}
  zip:
    protocol.1.train.voltage: [+2 V, +3 V, +4 V]
    protocol.1.train.duration: {from: 100 ms, to: 1 ms, steps: 3, scale: log}
```

With `include` a file that several inputs share gives the device. Keys of the input come before
those of the file, and those of the file before those of its preset. The output contains the text of
the input and, as `resolved`, every value; faults of the file have its lines."""

_REMARK_ON_UNTIL = """

With `until` the conductance of the cell is compared after each pulse and its rest, and each member
of the ensemble stops at its own pulse. The readings left out have missing values: NaN, or -1 for
whole numbers. The next step follows at once; the stored `time` of later readings is that of a
member that never stops, `leg_time` is right for all. Trains and repeats compare the one cell of a
cross-point; in an array only `program` may have a condition, on the cell that it programs, and
either this or a `target`. A `repeat` compares at the end of each repetition. The estimate of
`validate` counts all pulses."""

_REMARK_ON_BARRIERS = """

A bound left out of a `flat` barrier is that of the default of its class.

A class may also be a list of shares, each with its own distribution. One entry may leave out its
`share` and gets the rest:

```text
interface:
  - {share: 5 %, low: 0 eV, high: 0.6 eV}
  - {low: 0.14 eV, high: 0.74 eV}
```

The key `share` of an entry: share of the bonds; null: the rest.
Dotted keys count the entries from 0: `device.barriers.interface.0.share`. A bound left out there
is that of a `flat` barrier from 0 to 1 eV. With `distribution`, every entry keeps its own mean and
width."""


def _sections(
    model: type[Section], prefix: tuple[str, ...]
) -> Iterator[tuple[str, type[Section], str]]:
    for name, field in model.model_fields.items():
        inner = sections_in(field.annotation)
        if len(inner) != 1 or inner[0] is Step:
            continue
        remark = ""
        if inner[0] is Barriers:
            remark = _REMARK_ON_BARRIERS
        path = (*prefix, name)
        yield f"`{dotted(path)}`", inner[0], remark
        yield from _sections(inner[0], path)


def _steps() -> str:
    return "\n".join(f"- `{name}`: {f.description}" for name, f in Step.model_fields.items())


def _table(model: type[Section]) -> str:
    rows = [_HEADER]
    for name, field in model.model_fields.items():
        dimension = dimension_of(field)
        # A list of pairs: its dimensions are those of the pair.
        pair = [part.name for part in parts(field.annotation) if isinstance(part, Dimension)]
        cells = (
            f"`{name}`",
            f"list ([{', '.join(pair)}]) or null" if len(pair) > 1 else _type(field, dimension),
            ", ".join(HELD_IN[each] for each in pair) if pair else _unit(dimension),
            _default(field, dimension),
            _range(field, dimension),
            (field.description or "").replace("|", "\\|"),
        )
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)


def _unit(dimension: str | None) -> str:
    return HELD_IN[dimension] if dimension else ""


def _type(field: FieldInfo, dimension: str | None) -> str:
    found = list(parts(field.annotation))
    null = " or null" if type(None) in found else ""
    literal = next((p for p in found if typing.get_origin(p) is typing.Literal), None)
    inner = sections_in(field.annotation)
    if literal is not None:
        kind = ", ".join(f"`{value}`" for value in typing.get_args(literal))
    elif len(inner) > 1:
        return "barrier, or list of shares"
    elif inner:
        kind = "a step" if inner[0] is Step else "mapping"
    elif dimension:
        kind = dimension
    elif any(typing.get_origin(part) is dict for part in found):
        return "mapping of keys to lists or ranges"
    else:
        names = {bool: "true or false", int: "whole number", str: "text"}
        kind = next(names[p] for p in found if p in names)
    if any(typing.get_origin(part) is tuple for part in found):
        kind = f"list ({kind})"
    return kind + null


def _default(field: FieldInfo, dimension: str | None) -> str:
    if field.is_required():
        return "**required**"
    value: Any = field.get_default(call_default_factory=True)
    if isinstance(value, Rest):
        voltage, duration = value.voltage, value.duration
        return f"{format_quantity(voltage, 'voltage')}, {format_quantity(duration, 'duration')}"
    if isinstance(value, BarrierDistribution):
        return f"`{distribution_name(type(value))}`, {value.text()}"
    if isinstance(value, Section):
        return "as below"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if dimension:
        return format_quantity(value, dimension)
    return f"`{value}`" if value else "empty"


def _range(field: FieldInfo, dimension: str | None) -> str:
    bounds = []
    unit = _unit(dimension)
    for rule in field.metadata:
        for name, sign in (("gt", ">"), ("ge", "≥"), ("lt", "<"), ("le", "≤")):
            bound = getattr(rule, name, None)
            if bound is not None:
                number = f"{bound:g}" if bound < 1e6 else f"{bound:.0e}"
                bounds.append(f"{sign} {number} {unit}".rstrip())
        if isinstance(rule, MinLen) and str not in parts(field.annotation):
            bounds.append(f"at least {rule.min_length} item")
    return ", ".join(bounds)


def _units() -> str:
    rows = [
        "## Units",
        "",
        "A value other than zero has at least the smallest and at most the largest magnitude.",
        "",
        "| dimension | a bare number is in | accepted units | smallest | largest |",
        "|---|---|---|---|---|",
    ]
    for dimension, held in HELD_IN.items():
        names = ", ".join(f"`{n}`" for n, (of, _) in UNITS.items() if of == dimension)
        least, most = MAGNITUDES[dimension]
        rows.append(f"| {dimension} | {held} | {names} | {least:g} | {most:g} |")
    rows.append("")
    rows.append(
        "`µ` may be written for `u`, `Ω` for `ohm`, `°C` for `degC`, `1/nm` for `/nm`. 1 Oe is the "
        "0.1 mT of that field in air."
    )
    return "\n".join(rows) + "\n"
