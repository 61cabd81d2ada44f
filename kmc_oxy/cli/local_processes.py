"""How many processes of this machine a command uses: ``-j``, or one for each core."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable

from kmc_oxy.process import (
    is_in_job,
    is_in_shell_of_slurm,
    local_launcher,
    replace_by_ranks,
)

log = logging.getLogger(__name__)


def add_jobs_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``-j N`` as `jobs`."""
    parser.add_argument(
        "-j", "--jobs", metavar="N", type=_jobs,
        help="number of processes on this machine; default: one for each core that may be used",
    )  # fmt: skip


def _jobs(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 10_000:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 on (got {text!r})")
    return int(text)


def local_processes(arguments: argparse.Namespace, useful: Callable[[], int]) -> int:
    """Decide on the number of processes; with an MPI, replace this process by so many ranks.

    Parameters
    ----------
    arguments : argparse.Namespace
        Of a command with ``-j``.
    useful : callable
        Returns the number without ``-j``.

    Returns
    -------
    int
        For the caller to start: 1 where a launcher or the user decides about ranks, or where the
        process is not there for this command alone; more where there is no MPI.
    """
    if is_in_shell_of_slurm():
        # Its ranks would be those of the step: only a pool can have others.
        if arguments.jobs is None and useful() > 1:
            log.info(
                "one process, as in a step of Slurm with one task: -j N uses N cores of this "
                "node; for ranks, start the run itself by srun -n N (docs/cluster.md)"
            )
        return arguments.jobs or 1
    if is_in_job():
        return 1
    if not arguments.alone:
        return arguments.jobs or 1
    processes: int = arguments.jobs or useful()
    launcher = local_launcher()
    if processes > 1 and launcher is not None:
        replace_by_ranks(launcher, processes, sys.argv[1:])
    return processes
