"""``kmc_oxy.validate`` and ``kmc_oxy.presets``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kmc_oxy.api.given_input import GivenInput, load_given
from kmc_oxy.execution import Cost, Plan, estimate
from kmc_oxy.inputs.schema import description, preset_names, preset_text


def validate(
    input: GivenInput, settings: Mapping[str, Any] | None = None, **overrides: Any
) -> Cost:
    """Check an input, and estimate what its run would cost.

    Parameters
    ----------
    input : str, path, mapping or Input
        As in `run`.
    settings : mapping of str, optional
        As in `run`.
    **overrides
        As in `run`.

    Returns
    -------
    Cost
        Numbers of points, tasks, cells, sites, oxygens and readings, physical time (s), expected
        hops, memory a process and size of the output (bytes).

    Raises
    ------
    InputError
        With every fault, one a line, as ``kmc-oxy validate`` prints them.
    """
    return estimate(Plan(load_given(input, settings, overrides)))


def presets() -> dict[str, str]:
    """Describe the parameter sets that ship with the package.

    Returns
    -------
    dict of str to str
        Name for ``device: {preset: NAME}`` -> one sentence. ``kmc-oxy presets NAME`` prints a set.
    """
    return {name: description(preset_text(name)) for name in preset_names()}
