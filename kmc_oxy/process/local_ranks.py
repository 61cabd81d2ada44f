"""Processes on this machine: how many there may be, and this one replaced by MPI ranks."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import MutableMapping, Sequence
from pathlib import Path
from typing import TextIO

from kmc_oxy.process.launcher import SERIAL_VARIABLE, size

#: Variables that hold the threads of numerical libraries at one for each process.
THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
#: Set to 1 for ranks whose messages mpiexec passes on to a terminal; their own end is a pipe.
TERMINAL_VARIABLE = "KMC_OXY_TERMINAL"


def usable_cores() -> int:
    """Number of cores that this process may use, by its affinity mask and the batch system.

    Returns
    -------
    int
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    given = os.environ.get("SLURM_CPUS_PER_TASK", "")
    return max(1, min(cores or 1, int(given) if given.isdecimal() and int(given) else cores or 1))


def local_launcher() -> str | None:
    """Path of an mpiexec that belongs to the installed mpi4py; None if there is none.

    The one beside the interpreter is preferred.

    Returns
    -------
    str or None
    """
    if importlib.util.find_spec("mpi4py") is None:
        return None
    return shutil.which("mpiexec", path=str(Path(sys.executable).parent)) or shutil.which("mpiexec")


def is_in_job() -> bool:
    """Whether a launcher, a batch system's step or the user decides about ranks.

    Returns
    -------
    bool
    """
    return (
        size() is not None
        or "PMIX_RANK" in os.environ
        or "SLURM_STEP_ID" in os.environ
        or SERIAL_VARIABLE in os.environ
        # Started by python -m mpi4py, as communicator() takes it: MPI may be initialised.
        or "mpi4py.run" in sys.modules
    )


def is_in_shell_of_slurm() -> bool:
    """Whether this is a step of Slurm with one task, such as the shell of ``srun --pty``.

    Returns
    -------
    bool
    """
    return (
        "SLURM_STEP_ID" in os.environ and SERIAL_VARIABLE not in os.environ and (size() or 1) == 1
    )


def is_terminal(stream: TextIO) -> bool:
    """Whether what is written is seen on a terminal, by way of mpiexec too.

    Parameters
    ----------
    stream : text file
    """
    return stream.isatty() or (
        stream is sys.stderr and os.environ.get(TERMINAL_VARIABLE, "0") == "1"
    )


def one_thread_a_process(environment: MutableMapping[str, str]) -> None:
    """Hold numerical libraries at one thread a process, unless the user has set their number.

    Parameters
    ----------
    environment : mutable mapping of str to str
        Of the processes that will be started; changed in place.
    """
    for name in THREAD_VARIABLES:
        environment.setdefault(name, "1")


def replace_by_ranks(launcher: str, ranks: int, arguments: Sequence[str]) -> None:
    """Replace this process by ranks that run ``python -m kmc_oxy`` with the same arguments.

    Does not return.

    Parameters
    ----------
    launcher : str
        Path of mpiexec.
    ranks : int
    arguments : sequence of str
        Of ``kmc-oxy``.
    """
    environment = dict(os.environ)
    one_thread_a_process(environment)
    environment[TERMINAL_VARIABLE] = str(int(sys.stderr.isatty()))
    sys.stdout.flush()
    sys.stderr.flush()
    line = [launcher, "-n", str(ranks), sys.executable, "-m", "kmc_oxy", *arguments]
    os.execve(launcher, line, environment)
