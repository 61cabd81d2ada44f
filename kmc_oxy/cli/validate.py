"""``kmc-oxy validate``: the faults of an input, or the cost of its run."""

from __future__ import annotations

import argparse

from kmc_oxy.cli.exit_codes import EXIT_DONE
from kmc_oxy.cli.input_arguments import add_input_arguments, load_input
from kmc_oxy.cli.tables import cost_table
from kmc_oxy.execution import Plan, estimate


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = "Report every fault of an input, or what a run of it would be."
    add_input_arguments(parser)


def execute(arguments: argparse.Namespace) -> int:
    plan = Plan(load_input(arguments))
    if not arguments.quiet:
        print(cost_table(plan, estimate(plan)))
    return EXIT_DONE
