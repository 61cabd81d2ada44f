"""``kmc-oxy export``: a run in the format of another program."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from kmc_oxy.cli.exit_codes import EXIT_DONE
from kmc_oxy.export import FORMATS, Selection, export
from kmc_oxy.fit import BEST, EVALUATIONS, FitFolder
from kmc_oxy.storage import StoreError

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Write a finished run in another program's format. Unless told otherwise: "
        + "; ".join(f"{name} has {entry.scope}" for name, entry in FORMATS.items())
        + "."
    )
    parser.add_argument("input", metavar="OUT.h5", type=Path)
    parser.add_argument(
        "--to",
        required=True,
        choices=tuple(FORMATS),
        help="; ".join(f"{name}: {entry.summary}" for name, entry in FORMATS.items()),
    )
    parser.add_argument("-o", "--output", metavar="PATH", type=Path, required=True)
    parser.add_argument("--point", metavar="N", type=int, help="point of the scan")
    parser.add_argument("--member", metavar="N", type=int, help="device of the ensemble")
    parser.add_argument("--cell", metavar=("ROW", "COLUMN"), type=int, nargs=2, help="of an array")


def execute(arguments: argparse.Namespace) -> int:
    folder = arguments.input if arguments.input.is_dir() else arguments.input.parent
    if arguments.input in (folder, folder / EVALUATIONS) and FitFolder(folder).exists():
        raise StoreError(
            f"{arguments.input} is a fit: run its best device (kmc-oxy run {folder / BEST} -o "
            "OUT.h5), and export that output"
        )
    cell = None if arguments.cell is None else (arguments.cell[0], arguments.cell[1])
    selection = Selection(arguments.point, arguments.member, cell)
    written = export(arguments.input, arguments.to, arguments.output, selection)
    log.info("written: %s", ", ".join(map(str, written)))
    return EXIT_DONE
