"""The scan: its grid of points, the input at one point, and checks of every point."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import ValidationError

from kmc_oxy.inputs.messages import Complaint, Fault, InputError, complaints
from kmc_oxy.inputs.schema import Input, Location, dotted
from kmc_oxy.inputs.validation import _overlap, check

# Every point of a grid up to this size is checked before anything runs.
CHECKED_POINTS = 2000
# What belongs to the whole run, or gives the datasets of all points their common shape.
_NOT_SCANNED = (
    "name", "scan", "ensemble", "output", "engine.check_tolerance", "crossbar.rows",
    "crossbar.columns", "device.lattice.organic_layers", "device.lattice.oxide_layers",
)  # fmt: skip


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


def n_points(model: Input) -> int:
    """Number of points of the scan's grid; 1 without a scan."""
    return math.prod(len(values) for values in model.scan.values())


def point_values(model: Input, point: int) -> dict[str, Any]:
    """Scanned keys and their values, as written, at grid point `point`; the last key is fastest.

    Raises
    ------
    IndexError
        If there is no such point.
    """
    if not 0 <= point < n_points(model):
        raise IndexError(f"point {point} of a scan of {n_points(model)} points")
    values: dict[str, Any] = {}
    for key in reversed(model.scan):
        point, index = divmod(point, len(model.scan[key]))
        values[key] = model.scan[key][index]
    return {key: values[key] for key in model.scan}


def at_point(model: Input, point: int) -> Input:
    """The input of one point of the scan: its values in place, and no scan left.

    Raises
    ------
    IndexError
        If there is no such point.
    InputError
        If the values of this point do not go together.
    """
    values = point_values(model, point)
    if not values:
        return model
    data = model.model_dump(mode="json")
    faults = []
    try:
        for key, value in values.items():
            put(data, tuple(key.split(".")), value)
        data["scan"] = {}
        return Input.model_validate(data)
    except NoSuchPlace as error:
        faults.append((dotted(error.location), error.message))
    except ValidationError as error:
        faults += [(dotted(c.location), c.message) for c in complaints(error)]
    place = f"scan, point {point}"
    raise InputError([Fault(0, 0, 0, place, key, message) for key, message in faults])
