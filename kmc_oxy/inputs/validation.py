"""Checks of an input's data: against the schema, and against it again at every point of the scan.

Data are what YAML gives, mappings, lists and scalars; where they were written is not known here.
"""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from kmc_oxy.inputs.messages import Complaint, complaints
from kmc_oxy.inputs.schema import Input, Location


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
