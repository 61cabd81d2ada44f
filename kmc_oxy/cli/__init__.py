"""The command line ``kmc-oxy``: parser, commands, exit codes, what is printed.

May import every other room; no room imports this one.
"""

from kmc_oxy.cli.entry_point import main

__all__ = ["main"]
