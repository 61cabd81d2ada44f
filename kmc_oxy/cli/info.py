"""``kmc-oxy info``: the content of an output, or how far a fit is."""

from __future__ import annotations

import argparse
from pathlib import Path

from kmc_oxy.cli import tables
from kmc_oxy.cli.exit_codes import EXIT_DONE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "output", metavar="OUT.h5", type=Path, help="output of a run, or folder of a fit"
    )


def execute(arguments: argparse.Namespace) -> int:
    if arguments.output.is_dir():
        from kmc_oxy.cli.fit_tables import fit_info_table

        print(fit_info_table(arguments.output))
    else:
        print(tables.info_table(arguments.output))
    return EXIT_DONE
