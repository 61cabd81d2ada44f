"""The arguments of ``kmc-oxy``: one subparser a command.

A command is a module of this folder with two functions: ``add_arguments(parser)`` and
``execute(arguments) -> int``, which returns the exit code. `COMMANDS` lists them. Only the module
of the command on the line is imported, so that ``kmc-oxy --help`` loads nothing heavy.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Mapping, Sequence

from kmc_oxy._version import __version__

#: Module of each command, and its line in ``kmc-oxy --help``.
COMMANDS: Mapping[str, str] = {
    "run": "run a simulation, or go on with it",
    "fit": "fit a device to measured curves, or go on with it",
    "validate": "check an input or fit file; say what it would cost",
    "init": "write a commented input to begin with",
    "presets": "list the parameter sets that ship with the package, or print one",
    "info": "say what is in an output or fit, finished or not",
    "plot": "draw the natural figure of a finished run or fit",
    "report": "write a finished run or fit as one page",
    "export": "write a finished run for another program",
    "schema": "print a JSON Schema of the input, for editors",
    "completion": "print a script that completes commands and options in a shell",
}

#: Commands that every rank of an MPI job carries out; of the others only the first rank does.
PARALLEL_COMMANDS = ("run", "fit")


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse one command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        Default: those of the process.

    Returns
    -------
    argparse.Namespace
        With `name`, the command, `execute`, its function, `debug`, `quiet`, `verbose`, and `alone`:
        whether the process is there for this line alone.

    Raises
    ------
    SystemExit
        2 for a wrong line; 0 after ``--help`` or ``--version``.
    """
    line = sys.argv[1:] if arguments is None else list(arguments)
    named = next((word for word in line if not word.startswith("-")), None)
    parser = argparse.ArgumentParser(
        prog="kmc-oxy",
        description="Kinetic Monte Carlo of oxygen in molecular memristors.",
        epilog="Exit codes: 0 done, 2 bad input or usage, 75 interrupted and resumable, "
        "1 anything else.",
    )
    parser.add_argument("--version", action="version", version=f"kmc-oxy {__version__}")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, summary in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=summary)
        if name == named:
            _add_common_arguments(subparser)
            module = importlib.import_module(f"kmc_oxy.cli.{name}")
            module.add_arguments(subparser)
            subparser.set_defaults(name=name, execute=module.execute, alone=arguments is None)
    return parser.parse_args(line)


def words_of_commands() -> dict[str, list[str]]:
    """The options and choices of every command, for completion in a shell."""
    found: dict[str, list[str]] = {}
    for name in COMMANDS:
        parser = argparse.ArgumentParser()
        _add_common_arguments(parser)
        importlib.import_module(f"kmc_oxy.cli.{name}").add_arguments(parser)
        # argparse has no public list of its arguments.
        actions = parser._actions
        found[name] = [option for action in actions for option in action.option_strings]
        found[name] += [str(choice) for action in actions for choice in action.choices or ()]
    return found


def _add_common_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    verbosity = parser.add_mutually_exclusive_group()
    verbosity.add_argument("-q", "--quiet", action="store_true", help="print errors only")
    verbosity.add_argument("-v", "--verbose", action="store_true", help="say more, more often")
