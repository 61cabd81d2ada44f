"""Named parameter sets that ship with the package: `device: {preset: NAME}`.

A set has any of the sections `device`, `conductance` and `spin`. Keys that the input gives itself
come before those of the set.
"""

from __future__ import annotations

from typing import Any

import yaml

from kmc_oxy.inputs.schema.shipped_files import shipped_names, shipped_text

#: Sections that a set may have.
SECTIONS = ("device", "conductance", "spin")


def preset_names() -> tuple[str, ...]:
    """Names of all sets, in alphabetical order."""
    return shipped_names("presets")


def preset_text(name: str) -> str:
    """The file of a set: YAML with a comment that describes it and names its source.

    Parameters
    ----------
    name : str

    Raises
    ------
    ValueError
        If there is no such set; the message is for the user.
    """
    return shipped_text("presets", name)


def filled_from_preset(data: Any) -> Any:
    """The data of an input with the keys of its preset that it does not give itself.

    Unchanged without a preset, or with one that does not exist.

    Parameters
    ----------
    data : object
        Data of a whole input, unchecked.
    """
    device = data.get("device") if isinstance(data, dict) else None
    name = device.get("preset") if isinstance(device, dict) else None
    if not isinstance(name, str) or name not in preset_names():
        return data
    preset = yaml.safe_load(preset_text(name))
    return filled(data, preset)


def filled(given: Any, default: Any) -> Any:
    """A value with what it leaves out of a default.

    Parameters
    ----------
    given, default : object
        Data of a part of an input. A distribution of barriers of another name is whole. A section
        with nothing in it is null; of a key with one value, null is a value.
    """
    if not isinstance(default, dict):
        return given
    if given is None:
        return default
    if not isinstance(given, dict):
        return given
    if given.get("distribution", "flat") != default.get("distribution", "flat"):
        return given
    return {
        **given,
        **{key: filled(given.get(key, value), value) for key, value in default.items()},
    }
