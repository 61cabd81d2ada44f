"""Arguments of the commands that read an input: ``INPUT.yaml`` and ``--set``."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kmc_oxy.fit import LoadedFit
    from kmc_oxy.inputs import LoadedInput


def add_input_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``INPUT.yaml`` as `input` and ``--set KEY=VALUE`` as the list `set`."""
    parser.add_argument("input", metavar="INPUT.yaml", help="what to simulate")
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        type=typed_text,
        default=[],
        help="set a dotted key of the input, e.g. ensemble.members=8; may be repeated",
    )


def typed_text(argument: str) -> str:
    """What was typed: UTF-8, or else text of the locale.

    Python decodes the bytes of a command line by the locale, which may know less than the terminal.

    Raises
    ------
    argparse.ArgumentTypeError
        If it is neither.
    """
    try:
        return os.fsencode(argument).decode("utf-8")
    except UnicodeError:
        pass
    try:
        argument.encode("utf-8")
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError(f"{argument!r} is not UTF-8 text") from None
    return argument


def load_fit_file(arguments: argparse.Namespace) -> LoadedFit:
    """Read the fit file that the arguments name.

    Raises
    ------
    InputError
        With every fault of the fit file, or that it is an input.
    """
    from kmc_oxy.api import of_other_command
    from kmc_oxy.fit import is_fit_file, load_fit
    from kmc_oxy.inputs import InputError, load

    try:
        return load_fit(arguments.input, tuple(arguments.set))
    except InputError as error:
        if is_fit_file(arguments.input):
            raise
        try:
            load(arguments.input)
        except InputError:
            raise error from None
        raise of_other_command(arguments.input, "an input", "run") from None


def load_input(arguments: argparse.Namespace) -> LoadedInput:
    """Read the input that the arguments name, and warn of values unlikely to be meant.

    Raises
    ------
    InputError
        With every fault of the input, or that it is a fit file.
    """
    from kmc_oxy.api import load_file

    return load_file(arguments.input, arguments.set)
