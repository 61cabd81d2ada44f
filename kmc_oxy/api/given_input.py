"""An input as Python gives it: the name of a file, YAML text, a mapping, or a checked model."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from kmc_oxy.inputs import Fault, InputError, LoadedInput, load, loads
from kmc_oxy.inputs.schema import Input

#: What `run` and `validate` take.
GivenInput: TypeAlias = "str | PathLike[str] | Mapping[str, Any] | Input"

log = logging.getLogger(__name__)


def load_file(path: str | Path, settings: Sequence[str] = ()) -> LoadedInput:
    """Read an input file, and warn of values unlikely to be meant.

    Parameters
    ----------
    path : str or Path
    settings : sequence of str
        ``"a.b=c"``, as `inputs.load` takes them.

    Returns
    -------
    LoadedInput

    Raises
    ------
    InputError
        With every fault of the input, or that it is a fit file.
    """
    try:
        loaded = load(path, settings)
    except InputError:
        from kmc_oxy.fit import is_fit_file

        if is_fit_file(str(path)):
            raise of_other_command(str(path), "a fit file", "fit") from None
        raise
    return _with_warnings(loaded)


def of_other_command(path: str, what: str, command: str) -> InputError:
    """The error that a file is for another command."""
    return InputError([Fault(0, 0, 0, path, "", f"is {what}: kmc-oxy {command} {path}")])


def load_given(
    given: GivenInput, settings: Mapping[str, Any] | None, overrides: Mapping[str, Any]
) -> LoadedInput:
    """Check an input as Python gives it.

    Parameters
    ----------
    given : str, path, mapping or Input
        Text with a line break or ``": "`` is YAML; other text is the name of a file.
    settings : mapping of str, optional
        Dotted key -> value.
    overrides : mapping of str
        The same, with ``__`` for the dot.

    Returns
    -------
    LoadedInput

    Raises
    ------
    InputError
        With every fault of the input and of the settings.
    TypeError
        If a value is nothing that YAML has.
    """
    values = {**(settings or {}), **{k.replace("__", "."): v for k, v in overrides.items()}}
    written = [f"{key}={_json(value, key)}" for key, value in values.items()]
    path = file_of(given)
    if path is not None:
        return load_file(given if isinstance(given, str) else path, written)
    if isinstance(given, str):
        return _with_warnings(loads(given, written))
    data = given.model_dump(mode="json") if isinstance(given, Input) else given
    # By way of JSON: tuples and arrays become lists, and no list is shared, which YAML would show.
    plain = json.loads(_json(data, "the input"))
    text = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)
    return _with_warnings(loads(text, written))


def file_of(given: GivenInput) -> Path | None:
    """The file that an input is read from; None if it is given as text, mapping or model."""
    if isinstance(given, str):
        return None if "\n" in given or ": " in given else Path(given)
    return Path(given) if isinstance(given, PathLike) else None


def _json(value: Any, where: str) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, default=lambda other: other.tolist())
    except AttributeError:
        raise TypeError(
            f"{where} has a value that is no number, text, list or mapping: {value!r}"
        ) from None


def _with_warnings(loaded: LoadedInput) -> LoadedInput:
    for doubt in loaded.doubts:
        log.warning("warning: %s", doubt)
    return loaded
