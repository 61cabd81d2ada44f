"""``kmc-oxy report``: a run as one HTML page."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from kmc_oxy.cli.exit_codes import EXIT_DONE
from kmc_oxy.report import report

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Write a finished run as one HTML page with everything in it: what was run, "
        "the verdicts where it is an experiment of the paper, the figures of `plot`, the readings "
        "with their intervals, the oxygens before and after, input and provenance. The page needs "
        "no network, and the same run gives the same bytes."
    )
    parser.add_argument("input", metavar="OUT.h5", type=Path)
    parser.add_argument("-o", "--output", metavar="REPORT.html", type=Path, required=True)


def execute(arguments: argparse.Namespace) -> int:
    report(arguments.input, arguments.output)
    log.info("page in %s", arguments.output)
    return EXIT_DONE
