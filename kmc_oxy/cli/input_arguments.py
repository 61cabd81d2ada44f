"""Arguments of the commands that read an input: ``INPUT.yaml`` and ``--set``."""

from __future__ import annotations

import argparse


def add_input_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``INPUT.yaml`` as `input` and ``--set KEY=VALUE`` as the list `set`."""
    parser.add_argument("input", metavar="INPUT.yaml", help="what to simulate")
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="set a dotted key of the input, e.g. ensemble.members=8; may be repeated",
    )
