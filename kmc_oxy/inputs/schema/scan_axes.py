"""The section `scan`: lists and ranges of values of dotted keys, linked by `zip` or in a grid.

``{temperature: [70 K, 80 K], zip: {voltage: [1 V, 2 V], duration: [1 s, 2 s]}}`` has two axes and
four points: the keys below `zip` are one axis, their first values together, then the second ones.
A range ``{from: 1 ms, to: 1 s, steps: 4, scale: log}`` stands for the list of its values.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kmc_oxy.inputs.schema.fields import Inconsistency, Location, raise_inconsistencies
from kmc_oxy.units import spaced

ZIP = "zip"
SCALES = ("linear", "log")
#: Largest number of points of a scan; every point is checked before the run.
MAX_POINTS = 10_000

Axis = dict[str, tuple[Any, ...]]


def checked_scan(scan: Any) -> Any:
    """The data of a `scan` with its ranges written out.

    Parameters
    ----------
    scan : object
        Data of the section, unchecked.

    Raises
    ------
    pydantic_core.PydanticCustomError
        With every fault of its keys and values.
    """
    if not isinstance(scan, dict):
        return scan
    written, faults = read_scan(scan)
    raise_inconsistencies(faults)
    return written


def read_scan(scan: Mapping[str, Any]) -> tuple[dict[str, Any], list[Inconsistency]]:
    """The sound entries of a `scan` with their ranges written out, and the faults of the others.

    Parameters
    ----------
    scan : mapping
        Data of the section, unchecked.

    Returns
    -------
    written : dict
    faults : list of Inconsistency
    """
    faults: list[Inconsistency] = []
    written = _sound_values({key: scan[key] for key in scan if key != ZIP}, (), faults)
    linked = scan.get(ZIP)
    if ZIP not in scan:
        return written, faults
    if not isinstance(linked, dict) or not linked:
        message = "must be a mapping of the linked keys to lists of equally many values"
        faults.append(Inconsistency((ZIP,), message, ()))
        return written, faults
    sound = _sound_values(linked, (ZIP,), faults)
    for key in linked.keys() & written.keys():
        faults.append(Inconsistency((ZIP, key), "is given beside zip as well", ()))
        sound.pop(key, None)
    lengths = {key: len(values) for key, values in sound.items()}
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"{count} of {key}" for key, count in lengths.items())
        message = f"must have equally many values of all keys (has {counts})"
        faults.append(Inconsistency((ZIP,), message, ()))
    elif sound:
        written[ZIP] = sound
    # In the order of the text, which is that of the axes.
    return {key: written[key] for key in scan if key in written}, faults


def _sound_values(
    given: Mapping[str, Any], place: Location, faults: list[Inconsistency]
) -> dict[str, Any]:
    """Lists of values by key; notes the faults of keys that have none."""
    found: dict[str, Any] = {}
    for key, values in given.items():
        try:
            found[key] = _list_of(values)
        except ValueError as error:
            faults.append(Inconsistency((*place, key), str(error), ()))
    return found


def _list_of(values: Any) -> tuple[Any, ...]:
    """A list of values, or those of a range."""
    if isinstance(values, dict):
        return tuple(_range(values))
    if not isinstance(values, (list, tuple)):
        raise ValueError("must be a list or a range {from: .., to: .., steps: ..}")
    if not values:
        raise ValueError("must have at least 1 item(s)")
    return tuple(values)


def _range(given: dict[str, Any]) -> list[Any]:
    unknown = [key for key in given if key not in ("from", "to", "steps", "scale")]
    if unknown or not {"from", "to", "steps"} <= given.keys():
        wrong = f"; {unknown[0][:30]} is none of them" if unknown else ""
        raise ValueError(f"must have from, to and steps, and may have scale, as a range{wrong}")
    steps, scale = given["steps"], given.get("scale", "linear")
    if isinstance(steps, bool) or not isinstance(steps, int) or not 2 <= steps <= MAX_POINTS:
        raise ValueError(
            f"must have 2 to {MAX_POINTS:,} steps: the number of values, ends included"
        )
    if scale not in SCALES:
        raise ValueError(f"must have one of {', '.join(SCALES)} as its scale")
    return spaced(given["from"], given["to"], steps, logarithmic=scale == "log")


def axes(scan: Mapping[str, Any]) -> list[Axis]:
    """The axes of the grid: the scanned keys of each with equally many values.

    Parameters
    ----------
    scan : mapping
        A checked `scan`.

    Returns
    -------
    list of dict
        In the order of the text; the last one runs fastest.
    """
    return [values if key == ZIP else {key: values} for key, values in scan.items()]


def scanned_keys(scan: Mapping[str, Any]) -> Axis:
    """All scanned keys with the values that they take, linked or not.

    Parameters
    ----------
    scan : mapping
        A checked `scan`.
    """
    return {key: values for axis in axes(scan) for key, values in axis.items()}
