"""Read an input file: checked models, or every fault of the file with its place."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kmc_oxy.inputs import yaml_loader
from kmc_oxy.inputs.messages import DataFault, Fault, InputError
from kmc_oxy.inputs.scan import NoSuchKey, check_scan, scans_layers, set_value
from kmc_oxy.inputs.schema import Input, Location, as_written, dotted
from kmc_oxy.inputs.validation import check


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


def read_text(path: str | Path) -> str:
    """Read a YAML file.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    str

    Raises
    ------
    InputError
        If it cannot be read, is too large or is not UTF-8.
    """
    source = str(path)
    try:
        with open(path, "rb") as file:
            raw = file.read(yaml_loader.MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise InputError([Fault(0, 0, 0, source, "", f"cannot be read: {reason}")]) from None
    try:
        return yaml_loader.decode(raw)
    except ValueError as error:
        raise InputError([Fault(0, 0, 0, source, "", str(error))]) from None


def loads(text: str, overrides: Sequence[str] = (), source: str = "<input>") -> LoadedInput:
    """Check the text of an input, as `load` does for a file.

    Parameters
    ----------
    text : str
    overrides : sequence of str
        As in `load`.
    source : str
        Name of the text in messages.

    Returns
    -------
    LoadedInput

    Raises
    ------
    InputError
        With every fault of the text and of the overrides.
    """
    data, places, faults = read_data(text, overrides, source)
    model, found = check(data)
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


class SourceMap:
    """The place where each part of the data was written: in the file or in an override."""

    def __init__(self, source: str, document: yaml_loader.Document) -> None:
        self.source, self.document = source, document
        self._overrides: dict[Location, tuple[int, str]] = {}

    def fault_at_mark(self, mark: yaml_loader.Mark, location: Location, message: str) -> Fault:
        place = f"{self.source}:{mark.line}:{mark.column}"
        return Fault(0, mark.line, mark.column, place, dotted(location), message)

    def fault_at(self, location: Location, message: str, of_key: bool = False) -> Fault:
        """A fault at the value (or key) of `location`, with its place."""
        for end in range(len(location), 0, -1):
            if location[:end] in self._overrides:
                number, place = self._overrides[location[:end]]
                return Fault(1 + number, 0, 0, place, dotted(location), message)
        if location not in self.document.values:
            inside = [p for p in self._overrides if p[: len(location)] == location]
            if location and inside:
                number, place = self._overrides[inside[-1]]
                return Fault(1 + number, 0, 0, place, dotted(location), message)
        return self.fault_at_mark(self.document.mark(location, of_key=of_key), location, message)

    def apply_override(self, data: dict[str, Any], override: str, number: int) -> list[Fault]:
        """Apply one ``a.b=c`` to `data` in place; returns its faults."""
        key, equals, text = override.partition("=")
        key = key.strip()
        place = f"--set {key}"

        def fault(message: str) -> Fault:
            return Fault(1 + number, 0, 0, place, "", message)

        path = key.split(".")
        if not equals or not all(path):
            return [fault("must be of the form a.b=c")]
        value = yaml_loader.read(text)
        if text.strip() and value.faults:
            return [fault(f"the value is wrong: {what}") for _, _, what in value.faults]
        try:
            location = set_value(data, path, value.data)
        except NoSuchKey as error:
            return [fault(f"{dotted(error.location)} {error.message}")]
        self._overrides[location] = (number, place)
        return []

    def locate(self, fault: DataFault, data: dict[str, Any]) -> Fault:
        """A fault of the data with its place and, if the fault asks for it, the value given."""
        location, message = as_written(fault.location, data), fault.message
        if fault.shows_value:
            message += f" (got {self._value_text(location, data)})"
        return self.fault_at(location, message, of_key=fault.of_key)

    def _value_text(self, location: Location, data: Any) -> str:
        for part in location:
            if isinstance(data, dict):
                data = data.get(part)
            elif isinstance(data, list) and isinstance(part, int) and part < len(data):
                data = data[part]
        if isinstance(data, dict):
            return "a mapping" if data else "an empty mapping"
        if isinstance(data, list):
            return f"a list of {len(data)}"
        if data is None:
            return "nothing"
        overridden = any(location[:end] in self._overrides for end in range(len(location) + 1))
        if isinstance(data, str):
            text = repr(data)
        elif location in self.document.scalars and not overridden:
            text = self.document.scalars[location]
        else:
            text = json.dumps(data)
        return text if len(text) <= 60 else text[:57] + "..."
