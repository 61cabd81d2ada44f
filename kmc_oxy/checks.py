"""Checks of an input's data: against the schema, and against it again at every point of the scan.

Data are what YAML gives, mappings, lists and scalars; where they were written is not known here.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import ValidationError

from kmc_oxy.complaints import Complaint, complaints
from kmc_oxy.schema import Input
from kmc_oxy.schema_fields import Location, dotted

# Every point of a grid up to this size is checked before anything runs.
CHECKED_POINTS = 2000
# What belongs to the whole run, or gives the datasets of all points their common shape.
_NOT_SCANNED = (
    "name", "scan", "ensemble", "output", "engine.check_tolerance", "crossbar.rows",
    "crossbar.columns", "device.lattice.organic_layers", "device.lattice.oxide_layers",
)  # fmt: skip


def check(data: dict[str, Any]) -> tuple[Input | None, list[Complaint]]:
    """The model, or everything wrong with `data`."""
    try:
        return Input.model_validate(data), []
    except ValidationError as error:
        found = complaints(error)
    # Checks between sections run only when every section is in order. To hear of both kinds of
    # faults at once, put defaults where faults are and keep what does not depend on those.
    repaired, replaced = _repair(data, [c.location for c in found])
    try:
        Input.model_validate(repaired)
    except ValidationError as error:
        found += [
            c
            for c in complaints(error)
            if c.uses and c not in found
            if not any(_overlap(use, section) for use in c.uses for section in replaced)
        ]
    return None, found


def _overlap(a: Location, b: Location) -> bool:
    return all(x == y for x, y in zip(a, b, strict=False))


def _repair(
    data: dict[str, Any], locations: list[Location]
) -> tuple[dict[str, Any], list[Location]]:
    """A copy with faulty sections left out and faulty steps exchanged, and which these are."""
    repaired = {key: dict(v) if isinstance(v, dict) else v for key, v in data.items()}
    replaced: list[Location] = []
    for location in locations:
        if location[:1] == ("protocol",):
            steps = repaired.get("protocol")
            if len(location) > 1 and isinstance(steps, list):
                index = int(location[1])
                repaired["protocol"] = [*steps[:index], {"read": {}}, *steps[index + 1 :]]
            else:
                repaired["protocol"] = [{"read": {}}]
            replaced.append(location[:2])
        elif location[:1] == ("device",) and len(location) > 1:
            if isinstance(repaired.get("device"), dict):
                repaired["device"].pop(location[1], None)
            replaced.append(location[:2])
        elif location:
            repaired.pop(str(location[0]), None)
            replaced.append(location[:1])
    return repaired, replaced


def check_scan(model: Input | None, data: dict[str, Any]) -> Iterator[Complaint]:
    """What the values of the scan do to an input that is in order, or nearly."""
    scan = data.get("scan")
    if not isinstance(scan, dict):
        return
    grid: dict[str, list[Any]] = {}
    base = data if model is None else model.model_dump(mode="json")
    base = {key: value for key, value in base.items() if key != "scan"}
    known = set() if model is not None else {(c.location, c.message) for c in check(base)[1]}
    for key, values in scan.items():
        if not isinstance(values, list) or not values:
            continue
        path = tuple(key.split("."))
        common = next((k for k in _NOT_SCANNED if _overlap(path, tuple(k.split(".")))), None)
        if common:
            message = f"cannot be scanned: {common} is common to all points"
            yield Complaint(("scan", key), message, of_key=True)
            continue
        rival = next((k for k in grid if _overlap(path, tuple(k.split(".")))), None)
        if rival:
            message = f"cannot be scanned together with {rival}: one lies inside the other"
            yield Complaint(("scan", key), message, of_key=True)
            continue
        try:
            put(_copy(base), path, values[0])
        except NoSuchPlace as error:
            message = f"{dotted(error.location)} {error.message}"
            yield Complaint(("scan", key), message, of_key=True)
            continue
        grid[key] = values
    seen = set(known)
    for choice in _choices(grid):
        changed = _copy(base)
        for key, index in choice.items():
            put(changed, tuple(key.split(".")), grid[key][index])
        for found in check(changed)[1]:
            if (found.location, found.message) in seen:
                continue
            seen.add((found.location, found.message))
            yield _blame(found, choice)


def _choices(grid: dict[str, list[Any]]) -> Iterator[dict[str, int]]:
    """Points to check: all of a small grid; of a large one, those on its axes."""
    if not grid:
        return
    if math.prod(len(values) for values in grid.values()) <= CHECKED_POINTS:
        for indices in itertools.product(*(range(len(values)) for values in grid.values())):
            yield dict(zip(grid, indices, strict=True))
        return
    for key, values in grid.items():
        for index in range(len(values)):
            yield {**dict.fromkeys(grid, 0), key: index}


def _blame(found: Complaint, choice: dict[str, int]) -> Complaint:
    """The complaint, moved to the scanned value that caused it."""
    location = tuple(str(part) for part in found.location)
    uses = [tuple(str(part) for part in use) for use in found.uses]

    def closeness(key: str) -> int:
        path = tuple(key.split("."))
        if _overlap(path, location):
            return 2
        return int(any(_overlap(path, use) for use in uses))

    key = max(choice, key=closeness)
    if found.of_key:
        return Complaint(("scan", key), f"{dotted(found.location)}: {found.message}", of_key=True)
    message = f"{dotted(found.location)} {found.message}"
    return Complaint(("scan", key, choice[key]), message, shows_value=True)


class NoSuchPlace(Exception):
    """A dotted key that leads nowhere."""

    def __init__(self, location: Location, message: str) -> None:
        self.location, self.message = location, message
        super().__init__(message)


def _copy(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _copy(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_copy(value) for value in data]
    return data


def put(data: dict[str, Any], path: Sequence[str], value: Any) -> Location:
    """Set the value at `path` in place, making sections on the way; give its location."""
    if path[0] == "scan" and len(path) > 1:
        path = ("scan", ".".join(path[1:]))
    container: Any = data
    location: Location = ()
    for part, following in zip(path, [*path[1:], None], strict=True):
        if isinstance(container, list):
            if not re.fullmatch("0|[1-9][0-9]{0,8}", part):
                raise NoSuchPlace(location, f"is a list: {part[:30]!r} is not a place in it")
            index = int(part)
            if index >= len(container):
                raise NoSuchPlace(location, f"has {len(container)} items, counted from 0")
            location = (*location, index)
            if following is None:
                container[index] = value
            container = container[index]
        elif isinstance(container, dict):
            location = (*location, part)
            if following is None:
                container[part] = value
            elif container.get(part) is None:
                container[part] = {}
            container = container[part]
        else:
            raise NoSuchPlace(location, "holds one value, not a mapping")
    return location
