"""The scan: its grid of points, the input at one point, and the check of every point."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from kmc_oxy.inputs.messages import DataFault, Fault, InputError, data_faults
from kmc_oxy.inputs.schema import (
    ZIP,
    Axis,
    Input,
    Location,
    Section,
    Step,
    axes,
    dotted,
    read_scan,
    scanned_keys,
)
from kmc_oxy.inputs.schema.scan_axes import MAX_POINTS
from kmc_oxy.inputs.validation import check, overlap

#: Largest number of values of all points together; every point is checked before the run, which
#: takes some seconds at this limit and that of points.
MAX_CHECKED_VALUES = 2_000_000
#: The check of a step takes as long as that of so many values.
VALUES_OF_A_STEP = 10
#: Of an input with faults, only the axes of a grid with more points are checked.
MAX_POINTS_BESIDE_FAULTS = 200
# Keys of the whole run, and those that no dataset of all points together can hold.
_NOT_SCANNED = (
    "name", "include", "scan", "ensemble", "output", "engine.check_tolerance", "crossbar.rows",
    "crossbar.columns", "device.preset",
)  # fmt: skip


def check_scan(model: Input | None, data: dict[str, Any]) -> Iterator[DataFault]:
    """Find the faults of the scanned keys and of their values.

    Parameters
    ----------
    model : Input or None
        The checked input; None if it has faults.
    data : dict
        Its data.

    Yields
    ------
    DataFault
        Faults that the input without its scan does not have.
    """
    scan = data.get("scan")
    if not isinstance(scan, dict):
        return
    base = data if model is None else model.model_dump(mode="json")
    base = {key: value for key, value in base.items() if key != "scan"}
    linked = scan.get(ZIP)
    places: dict[str, tuple[str, ...]] = {key: ("scan", key) for key in scan}
    places |= {key: ("scan", ZIP, key) for key in linked} if isinstance(linked, dict) else {}
    grid: list[Axis] = []
    for axis in axes(read_scan(scan)[0]):
        sound: Axis = {}
        for key, values in axis.items():
            others = [*sound, *(other for earlier in grid for other in earlier)]
            message = _fault_of_key(key, values[0], others, base)
            if message is None:
                sound[key] = values
            else:
                yield DataFault(places[key], message, of_key=True)
        grid += [sound] if sound else []
    all_values = {key: values for axis in grid for key, values in axis.items()}
    sections = {key.split(".")[0] for key in all_values}
    too_large = _fault_of_size(grid, {name: base.get(name) for name in {*sections, "protocol"}})
    if too_large is not None:
        yield DataFault(("scan",), too_large, of_key=True)
    if too_large is not None or not grid:
        return
    seen = set()
    if model is None:
        seen = {(fault.location, fault.message) for fault in check(base)[1]}
    else:
        base = _opened(model, [tuple(key.split(".")) for key in all_values])
        del base["scan"]
    for point in _points_to_check(grid, all_points=model is not None):
        scanned = {key: all_values[key][index] for key, index in point.items()}
        for fault in _faults(with_values(base, scanned)):
            if (fault.location, fault.message) in seen:
                continue
            seen.add((fault.location, fault.message))
            key, found = _at_scanned_value(fault, point)
            place = places[key]
            if fault.of_key:
                yield found._replace(location=place)
            elif _is_range(scan, place):
                text = f"{found.message} (got {scanned[key]!r} of the range)"
                yield found._replace(location=place, message=text, shows_value=False)
            else:
                yield found._replace(location=(*place, point[key]))


def _is_range(scan: dict[str, Any], place: tuple[str, ...]) -> bool:
    """Whether the values at a place of the scan were written as a range."""
    _, *inner, key = place
    values: Any = scan[inner[0]] if inner else scan
    return isinstance(values[key], dict)


def _opened(value: Any, paths: list[tuple[str, ...]]) -> Any:
    """A checked value as data, in which sections and steps without a scanned key stay models."""
    if not paths or () in paths:
        return value
    if isinstance(value, Step):
        items: Any = {value.kind: value.body}.items()
    elif isinstance(value, Section):
        items = ((name, getattr(value, name)) for name in type(value).model_fields)
    elif isinstance(value, tuple):
        items = enumerate(value)
    else:
        return value
    opened = {
        name: _opened(inner, [path[1:] for path in paths if path[0] == str(name)])
        for name, inner in items
    }
    return list(opened.values()) if isinstance(value, tuple) else opened


def _length(axis: Axis) -> int:
    """Number of values of each key of an axis."""
    return len(next(iter(axis.values())))


def _fault_of_size(grid: list[Axis], sections: dict[str, Any]) -> str | None:
    """Why a scan is too large, found without expanding its grid; None if it is not."""
    points = math.prod(map(_length, grid))
    if points > MAX_POINTS:
        return (
            f"has {points:,} points; at most {MAX_POINTS:,} (ensemble.members repeats a device; "
            "several inputs can share a large scan)"
        )
    values = _count(sections)
    values += sum(max(map(_count, given)) for axis in grid for given in axis.values())
    if points * values > MAX_CHECKED_VALUES:
        return (
            f"has {points:,} points with up to {values:,} values in the sections "
            f"{', '.join(sorted(sections))} (a step counts as {VALUES_OF_A_STEP} more); at most "
            f"{MAX_CHECKED_VALUES:,} values of all points together (several inputs can share a "
            "large scan)"
        )
    return None


def _count(data: Any) -> int:
    """Number of scalars of the data, and more for every step."""
    if isinstance(data, dict):
        return sum(map(_count, data.values()))
    if isinstance(data, list):
        return sum(VALUES_OF_A_STEP * isinstance(item, dict) + _count(item) for item in data)
    return 1


def _faults(data: dict[str, Any]) -> Iterator[DataFault]:
    """Faults of an input, or its doubts."""
    model, faults = check(data)
    yield from faults
    if model is not None:
        for location, message in model.doubts():
            yield DataFault(location, message, is_doubt=True)


def _fault_of_key(key: str, value: Any, others: Iterable[str], base: dict[str, Any]) -> str | None:
    """Why a key cannot be scanned, with the keys that are scanned already; None if it can."""
    path = tuple(key.split("."))
    common = next((k for k in _NOT_SCANNED if overlap(path, tuple(k.split(".")))), None)
    if common:
        return f"cannot be scanned: {common} is common to all points"
    if path[-2:-1] == ("waveform",) and path[-1] in ("file", "time", "voltage"):
        return "cannot be scanned: a file is read once (repeat with for takes several files)"
    other = next((k for k in others if overlap(path, tuple(k.split(".")))), None)
    if other:
        return f"cannot be scanned together with {other}: one lies inside the other"
    try:
        set_value(_copy(base), path, value)
    except NoSuchKey as error:
        return f"{dotted(error.location)} {error.message}"
    return None


def _points_to_check(grid: list[Axis], all_points: bool) -> Iterator[dict[str, int]]:
    """Indices of values by key: every point of the grid, or the axes of a large one."""
    if all_points or math.prod(map(_length, grid)) <= MAX_POINTS_BESIDE_FAULTS:
        for indices in itertools.product(*(range(_length(axis)) for axis in grid)):
            yield {key: index for axis, index in zip(grid, indices, strict=True) for key in axis}
        return
    first = {key: 0 for axis in grid for key in axis}
    for axis in grid:
        for index in range(_length(axis)):
            yield {**first, **dict.fromkeys(axis, index)}


def _at_scanned_value(fault: DataFault, point: dict[str, int]) -> tuple[str, DataFault]:
    """The scanned key that caused a fault, and the fault as one of its value."""
    location = tuple(str(part) for part in fault.location)
    uses = [tuple(str(part) for part in use) for use in fault.uses]

    def relevance(key: str) -> int:
        path = tuple(key.split("."))
        if overlap(path, location):
            return 2
        return int(any(overlap(path, use) for use in uses))

    key = max(point, key=relevance)
    if fault.of_key:
        return key, DataFault((), f"{dotted(fault.location)}: {fault.message}", of_key=True)
    message = f"{dotted(fault.location)} {fault.message}"
    return key, DataFault((), message, shows_value=True, is_doubt=fault.is_doubt)


class NoSuchKey(Exception):
    """A dotted key that the data do not have.

    Parameters
    ----------
    location : Location
        The part of the key that exists.
    message : str
        What is wrong with the rest.
    """

    def __init__(self, location: Location, message: str) -> None:
        self.location, self.message = location, message
        super().__init__(message)


def _copy(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _copy(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_copy(value) for value in data]
    return data


def set_value(data: dict[str, Any], path: Sequence[str], value: Any) -> Location:
    """Set a value of the data in place; missing sections on the way are made.

    Parameters
    ----------
    data : dict
    path : sequence of str
        Parts of a dotted key; below ``scan`` and ``scan.zip``, the rest is one key.
    value : object

    Returns
    -------
    Location
        Of the value in the data.

    Raises
    ------
    NoSuchKey
        If the path leads into a scalar, or to no item of a list.
    """
    if path[0] == "scan" and len(path) > 1:
        outer = 2 if path[1] == ZIP and len(path) > 2 else 1
        path = (*path[:outer], ".".join(path[outer:]))
    container: Any = data
    location: Location = ()
    for part, following in zip(path, [*path[1:], None], strict=True):
        if isinstance(container, list):
            if not re.fullmatch("0|[1-9][0-9]{0,8}", part):
                raise NoSuchKey(location, f"is a list: {part[:30]!r} is not a place in it")
            index = int(part)
            if index >= len(container):
                raise NoSuchKey(location, f"has {len(container)} items, counted from 0")
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
            raise NoSuchKey(location, "holds one value, not a mapping")
    return location


def with_values(data: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The data of an input with other values of some keys; only their sections are copied.

    Parameters
    ----------
    data : mapping
    values : mapping of str
        Dotted key -> value.

    Raises
    ------
    NoSuchKey
        As in `set_value`.
    """
    sections = {key.split(".")[0] for key in values}
    changed = {name: _copy(part) if name in sections else part for name, part in data.items()}
    for key, value in values.items():
        set_value(changed, key.split("."), value)
    return changed


def scans_layers(model: Input) -> bool:
    """Whether the number of layers may differ between points."""
    paths = (tuple(key.split(".")) for key in scanned_keys(model.scan))
    return any(overlap(path, ("device", "lattice")) for path in paths)


def n_points(model: Input) -> int:
    """Number of points of the scan's grid.

    Parameters
    ----------
    model : Input

    Returns
    -------
    int
        1 without a scan.
    """
    return math.prod(map(_length, axes(model.scan)))


def point_values(model: Input, point: int) -> dict[str, Any]:
    """Scanned keys and their values at one point of the grid.

    Parameters
    ----------
    model : Input
    point : int
        The last key runs fastest.

    Returns
    -------
    dict
        Dotted key -> value as written in the input.

    Raises
    ------
    IndexError
        If there is no such point.
    """
    if not 0 <= point < n_points(model):
        raise IndexError(f"point {point} of a scan of {n_points(model)} points")
    values: dict[str, Any] = {}
    for axis in reversed(axes(model.scan)):
        point, index = divmod(point, _length(axis))
        values |= {key: of_key[index] for key, of_key in axis.items()}
    return {key: values[key] for key in scanned_keys(model.scan)}


def written_value(value: Any) -> str:
    """A scanned value as it was written in the input: text, or JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def at_point(model: Input, point: int) -> Input:
    """The input at one point of the scan.

    Parameters
    ----------
    model : Input
    point : int
        As in `point_values`.

    Returns
    -------
    Input
        With the values of the point and without a scan; `model` itself if it has no scan.

    Raises
    ------
    IndexError
        If there is no such point.
    InputError
        If the values of this point are not valid together.
    """
    values = point_values(model, point)
    if not values:
        return model
    data = model.model_dump(mode="json")
    faults = []
    try:
        for key, value in values.items():
            set_value(data, tuple(key.split(".")), value)
        data["scan"] = {}
        return Input.model_validate(data)
    except NoSuchKey as error:
        faults.append((dotted(error.location), error.message))
    except ValidationError as error:
        faults += [(dotted(fault.location), fault.message) for fault in data_faults(error)]
    place = f"scan, point {point}"
    raise InputError([Fault(0, 0, 0, place, key, message) for key, message in faults])
