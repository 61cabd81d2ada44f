"""Kinetic Monte Carlo of oxygen migration in molecular memristors and their crossbars."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from kmc_oxy._version import __version__

if TYPE_CHECKING:
    from kmc_oxy.api import InputError, Result, RunError, open, presets, run, validate
    from kmc_oxy.physics import Engine, FilamentNetwork, Landscape, solve_crossbar

__all__ = [
    "Engine",
    "FilamentNetwork",
    "InputError",
    "Landscape",
    "Result",
    "RunError",
    "__version__",
    "open",
    "presets",
    "run",
    "solve_crossbar",
    "validate",
]

#: Public names and the rooms that they live in.
_ROOM_OF = {
    **dict.fromkeys(("Engine", "FilamentNetwork", "Landscape", "solve_crossbar"), "physics"),
    **dict.fromkeys(
        ("InputError", "Result", "RunError", "open", "presets", "run", "validate"), "api"
    ),
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: ``kmc-oxy --help`` must not wait for SciPy."""
    if name not in _ROOM_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_ROOM_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
