"""The running process: signals that ask it to stop, and the MPI launcher that started it.

Imports no other module of the package and nothing that takes long, so that a command can install
its signal handlers before it imports the rest.
"""

from kmc_oxy.process.launcher import LaunchError, communicator, finalize_mpi, rank
from kmc_oxy.process.signals import Interrupted, StopRequest

__all__ = [
    "Interrupted",
    "LaunchError",
    "StopRequest",
    "communicator",
    "finalize_mpi",
    "rank",
]
