"""Loops of steps over values: `for` in a `repeat`, written out before the steps are checked.

``for: {voltage: [3 V, 4 V], duration: [1 ms, 5 ms]}`` repeats the steps for every combination, the
last name running fastest; with ``zip: true`` for the first values together, then the second ones,
and so on. In the steps ``$voltage`` stands for the value.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

from kmc_oxy.inputs.schema.fields import Inconsistency, Location, raise_inconsistencies

#: More would take long to check, and belongs into `count`.
MAX_WRITTEN_STEPS = 30_000


def written_out(repeat: Any) -> Any:
    """The data of a `repeat` with its loop written out; unchanged without a loop.

    Parameters
    ----------
    repeat : object
        Data of the section, unchecked.

    Raises
    ------
    ValueError
        If the loop is none; the message is for the user.
    pydantic_core.PydanticCustomError
        If names of the loop are wrong, with a fault for each at its place.
    """
    if not isinstance(repeat, dict) or "for" not in repeat:
        if isinstance(repeat, dict) and "zip" in repeat:
            raise ValueError("must have a `for` if it has a `zip`")
        return repeat
    values, steps = repeat["for"], repeat.get("steps")
    zipped = repeat.get("zip", False)
    if not isinstance(zipped, bool):
        raise ValueError("must have true or false for `zip`")
    if not isinstance(values, dict) or not values:
        raise ValueError("must have a mapping of names to lists of values for `for`")
    raise_inconsistencies(
        [
            Inconsistency(("for", name), message, ())
            for name, items in values.items()
            if (message := _fault_of_name(name, items, steps))
        ]
    )
    lengths = {len(items) for items in values.values()}
    if zipped and len(lengths) > 1:
        raise ValueError("must have equally many values for all names with `zip: true`")
    rest = {key: value for key, value in repeat.items() if key not in ("for", "zip")}
    if not isinstance(steps, list):
        return rest
    rounds = lengths.pop() if zipped else math.prod(len(items) for items in values.values())
    if rounds * max(1, len(steps)) > MAX_WRITTEN_STEPS:
        raise ValueError(
            f"must have at most {MAX_WRITTEN_STEPS:,} steps with its loop written out; it has "
            f"{rounds * len(steps):,}"
        )
    combine = zip if zipped else itertools.product
    expanded = [
        _filled(step, dict(zip(values, chosen, strict=True)))
        for chosen in combine(*values.values())
        for step in steps
    ]
    return {"count": 1, **rest, "steps": expanded}


def _fault_of_name(name: str, items: Any, steps: Any) -> str:
    """What is wrong with a name of a loop and its values; empty if nothing is."""
    if not name.isidentifier():
        return "must be a name of letters, digits and _"
    if not isinstance(items, list) or not items:
        return "must have a list of values"
    if isinstance(steps, list) and _filled(steps, {name: None}) == steps:
        return f"is used by no step: write ${name} where its value belongs, or remove it"
    return ""


def _filled(data: Any, values: dict[str, Any]) -> Any:
    """A copy of data in which ``$name`` is replaced by the value of the name."""
    if isinstance(data, dict):
        return {key: _filled(value, values) for key, value in data.items()}
    if isinstance(data, list):
        return [_filled(value, values) for value in data]
    if isinstance(data, str) and data[:1] == "$" and data[1:] in values:
        return values[data[1:]]
    return data


def as_written(location: Location, data: Any) -> Location:
    """Where the part of an input at a location of the expanded data was written.

    A value that stands for the name of a loop was written in its `for`.

    Parameters
    ----------
    location : Location
    data : object
        The data of the input as written, with their loops.
    """
    whole, written = data, list[str | int]()
    places: dict[str, Location] = {}
    for part in location:
        if written[-1:] == ["steps"] and isinstance(part, int) and isinstance(data, list) and data:
            number, own = divmod(part, len(data))
            loop = _places_of_round(whole, written[:-1], number)
            # Names of an outer loop were filled in first.
            part, places = own if loop else part, {**loop, **places}
        data = _at(data, [part])
        written.append(part)
        while isinstance(data, str) and data[:1] == "$" and data[1:] in places:
            written = list(places.pop(data[1:]))
            data = _at(whole, written)
    return tuple(written)


def _at(data: Any, location: Sequence[str | int]) -> Any:
    """The part of data at a location; None if there is none."""
    for part in location:
        if isinstance(data, dict):
            data = data.get(part)
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            data = data[part]
        else:
            return None
    return data


def _places_of_round(data: Any, repeat: Sequence[str | int], number: int) -> dict[str, Location]:
    """Where the values of the names in one round of a `repeat` were written; empty of no loop."""
    found: dict[str, Location] = {}
    loop = _at(data, repeat)
    for name, items in reversed(loop.get("for", {}).items()):
        index = number
        if not loop.get("zip"):
            number, index = divmod(number, len(items))
        found[name] = (*repeat, "for", name, index)
    return found
