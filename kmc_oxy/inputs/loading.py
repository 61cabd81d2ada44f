"""Read an input file: checked models, or every fault of the file with its place."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kmc_oxy.inputs import yaml_loader
from kmc_oxy.inputs.included_file import KEY as INCLUDE
from kmc_oxy.inputs.included_file import with_included
from kmc_oxy.inputs.messages import DataFault, Fault, InputError
from kmc_oxy.inputs.scan import check_scan, scans_layers
from kmc_oxy.inputs.schema import Input
from kmc_oxy.inputs.source_map import SourceMap, key_of, read_text
from kmc_oxy.inputs.validation import check
from kmc_oxy.inputs.wave_files import wave_reader


@dataclass(frozen=True)
class LoadedInput:
    """A checked input and where it came from.

    Parameters
    ----------
    text : str
        Text of the file, unchanged.
    source : str
        Name of the file, as given.
    overrides : tuple of str
        ``"a.b=c"``, as given.
    model : Input
    doubts : tuple of Fault
        Values that are allowed but unlikely to be meant, for a warning.
    """

    text: str
    source: str
    overrides: tuple[str, ...]
    model: Input
    doubts: tuple[Fault, ...] = ()

    @property
    def resolved(self) -> str:
        """Every key with its value, defaults and overrides included, as JSON on one line."""
        return json.dumps(self.model.model_dump(mode="json"), ensure_ascii=False)


def load(path: str | Path, overrides: Sequence[str] = ()) -> LoadedInput:
    """Read and check an input file.

    Parameters
    ----------
    path : str or Path
        A YAML file in UTF-8.
    overrides : sequence of str
        ``"a.b=c"``: sets the dotted key ``a.b`` to the value ``c``, in YAML.

    Returns
    -------
    LoadedInput

    Raises
    ------
    InputError
        With every fault of the file and of the overrides.
    """
    return loads(read_text(path), overrides, str(path))


def loads(text: str, overrides: Sequence[str] = (), source: str = "<input>") -> LoadedInput:
    """Check the text of an input, as `load` does for a file.

    Parameters
    ----------
    text : str
    overrides : sequence of str
        As in `load`.
    source : str
        Name of the text in messages; files that it names are relative to the folder of this.

    Returns
    -------
    LoadedInput

    Raises
    ------
    InputError
        With every fault of the text and of the overrides.
    """
    data, places, faults = read_data(text, source=source)
    of_include = [number for number, given in enumerate(overrides) if key_of(given) == INCLUDE]
    for number in of_include:
        faults += places.apply_override(data, overrides[number], number)
    data, found_in_file = with_included(data, places)
    faults += found_in_file
    for number, override in enumerate(overrides):
        if number not in of_include:
            faults += places.apply_override(data, override, number)
    model, found = check(data, wave_reader(Path(source).parent))
    faults += [places.locate(fault, data) for fault in found]
    of_scan = list(check_scan(model, data))
    faults += [places.locate(fault, data) for fault in of_scan if not fault.is_doubt]
    if faults or model is None:
        raise InputError(faults)
    doubts = [DataFault(location, message) for location, message in model.doubts()]
    doubts += [fault for fault in of_scan if fault.is_doubt]
    located = {places.locate(doubt, data) for doubt in doubts}
    if not scans_layers(model):
        model = model.with_layers()
    return LoadedInput(text, source, tuple(overrides), model, tuple(sorted(located)))


def read_data(
    text: str, overrides: Sequence[str] = (), source: str = "<input>"
) -> tuple[dict[str, Any], SourceMap, list[Fault]]:
    """Read the data of a YAML text, unchecked.

    Parameters
    ----------
    text : str
    overrides : sequence of str
        As in `load`.
    source : str
        Name of the text in messages.

    Returns
    -------
    data : dict
        With the overrides.
    places : SourceMap
    faults : list of Fault
        Of the text and of the overrides.

    Raises
    ------
    InputError
        If the text is no mapping.
    """
    document = yaml_loader.read(text)
    places = SourceMap(source, document)
    data = document.data
    faults = [places.fault_at_mark(*fault) for fault in document.faults]
    if data is None and not faults:
        faults.append(places.fault_at((), "must be a mapping of keys to values"))
    if data is None:
        raise InputError(faults)
    if not isinstance(data, dict):
        raise InputError([*faults, places.fault_at((), "must be a mapping of keys to values")])
    for number, override in enumerate(overrides):
        faults += places.apply_override(data, override, number)
    return data, places, faults
