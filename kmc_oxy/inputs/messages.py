"""Faults of an input: errors of the schema as messages that name the key, and `InputError`."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from kmc_oxy.inputs.schema import (
    MIXTURE,
    SHARES,
    Input,
    Location,
    Section,
    dimension_of,
    distribution_name,
    dotted,
    parts,
    sections_in,
)
from kmc_oxy.units import HELD_IN

_SHOWN_FAULTS = 100


class Fault(NamedTuple):
    """One fault of an input with its place; faults sort by their place."""

    rank: int  #: -1 in an included file, 0 in the file itself, 1 + position of a ``--set``
    line: int
    column: int
    place: str  #: ``file:line:column``, or ``--set a.b``
    key: str  #: dotted; empty for a fault of the text itself
    message: str

    def __str__(self) -> str:
        text = ": ".join(part for part in (self.place, self.key, self.message) if part)
        # Keys and values come from the user: escape what would control a terminal.
        return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


class InputError(Exception):
    """An input that cannot be used.

    Parameters
    ----------
    faults : sequence of Fault

    Attributes
    ----------
    faults : list of Fault
        Without duplicates, in the order of the text. ``str`` of the error has a line for each.
    """

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = sorted(set(faults))
        super().__init__(self.faults)

    def __str__(self) -> str:
        lines = [str(fault) for fault in self.faults[:_SHOWN_FAULTS]]
        if len(self.faults) > _SHOWN_FAULTS:
            lines.append(f"... and {len(self.faults) - _SHOWN_FAULTS} more")
        return "\n".join(lines)


class DataFault(NamedTuple):
    """One fault of the data, without the place where that part of the data was written."""

    location: Location
    message: str
    of_key: bool = False  #: whether the key is wrong, not its value
    shows_value: bool = False  #: whether the message is to quote the value
    uses: tuple[Location, ...] = ()  #: sections whose values a check between sections used
    is_doubt: bool = False  #: whether the value is allowed, but unlikely to be meant


REQUIRED = "is required"


def data_faults(error: ValidationError, schema: type[Section] = Input) -> list[DataFault]:
    """Faults of an input from the error of pydantic.

    A check between sections may give several faults. A misspelt required key is one fault, not
    an unknown key and a missing one.

    Parameters
    ----------
    error : pydantic.ValidationError
        Raised by the validation of a `schema`.
    schema : type of Section
        The model of the whole file.

    Returns
    -------
    list of DataFault
    """
    found: list[DataFault] = []
    misspelt: set[Location] = set()
    for item in error.errors(include_url=False):
        location, field = _in_data(item["loc"], schema)
        context = item.get("ctx", {})
        if item["type"] == "inconsistencies":
            found += [
                DataFault((*location, *p.location), p.message, uses=p.uses)
                for p in context["inconsistencies"]
            ]
        elif item["type"] == "extra_forbidden":
            known = similar_key(item["loc"], schema)
            question = f"; did you mean {known}?" if known else ""
            found.append(DataFault(location, f"unknown key{question}", of_key=True))
            misspelt.add((*location[:-1], known))
        elif item["type"] == "missing":
            found.append(DataFault(location, REQUIRED))
        elif item["type"] == "union_tag_invalid":
            message = f"must be one of {context['expected_tags']}"
            found.append(DataFault((*location, "distribution"), message, shows_value=True))
        elif item["type"] == "too_short" and len(item["input"]) >= context["min_length"]:
            # pydantic counts only valid items; an invalid one has a fault of its own.
            continue
        else:
            # A check of several keys of a mapping quotes their values itself.
            shown = item["type"] != "value_error" or not isinstance(item["input"], dict)
            message = _message(item, context, field) + _hint_of_scan(item["input"], location, field)
            found.append(DataFault(location, message, shows_value=shown))
    return [c for c in found if c.message != REQUIRED or c.location not in misspelt]


def _hint_of_scan(value: Any, location: Location, field: FieldInfo | None) -> str:
    """What to write instead of a list of values for a key with one value."""
    one_value = field is not None and not any(
        get_origin(part) in (tuple, dict) or (isinstance(part, type) and issubclass(part, Section))
        for part in parts(field.annotation)
    )
    if not isinstance(value, list) or not one_value:
        return ""
    return f"; a list of values to run one after the other goes under scan, as {dotted(location)}"


def _message(item: Any, context: dict[str, Any], field: FieldInfo | None) -> str:
    error_type = item["type"]
    if error_type == "value_error":
        return str(context["error"])
    bounds = {
        "greater_than": ("gt", "greater than"),
        "greater_than_equal": ("ge", "at least"),
        "less_than": ("lt", "less than"),
        "less_than_equal": ("le", "at most"),
    }
    if error_type in bounds:
        name, relation = bounds[error_type]
        dimension = dimension_of(field) if field else None
        unit = HELD_IN[dimension] if dimension else ""
        return f"must be {relation} {context[name]:g} {unit}".rstrip()
    if error_type == "literal_error":
        return f"must be one of {context['expected'].replace(' or ', ', ')}"
    if error_type in ("model_type", "dict_type", "model_attributes_type"):
        return "must be a mapping of keys to values"
    if error_type in ("tuple_type", "list_type"):
        return "must be a list"
    if error_type == "too_short":
        return f"must have at least {context['min_length']} item(s)"
    if error_type == "too_long":
        return f"must have at most {context['max_length']} item(s)"
    if error_type == "string_too_long":
        return f"must be at most {context['max_length']} characters long"
    if error_type == "string_type":
        return "must be text"
    return f"is wrong: {item['msg'][:1].lower()}{item['msg'][1:]}"


def _walk(
    location: Location, schema: type[Section]
) -> Iterator[tuple[str | int, bool, FieldInfo | None, list[Any]]]:
    """Each part of a pydantic location: whether it is in the data, its field, its models."""
    models: list[type[Section]] = [schema]
    field: FieldInfo | None = None
    for part in location:
        if part == MIXTURE and any(model in SHARES.values() for model in models):
            # pydantic inserts this in front of the place in a list of shares.
            models = list(SHARES.values())
            yield part, False, field, models
            continue
        chosen = [m for m in models if distribution_name(m) == part] if len(models) > 1 else []
        # Without a list of shares around it, a distribution has no share.
        chosen = [m for m in chosen if m not in SHARES.values()] or chosen
        if chosen:
            # pydantic inserts the name of the distribution into the location of a barrier.
            models = chosen
            yield part, False, field, models
            continue
        if isinstance(part, str):
            owner = next((m for m in models if part in m.model_fields), None)
            field = owner.model_fields[part] if owner else None
            models = sections_in(field.annotation) if field else []
        yield part, True, field, models


def _in_data(location: Location, schema: type[Section]) -> tuple[Location, FieldInfo | None]:
    """The location without the parts that pydantic inserts, and the field at its end."""
    walked = list(_walk(location, schema))
    return tuple(w[0] for w in walked if w[1]), walked[-1][2] if walked else None


def similar_key(location: Location, schema: type[Section] = Input) -> str:
    """The most similar key beside a location, or the same key elsewhere; empty if none.

    Parameters
    ----------
    location : Location
        Of the unknown key.
    schema : type of Section
        The model of the whole file.
    """
    *_, last = location
    walked = list(_walk(location[:-1], schema))
    models = walked[-1][3] if walked else [schema]
    return _similar_key_of(str(last), tuple(models), schema)


@lru_cache(maxsize=1000)
def _similar_key_of(key: str, models: tuple[type[Section], ...], schema: type[Section]) -> str:
    siblings = sorted({name for model in models for name in model.model_fields} - {key})
    close = difflib.get_close_matches(key, siblings, n=1)
    return close[0] if close else _unique_keys(schema).get(key, "")


@lru_cache(maxsize=4)
def _unique_keys(schema: type[Section]) -> dict[str, str]:
    """Name -> dotted key, for the names outside the protocol that only one key has."""
    found: dict[str, list[str]] = {}

    def visit(model: type[Section], prefix: Location, outer: tuple[type[Section], ...]) -> None:
        for name, field in model.model_fields.items():
            found.setdefault(name, []).append(dotted((*prefix, name)))
            if name != "protocol":
                for inner in sections_in(field.annotation):
                    # A section may contain sections of its own type.
                    if inner not in outer:
                        visit(inner, (*prefix, name), (*outer, inner))

    visit(schema, (), (schema,))
    return {name: keys[0] for name, keys in found.items() if len(keys) == 1}
