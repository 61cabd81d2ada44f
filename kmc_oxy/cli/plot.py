"""``kmc-oxy plot``: the figure of a run."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from kmc_oxy.cli.exit_codes import EXIT_DONE
from kmc_oxy.figures import plot

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("input", metavar="OUT.h5", type=Path)
    parser.add_argument("-o", "--output", metavar="FIG.png", type=Path, required=True)


def execute(arguments: argparse.Namespace) -> int:
    plot(arguments.input, arguments.output)
    log.info("figure in %s", arguments.output)
    return EXIT_DONE
