"""``kmc-oxy info``: the content of an output."""

from __future__ import annotations

import argparse
from pathlib import Path

from kmc_oxy.cli import tables
from kmc_oxy.cli.exit_codes import EXIT_DONE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("output", metavar="OUT.h5", type=Path)


def execute(arguments: argparse.Namespace) -> int:
    print(tables.info_table(arguments.output))
    return EXIT_DONE
