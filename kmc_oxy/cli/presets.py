"""``kmc-oxy presets``: the parameter sets that ship with the package."""

from __future__ import annotations

import argparse

from kmc_oxy.cli.exit_codes import EXIT_BAD_INPUT, EXIT_DONE, print_error
from kmc_oxy.inputs.schema import description, preset_names, preset_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "List the parameter sets for `device: {preset: NAME}`, or print one as YAML, to be used or "
        "changed in an input."
    )
    parser.add_argument("preset", nargs="?", metavar="NAME", help="print this set")


def execute(arguments: argparse.Namespace) -> int:
    if arguments.preset is not None:
        try:
            text = preset_text(arguments.preset)
        except ValueError as error:
            return print_error(f"presets {arguments.preset}: the name {error}", EXIT_BAD_INPUT)
        print(text, end="")
        return EXIT_DONE
    width = max(map(len, preset_names()))
    for name in preset_names():
        print(f"{name.ljust(width)}  {description(preset_text(name))}")
    return EXIT_DONE
