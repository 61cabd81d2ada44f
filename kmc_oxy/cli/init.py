"""``kmc-oxy init``: a commented input to begin with."""

from __future__ import annotations

import argparse
from pathlib import Path

from kmc_oxy.cli.exit_codes import EXIT_BAD_INPUT, EXIT_DONE, print_error
from kmc_oxy.inputs.schema import description, shipped_names, shipped_text

FOLDER = "templates"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = "Write a commented input to begin with, or list the kinds that there are."
    parser.add_argument("kind", nargs="?", metavar="KIND", help="what is to be simulated")
    parser.add_argument(
        "-o", "--output", metavar="MY.yaml", type=Path, help="file to write; default: print it"
    )


def execute(arguments: argparse.Namespace) -> int:
    if arguments.kind is None:
        width = max(map(len, shipped_names(FOLDER)))
        for name in shipped_names(FOLDER):
            print(f"{name.ljust(width)}  {description(shipped_text(FOLDER, name))}")
        return EXIT_DONE
    try:
        text = shipped_text(FOLDER, arguments.kind)
    except ValueError as error:
        return print_error(f"init {arguments.kind}: the kind {error}", EXIT_BAD_INPUT)
    if arguments.output is None:
        print(text, end="")
        return EXIT_DONE
    try:
        with open(arguments.output, "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        message = f"{arguments.output} exists: choose another name, or remove it first"
        return print_error(message, EXIT_BAD_INPUT)
    return EXIT_DONE
