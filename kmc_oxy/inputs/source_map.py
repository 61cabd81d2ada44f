"""Texts of inputs, and the place where each part of their data was written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kmc_oxy.inputs import yaml_loader
from kmc_oxy.inputs.messages import DataFault, Fault, InputError
from kmc_oxy.inputs.scan import NoSuchKey, set_value
from kmc_oxy.inputs.schema import Location, as_written, dotted


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


def key_of(override: str) -> str:
    """The dotted key of an override ``a.b=c``."""
    return override.partition("=")[0].strip()


class SourceMap:
    """The place where each part of the data was written: in a file or in an override.

    Parameters
    ----------
    source : str
        Name of the file in messages.
    document : Document
    rank : int
        As in `Fault`.
    """

    def __init__(self, source: str, document: yaml_loader.Document, rank: int = 0) -> None:
        self.source, self.document, self._rank = source, document, rank
        self._overrides: dict[Location, tuple[int, str]] = {}
        self._included: SourceMap | None = None

    def include(self, source: str, text: str) -> SourceMap:
        """Add a file with what this one leaves out; returns its places."""
        self._included = SourceMap(source, yaml_loader.read(text), rank=-1)
        return self._included

    def _of(self, location: Location) -> SourceMap:
        """The places of the file that has the larger part of a location."""
        other = self._included

        def depth(places: SourceMap) -> int:
            known = places.document.values
            return max((n for n in range(len(location) + 1) if location[:n] in known), default=0)

        return other if other is not None and depth(other) > depth(self) else self

    def fault_at_mark(self, mark: yaml_loader.Mark, location: Location, message: str) -> Fault:
        place = f"{self.source}:{mark.line}:{mark.column}"
        return Fault(self._rank, mark.line, mark.column, place, dotted(location), message)

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
        places = self._of(location)
        mark = places.document.mark(location, of_key=of_key)
        return places.fault_at_mark(mark, location, message)

    def apply_override(self, data: dict[str, Any], override: str, number: int) -> list[Fault]:
        """Apply one ``a.b=c`` to `data` in place; returns its faults."""
        key, equals, text = key_of(override), *override.partition("=")[1:]
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
        elif location in (scalars := self._of(location).document.scalars) and not overridden:
            text = scalars[location]
        else:
            text = json.dumps(data)
        return text if len(text) <= 60 else text[:57] + "..."
