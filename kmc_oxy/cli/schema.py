"""``kmc-oxy schema``: a JSON Schema for editors."""

from __future__ import annotations

import argparse
import json

from kmc_oxy.cli.exit_codes import EXIT_DONE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Print a JSON Schema of an input or a fit file as they are written, with which editors "
        "complete keys and mark faults (docs/editors.md)."
    )
    parser.add_argument(
        "of", nargs="?", choices=("input", "fit"), default="input", help="default: input"
    )


def execute(arguments: argparse.Namespace) -> int:
    from kmc_oxy.fit import FitFile
    from kmc_oxy.inputs import json_schema
    from kmc_oxy.inputs.schema import Input

    print(json.dumps(json_schema(FitFile if arguments.of == "fit" else Input), indent=1))
    return EXIT_DONE
