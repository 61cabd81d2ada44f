"""``kmc-oxy report``: a run or a fit as one HTML page."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from kmc_oxy.cli.exit_codes import EXIT_DONE
from kmc_oxy.report import report, report_fit

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Write a finished run or fit as one HTML page with everything in it: what was run, "
        "the verdicts where it is an experiment of the paper, the figures of `plot`, the readings "
        "with their intervals, the oxygens before and after, input and provenance. The page needs "
        "no network, and the same run gives the same bytes. Of a fit: figures, parameters with "
        "their intervals, correlations, and where the model fails."
    )
    parser.add_argument(
        "input", metavar="OUT.h5", type=Path, help="output of a run, or folder of a fit"
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="REPORT.html",
        type=Path,
        help="required for a run; default for a fit: report.html in its folder",
    )
    parser.set_defaults(refuse=parser.error)


def execute(arguments: argparse.Namespace) -> int:
    output = arguments.output
    if arguments.input.is_dir():
        output = output or arguments.input / "report.html"
        report_fit(arguments.input, output)
    elif output is None:
        arguments.refuse("the following arguments are required: -o/--output")
    else:
        report(arguments.input, output)
    log.info("page in %s", output)
    return EXIT_DONE
