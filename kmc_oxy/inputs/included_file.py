"""The key `include`: sections of the device from another file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kmc_oxy.inputs.messages import Fault, InputError
from kmc_oxy.inputs.schema import filled
from kmc_oxy.inputs.source_map import SourceMap, read_text

KEY = "include"
#: Sections that an included file may have.
SECTIONS = ("device", "conductance", "spin", "crossbar")


def with_included(data: dict[str, Any], places: SourceMap) -> tuple[dict[str, Any], list[Fault]]:
    """The data of an input with the keys of its included file that it does not give itself.

    Parameters
    ----------
    data : dict
        Data of the input.
    places : SourceMap
        Places of the data; those of the included file are added.

    Returns
    -------
    data : dict
    faults : list of Fault
        Of the included file as a text, and of its keys at the top level.
    """
    name = data.get(KEY)
    if not isinstance(name, str) or not name:
        return data, []
    path = Path(places.source).parent / name
    try:
        text = read_text(path)
    except InputError as error:
        message = f"{path} {error.faults[0].message}"
        return data, [places.fault_at((KEY,), message)]
    included = places.include(str(path), text)
    faults = [included.fault_at_mark(*fault) for fault in included.document.faults]
    sections = included.document.data
    if not isinstance(sections, dict):
        if not faults:
            faults.append(included.fault_at((), f"must be a mapping with {_listed()}"))
        return data, faults
    for key in sections.keys() - set(SECTIONS):
        message = f"cannot be in an included file, which may have {_listed()}"
        faults.append(included.fault_at((key,), message, of_key=True))
    return filled(data, {key: sections[key] for key in SECTIONS if key in sections}), faults


def _listed() -> str:
    return f"{', '.join(SECTIONS[:-1])} and {SECTIONS[-1]}"
