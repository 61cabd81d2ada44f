"""Whether this process is one rank of an MPI job, told before MPI is loaded.

A serial run needs no MPI: it is imported only when the launcher's environment, or
``python -m mpi4py``, says that there are several ranks.
"""

from __future__ import annotations

import os
import sys
from typing import Any

#: Variables that launchers set for each rank: MPICH and Intel, Open MPI, MVAPICH, srun.
RANKS = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK", "PMIX_RANK")
SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS")


class LaunchError(Exception):
    """The ranks were started, but cannot work together."""


def rank() -> int:
    """Rank of this process by the launcher's word; 0 if it was not launched as one of several."""
    for name in RANKS:
        if name in os.environ:
            return _number(name)
    # Slurm sets SLURM_PROCID in a batch script as well, where only srun makes ranks.
    return _number("SLURM_PROCID") if _number("SLURM_STEP_NUM_TASKS") > 1 else 0


def size() -> int | None:
    """Number of ranks by the launcher's word; None if it says nothing."""
    return next((_number(name) for name in SIZES if name in os.environ), None)


def _number(name: str) -> int:
    text = os.environ.get(name, "")
    return int(text) if text.isdecimal() else 0


def communicator() -> Any | None:
    """The communicator of all ranks; None if there is one process only.

    Raises
    ------
    LaunchError
        If several processes were started that MPI does not take for one job.
    """
    expected = size()
    unknown = expected is None and ("PMIX_RANK" in os.environ or "mpi4py.run" in sys.modules)
    if not unknown and (expected or 1) == 1:
        return None
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise LaunchError(
            f"started as {expected or 'several'} ranks, but MPI cannot be used from Python "
            f"({' '.join(str(error).split())}): install mpi4py for the MPI of this launcher"
        ) from error
    world = MPI.COMM_WORLD
    if expected is not None and world.size != expected:
        raise LaunchError(
            f"started as {expected} ranks, but MPI sees {world.size}: use the launcher of the MPI "
            "that mpi4py was built for"
        )
    return world if world.size > 1 else None


def leave() -> None:
    """End MPI, if it was begun, so that any exit code passes for an orderly end.

    Every rank must have come to its end.
    """
    if "mpi4py.MPI" in sys.modules:
        from mpi4py import MPI

        if MPI.Is_initialized() and not MPI.Is_finalized():
            MPI.Finalize()
