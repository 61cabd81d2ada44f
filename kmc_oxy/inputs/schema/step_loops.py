"""Loops of steps over values: `for` in a `repeat`, written out before the steps are checked.

``for: {voltage: [3 V, 4 V], duration: [1 ms, 5 ms]}`` repeats the steps for every combination, the
last name running fastest; with ``zip: true`` for the first values together, then the second ones,
and so on. In the steps ``$voltage`` stands for the value.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

from kmc_oxy.inputs.schema.fields import Location

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
    for name, items in values.items():
        if not (isinstance(name, str) and name.isidentifier()):
            raise ValueError(f"must have names of letters, digits and _ in `for` (got {name!r})")
        if not isinstance(items, list) or not items:
            raise ValueError(f"must have a list of values for {name} in `for`")
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

    Parameters
    ----------
    location : Location
    data : object
        The data of the input as written, with their loops.
    """
    return tuple(_as_written(location, data))


def _as_written(location: Location, data: Any) -> Iterator[str | int]:
    in_loop = False
    for part in location:
        if in_loop and isinstance(part, int) and isinstance(data, list) and data:
            part %= len(data)
        in_loop = part == "steps" and isinstance(data, dict) and "for" in data
        if isinstance(data, dict):
            data = data.get(part)
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            data = data[part]
        yield part
