"""A JSON Schema of the files of this package as users write them, made from their models.

Editors complete keys and mark faults with it. It accepts what the models accept before quantities
are read: numbers or texts with units, lists of shares, loops with `for`, ranges and links of a
scan. What depends on several keys is left to `kmc-oxy validate`.
"""

from __future__ import annotations

import inspect
import re
import typing
from typing import Any

from annotated_types import MaxLen, MinLen

from kmc_oxy.inputs.schema import (
    ZIP,
    Dimension,
    Input,
    Repeat,
    Rest,
    Section,
    Step,
    StepBody,
    parts,
    preset_names,
    sections_in,
)
from kmc_oxy.inputs.schema.barrier_distributions import SHARES
from kmc_oxy.inputs.schema.scan_axes import MAX_POINTS, SCALES
from kmc_oxy.inputs.schema.stop_conditions import CONDITION_PATTERN
from kmc_oxy.units import HELD_IN, units_of

if typing.TYPE_CHECKING:
    from pydantic.fields import FieldInfo

Node = dict[str, Any]

_NUMBER = r"[-+\u2212]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+\u2212]?[0-9]+)?"
#: A value of a loop, `$name`, in place of any value of a step.
_LOOP_NAME: Node = {"type": "string", "pattern": r"^\$[A-Za-z_][A-Za-z0-9_]*$"}
_BOUNDS = {
    "gt": "exclusiveMinimum", "ge": "minimum", "lt": "exclusiveMaximum", "le": "maximum",
}  # fmt: skip
#: Other spellings of units, as `units` reads them.
_SPELLINGS = {"u": "[u\u00b5\u03bc]", "ohm": "(ohm|\u03a9|\u2126)", "deg": "(deg|\u00b0)"}


def json_schema(model: type[Section] = Input) -> Node:
    """The JSON Schema of a file.

    Parameters
    ----------
    model : type of Section
        The model of the whole file.

    Returns
    -------
    dict
        Of draft 2020-12.
    """
    definitions: dict[str, Node] = {}
    top = _section(model, definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"kmc-oxy {'input' if model is Input else 'fit'}",
        **top,
        "type": "object",
        "$defs": definitions,
    }


def _section(model: type[Section], definitions: dict[str, Node]) -> Node:
    """A mapping with the keys of a model; models inside it become definitions."""
    in_step = issubclass(model, (StepBody, Rest))
    keys: dict[str, Node] = {}
    for name, field in model.model_fields.items():
        value = _scan() if (model, name) == (Input, "scan") else _value(name, field, definitions)
        if in_step:
            value = {"anyOf": [value, _LOOP_NAME]}
        keys[name] = {**value, "description": field.description or ""}
    found: Node = {
        "type": ["object", "null"],
        "description": inspect.cleandoc(model.__doc__ or ""),
        "properties": keys,
        "required": [name for name, field in model.model_fields.items() if field.is_required()],
        "additionalProperties": False,
    }
    if model is Step:
        found |= {"type": "object", "minProperties": 1, "maxProperties": 1}
    if model is Repeat:
        loop = {"type": "object", "minProperties": 1, "additionalProperties": _list({})}
        keys |= {"for": loop, "zip": {"type": "boolean"}}
        found["required"] = ["steps"]
        found["anyOf"] = [{"required": ["count"]}, {"required": ["for"]}]
    return found


def _reference(model: type[Section], definitions: dict[str, Node]) -> Node:
    if model.__name__ not in definitions:
        definitions[model.__name__] = {}  # known before its own keys: steps contain steps
        definitions[model.__name__] = _section(model, definitions)
    return {"$ref": f"#/$defs/{model.__name__}"}


def _value(name: str, field: FieldInfo, definitions: dict[str, Node]) -> Node:
    """What a key may have, by the type of its field."""
    found = list(parts(field.annotation))
    bounds = {
        key: getattr(rule, attribute)
        for rule in field.metadata
        for attribute, key in _BOUNDS.items()
        if getattr(rule, attribute, None) is not None
    }
    models = sections_in(field.annotation)
    dimensions = [part.name for part in (*field.metadata, *found) if isinstance(part, Dimension)]
    literal = next((part for part in found if typing.get_origin(part) is typing.Literal), None)
    is_list = any(typing.get_origin(part) is tuple for part in found)
    value: Node
    if len(models) > 1:
        whole = [_reference(m, definitions) for m in models if m not in SHARES.values()]
        shares = [_reference(m, definitions) for m in SHARES.values()]
        return {"anyOf": [*whole, _list({"anyOf": shares}), {"type": "null"}]}
    if name == "preset":
        value = {"enum": list(preset_names())}
    elif models:
        value = _reference(models[0], definitions)
    elif literal is not None:
        value = {"enum": list(typing.get_args(literal))}
    elif len(dimensions) > 1:
        pair = [_quantity(dimension, {}) for dimension in dimensions]
        value = {"type": "array", "prefixItems": pair, "minItems": 2, "maxItems": 2}
    elif dimensions:
        value = _quantity(dimensions[0], {} if is_list else bounds)
    elif name == "until":
        value = {"type": "string", "pattern": CONDITION_PATTERN}
    elif any(typing.get_origin(part) is dict for part in found):
        value = {}
    elif bool in found:
        value = {"type": "boolean"}
    elif int in found:
        value = {"type": "integer", **bounds}
    elif str in found:
        value = {"type": "string"}
    else:
        value = {}
    if any(typing.get_origin(part) is dict for part in found):
        value = {"type": "object", "additionalProperties": value}
    elif is_list:
        value = _list(value, field)
    is_optional = type(None) in found and value
    return {"anyOf": [value, {"type": "null"}]} if is_optional else value


def _list(items: Node, field: FieldInfo | None = None) -> Node:
    limits: Node = {"minItems": 1} if field is None else {}
    for rule in field.metadata if field is not None else ():
        if isinstance(rule, MinLen):
            limits["minItems"] = rule.min_length
        if isinstance(rule, MaxLen):
            limits["maxItems"] = rule.max_length
    return {"type": "array", "items": items, **limits}


def _quantity(dimension: str, bounds: Node) -> Node:
    """A number within its bounds, or a number with a unit as text."""
    if dimension == "number":
        return {"type": "number", **bounds}
    units = "|".join(map(_unit, units_of(dimension)))
    optional = "" if HELD_IN[dimension] else "?"
    pattern = rf"^\s*{_NUMBER}\s*({units}){optional}\s*$"
    return {"anyOf": [{"type": "number", **bounds}, {"type": "string", "pattern": pattern}]}


def _unit(name: str) -> str:
    """A unit as a regular expression that takes all of its spellings."""
    text = re.escape(name)
    for plain, all_spellings in _SPELLINGS.items():
        if name == plain or name.startswith(plain) or name.endswith(plain):
            text = text.replace(plain, all_spellings, 1)
    return text.replace("/", "1?/", 1) if name.startswith("/") else text


def _scan() -> Node:
    """Lists or ranges of values by dotted key, and the same below `zip`."""
    end = {"type": ["number", "string"]}
    limits = {"from": end, "to": end, "scale": {"enum": list(SCALES)}}
    a_range = {
        "type": "object",
        "properties": {
            **limits,
            "steps": {"type": "integer", "minimum": 2, "maximum": MAX_POINTS},
        },
        "required": ["from", "to", "steps"],
        "additionalProperties": False,
    }
    values = {"anyOf": [_list({}), a_range]}
    linked = {"type": "object", "minProperties": 1, "additionalProperties": values}
    return {"type": ["object", "null"], "properties": {ZIP: linked}, "additionalProperties": values}
