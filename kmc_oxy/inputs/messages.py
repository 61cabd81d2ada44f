"""What the schema refuses, in the words of this code: key, what is wrong, nearest known key."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from kmc_oxy.inputs.schema import Input, Location, Section, dimension_of, dotted, sections_in
from kmc_oxy.units import HELD_IN


class Complaint(NamedTuple):
    """One fault of the data, wherever that was written."""

    location: Location
    message: str
    of_key: bool = False  #: whether the key is at fault, not its value
    shows_value: bool = False  #: whether the value given explains the message
    uses: tuple[Location, ...] = ()  #: sections that a check between sections looked at


REQUIRED = "is required"


def complaints(error: ValidationError) -> list[Complaint]:
    """Every fault that pydantic found in an input, checks between sections taken apart.

    A required key that stands there misspelt is one fault, not two.
    """
    found: list[Complaint] = []
    meant: set[Location] = set()
    for item in error.errors(include_url=False):
        location, field = _in_data(item["loc"])
        context = item.get("ctx", {})
        if item["type"] == "problems":
            found += [
                Complaint((*location, *p.location), p.message, uses=p.uses)
                for p in context["problems"]
            ]
        elif item["type"] == "extra_forbidden":
            nearest = _nearest(item["loc"])
            found.append(Complaint(location, f"unknown key{nearest}", of_key=True))
            meant.add((*location[:-1], nearest.removeprefix("; did you mean ").removesuffix("?")))
        elif item["type"] == "missing":
            found.append(Complaint(location, REQUIRED))
        elif item["type"] == "union_tag_invalid":
            message = f"must be one of {context['expected_tags']}"
            found.append(Complaint((*location, "distribution"), message, shows_value=True))
        elif item["type"] == "too_short" and len(item["input"]) >= context["min_length"]:
            # pydantic counts only the items that are in order; the others have their own fault.
            continue
        else:
            # A check among the keys of a mapping names the values itself.
            shown = item["type"] != "value_error" or not isinstance(item["input"], dict)
            found.append(Complaint(location, _message(item, context, field), shows_value=shown))
    return [c for c in found if c.message != REQUIRED or c.location not in meant]


def _message(item: Any, context: dict[str, Any], field: FieldInfo | None) -> str:
    kind = item["type"]
    if kind == "value_error":
        return str(context["error"])
    bounds = {
        "greater_than": ("gt", "greater than"),
        "greater_than_equal": ("ge", "at least"),
        "less_than": ("lt", "less than"),
        "less_than_equal": ("le", "at most"),
    }
    if kind in bounds:
        name, words = bounds[kind]
        dimension = dimension_of(field) if field else None
        unit = HELD_IN[dimension] if dimension else ""
        return f"must be {words} {context[name]:g} {unit}".rstrip()
    if kind == "literal_error":
        return f"must be one of {context['expected'].replace(' or ', ', ')}"
    if kind in ("model_type", "dict_type", "model_attributes_type"):
        return "must be a mapping of keys to values"
    if kind in ("tuple_type", "list_type"):
        return "must be a list"
    if kind == "too_short":
        return f"must have at least {context['min_length']} item(s)"
    if kind == "too_long":
        return f"must have at most {context['max_length']} item(s)"
    if kind == "string_too_long":
        return f"must be at most {context['max_length']} characters long"
    if kind == "string_type":
        return "must be text"
    return f"is wrong: {item['msg'][:1].lower()}{item['msg'][1:]}"


def _walk(location: Location) -> Iterator[tuple[str | int, bool, FieldInfo | None, list[Any]]]:
    """Parts of a pydantic location, whether each is in the data, its field and its models."""
    models: list[type[Section]] = [Input]
    field: FieldInfo | None = None
    for part in location:
        shape = [m for m in models if _distribution(m) == part] if len(models) > 1 else []
        if shape:
            # pydantic puts the name of the chosen shape of a barrier into the location.
            models = shape
            yield part, False, field, models
            continue
        if isinstance(part, str):
            owner = next((m for m in models if part in m.model_fields), None)
            field = owner.model_fields[part] if owner else None
            models = sections_in(field.annotation) if field else []
        yield part, True, field, models


def _distribution(model: type[Section]) -> str | None:
    field = model.model_fields.get("distribution")
    return field.default if field else None


def _in_data(location: Location) -> tuple[Location, FieldInfo | None]:
    """The location without what pydantic adds to it, and the field it leads to."""
    walked = list(_walk(location))
    return tuple(w[0] for w in walked if w[1]), walked[-1][2] if walked else None


def _nearest(location: Location) -> str:
    """Where the user may have meant the key at the end of `location` to be."""
    *_, last = location
    walked = list(_walk(location[:-1]))
    models = walked[-1][3] if walked else [Input]
    siblings = {name for model in models for name in model.model_fields}
    close = difflib.get_close_matches(str(last), siblings, n=1)
    if close:
        return f"; did you mean {close[0]}?"
    elsewhere = _all_keys().get(str(last))
    return f"; did you mean {elsewhere}?" if elsewhere else ""


@lru_cache(maxsize=1)
def _all_keys() -> dict[str, str]:
    """Last part -> dotted key, for parts that name one key only, outside the protocol."""
    found: dict[str, list[str]] = {}

    def visit(model: type[Section], prefix: Location) -> None:
        for name, field in model.model_fields.items():
            found.setdefault(name, []).append(dotted((*prefix, name)))
            if name != "protocol":
                for inner in sections_in(field.annotation):
                    visit(inner, (*prefix, name))

    visit(Input, ())
    return {name: keys[0] for name, keys in found.items() if len(keys) == 1}


_SHOWN_FAULTS = 100


class Fault(NamedTuple):
    """One thing wrong with an input; sorts by its place."""

    rank: int  #: 0 in the file, 1 + position of a ``--set``
    line: int
    column: int
    place: str  #: ``file:line:column``, or ``--set a.b``
    key: str  #: dotted; empty where the text is not yet understood
    message: str

    def __str__(self) -> str:
        text = ": ".join(part for part in (self.place, self.key, self.message) if part)
        # Keys and values are the user's: no line break or escape of theirs reaches a terminal.
        return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


class InputError(Exception):
    """An input that cannot be used.

    Attributes
    ----------
    faults : list of Fault
        Everything found, in the order of the text. ``str`` gives one line each.
    """

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = sorted(set(faults))
        super().__init__(self.faults)

    def __str__(self) -> str:
        lines = [str(fault) for fault in self.faults[:_SHOWN_FAULTS]]
        if len(self.faults) > _SHOWN_FAULTS:
            lines.append(f"... and {len(self.faults) - _SHOWN_FAULTS} more")
        return "\n".join(lines)
