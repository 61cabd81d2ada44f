"""``kmc-oxy validate``: the faults of an input or a fit file, or the cost."""

from __future__ import annotations

import argparse

from kmc_oxy.cli.exit_codes import EXIT_DONE
from kmc_oxy.cli.fit_tables import fit_cost_table
from kmc_oxy.cli.input_arguments import add_input_arguments, load_fit_file, load_input
from kmc_oxy.cli.tables import cost_table
from kmc_oxy.execution import Plan, estimate
from kmc_oxy.fit import fit_cost, is_fit_file


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Report every fault of an input, or what a run of it would be; the same of a fit file."
    )
    add_input_arguments(parser)


def execute(arguments: argparse.Namespace) -> int:
    if is_fit_file(arguments.input):
        fit = load_fit_file(arguments)
        if not arguments.quiet:
            print(fit_cost_table(fit, fit_cost(fit)))
        return EXIT_DONE
    plan = Plan(load_input(arguments))
    if not arguments.quiet:
        print(cost_table(plan, estimate(plan)))
    return EXIT_DONE
