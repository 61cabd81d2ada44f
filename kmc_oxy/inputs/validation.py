"""Check of the data of an input against the schema.

Data are mappings, lists and scalars, as read from YAML, without their places in the text.
"""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from kmc_oxy.inputs.messages import DataFault, data_faults
from kmc_oxy.inputs.schema import READ_WAVE, Input, Location, ReadWave


def check(
    data: dict[str, Any], read_wave: ReadWave | None = None
) -> tuple[Input | None, list[DataFault]]:
    """Validate data and find as many of their faults as possible.

    Parameters
    ----------
    data : dict
    read_wave : callable, optional
        Reader of the files that steps name; without one they are faults.

    Returns
    -------
    model : Input or None
        None if there are faults.
    faults : list of DataFault
    """
    context = {READ_WAVE: read_wave}
    try:
        return Input.model_validate(data, context=context), []
    except ValidationError as error:
        found = data_faults(error)
    # pydantic checks sections against each other only if each one is valid. To report both kinds
    # of faults at once, replace invalid sections by their defaults and validate again; keep only
    # the faults that do not depend on a replaced section.
    repaired, replaced = _repair(data, [fault.location for fault in found])
    try:
        Input.model_validate(repaired, context=context)
    except ValidationError as error:
        found += [
            fault
            for fault in data_faults(error)
            if fault.uses and fault not in found
            if not any(overlap(use, section) for use in fault.uses for section in replaced)
        ]
    return None, found


def overlap(a: Location, b: Location) -> bool:
    """Whether one location is the other or lies inside it.

    Parameters
    ----------
    a, b : Location

    Returns
    -------
    bool
    """
    return all(x == y for x, y in zip(a, b, strict=False))


def _repair(
    data: dict[str, Any], locations: list[Location]
) -> tuple[dict[str, Any], list[Location]]:
    """A copy without invalid sections, with a reading for invalid steps; which were replaced."""
    repaired: dict[str, Any] = {
        key: value.copy() if isinstance(value, (dict, list)) else value
        for key, value in data.items()
    }
    replaced: list[Location] = []
    for location in locations:
        if location[:1] == ("protocol",):
            steps = repaired.get("protocol")
            if len(location) > 1 and isinstance(steps, list):
                steps[int(location[1])] = {"read": {}}
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
