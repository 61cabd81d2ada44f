"""The parts of a fit file that can be checked further although others have faults."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from kmc_oxy.fit.fit_file import FitFile
from kmc_oxy.inputs import DataFault, data_faults, overlap
from kmc_oxy.inputs.schema import Location

#: What stands for all entries of a section whose entries have names, if none is sound.
NEUTRAL: dict[str, dict[str, Any]] = {
    "parameters": {"low": 0, "high": 1},
    "experiments": {
        "protocol": [{"read": {}}], "targets": [{"quantity": "level", "at_least": 0}],
    },
}  # fmt: skip
#: Checks between sections come after those of each section, and need them without faults.
ROUNDS = 5


def sound_parts(
    data: dict[str, Any],
) -> tuple[FitFile | None, list[Location], list[DataFault]]:
    """Check the data of a fit file; what has faults is left out.

    Parameters
    ----------
    data : dict

    Returns
    -------
    model : FitFile or None
        None if nothing can be checked further.
    left_out : list of Location
        Entries of ``parameters`` and ``experiments``, keys elsewhere.
    faults : list of DataFault
        Without those that follow from what was left out.
    """
    left_out: list[Location] = []
    faults: list[DataFault] = []
    for _ in range(ROUNDS):
        try:
            return FitFile.model_validate(data), left_out, faults
        except ValidationError as error:
            found = data_faults(error, FitFile)
        faults += [fault for fault in found if not depends_on(fault, left_out)]
        data = copy.deepcopy(data)
        for fault in found:
            left_out.append(_leave_out(data, fault.location))
            if left_out[-1] == ("device", "preset"):
                left_out += [("device",), ("conductance",), ("spin",)]
        for section, neutral in NEUTRAL.items():
            data[section] = data.get(section) or {"none": neutral}
    return None, left_out, faults


def depends_on(fault: DataFault, parts: Sequence[Location]) -> bool:
    """Whether a fault is of one of some parts, or found with their values.

    Parameters
    ----------
    fault : DataFault
    parts : sequence of Location
    """
    used = (fault.location, *fault.uses)
    return any(overlap(use, part) for use in used for part in parts)


def _leave_out(data: dict[str, Any], location: Location) -> Location:
    """Remove the entry or the key at a location; what was removed."""
    if location[:1] in (("parameters",), ("experiments",)):
        location = location[:2]
    container: Any = data
    for depth, part in enumerate(location):
        inner = container.get(part)
        if depth + 1 == len(location) or not isinstance(inner, dict):
            container.pop(part, None)
            return location[: depth + 1]
        container = inner
    return ()
