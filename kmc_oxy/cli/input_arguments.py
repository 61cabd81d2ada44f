"""Arguments of the commands that read an input: ``INPUT.yaml`` and ``--set``."""

from __future__ import annotations

import argparse
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kmc_oxy.inputs import LoadedInput

log = logging.getLogger(__name__)


def add_input_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``INPUT.yaml`` as `input` and ``--set KEY=VALUE`` as the list `set`."""
    parser.add_argument("input", metavar="INPUT.yaml", help="what to simulate")
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="set a dotted key of the input, e.g. ensemble.members=8; may be repeated",
    )


def load_input(arguments: argparse.Namespace) -> LoadedInput:
    """Read the input that the arguments name, and warn of values unlikely to be meant.

    Raises
    ------
    InputError
        With every fault of the input.
    """
    from kmc_oxy.inputs import load

    loaded = load(arguments.input, arguments.set)
    for doubt in loaded.doubts:
        log.warning("warning: %s", doubt)
    return loaded
