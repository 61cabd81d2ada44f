"""The running process: signals, the MPI launcher that started it, the memory it may use.

Imports no other module of the package and nothing that takes long, so that a command can install
its signal handlers before it imports the rest.
"""

from kmc_oxy.process.launcher import LaunchError, communicator, finalize_mpi, rank, size
from kmc_oxy.process.local_ranks import (
    THREAD_VARIABLES,
    is_in_job,
    is_in_shell_of_slurm,
    is_terminal,
    local_launcher,
    one_thread_a_process,
    replace_by_ranks,
    usable_cores,
)
from kmc_oxy.process.memory import available_memory_bytes
from kmc_oxy.process.signals import Interrupted, StopRequest

__all__ = [
    "THREAD_VARIABLES",
    "Interrupted",
    "LaunchError",
    "StopRequest",
    "available_memory_bytes",
    "communicator",
    "finalize_mpi",
    "is_in_job",
    "is_in_shell_of_slurm",
    "is_terminal",
    "local_launcher",
    "one_thread_a_process",
    "rank",
    "replace_by_ranks",
    "size",
    "usable_cores",
]
