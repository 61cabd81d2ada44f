"""``kmc-oxy plot``: the figure of a run or of a fit."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from kmc_oxy.cli.exit_codes import EXIT_DONE
from kmc_oxy.figures import plot
from kmc_oxy.measured import X_QUANTITIES, Y_QUANTITIES, ColumnChoice, refusal
from kmc_oxy.report import plot_fit

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    column = "QUANTITY[:COLUMN[:UNIT]]"
    by_header = "default: the column of the header that is named after one"
    parser.add_argument(
        "input", metavar="OUT.h5", type=Path, help="output of a run, or folder of a fit"
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FIG.png",
        type=Path,
        help="required for a run; default for a fit: fit.png in its folder",
    )
    parser.set_defaults(refuse=parser.error)
    parser.add_argument(
        "--data",
        metavar="DATA.csv",
        type=Path,
        help="measured values, drawn over the panels with the same quantity",
    )
    parser.add_argument(
        "--data-x", metavar=column, help=f"{', '.join(X_QUANTITIES)}; {by_header}", default=""
    )
    parser.add_argument(
        "--data-y", metavar=column, help=f"{', '.join(Y_QUANTITIES)}; {by_header}", default=""
    )
    parser.add_argument(
        "--data-curves", metavar="COLUMN", help="tells the curves of a file apart", default=""
    )
    parser.add_argument(
        "--data-scale",
        choices=("absolute", "free"),
        default="absolute",
        help="free: multiplied by the factor that fits best",
    )


def execute(arguments: argparse.Namespace) -> int:
    measured = _measured(arguments)
    output = arguments.output
    if arguments.input.is_dir():
        if measured is not None:
            raise refusal("--data", "belongs to the figure of a run: a fit has its own data")
        output = output or arguments.input / "fit.png"
        plot_fit(arguments.input, output)
    elif output is None:
        arguments.refuse("the following arguments are required: -o/--output")
    else:
        plot(arguments.input, output, measured)
    log.info("figure in %s", output)
    return EXIT_DONE


def _measured(arguments: argparse.Namespace) -> ColumnChoice | None:
    """The measured values that the arguments name.

    Raises
    ------
    CurveError
        If they say something about a file that they do not name.
    """
    x, y, curves = (arguments.data_x, arguments.data_y, arguments.data_curves)
    scale = arguments.data_scale
    if arguments.data is not None:
        return ColumnChoice(arguments.data, x, y, curves, scale)
    if x or y or curves or scale != "absolute":
        raise refusal("--data", "is required by the other options of measured values")
    return None
