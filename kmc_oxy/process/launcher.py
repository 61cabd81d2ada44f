"""Whether this process is one rank of an MPI job, determined before MPI is loaded.

A serial run does not need MPI. It is imported only if the environment variables of a launcher, or
``python -m mpi4py``, indicate several ranks.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mpi4py import MPI

#: Variables that launchers set for each rank: MPICH and Intel, Open MPI, MVAPICH, srun.
RANK_VARIABLES = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK", "PMIX_RANK")
SIZE_VARIABLES = (
    "PMI_SIZE",
    "OMPI_COMM_WORLD_SIZE",
    "MV2_COMM_WORLD_SIZE",
    "SLURM_STEP_NUM_TASKS",
)


#: Set to 1, it tells that this process is the only one, whatever a launcher has set.
SERIAL_VARIABLE = "KMC_OXY_SERIAL"


class LaunchError(Exception):
    """Several ranks were started, but MPI does not connect them."""


def rank() -> int:
    """Return the rank of this process according to the launcher.

    Returns
    -------
    int
        0 if the process was not started as one of several ranks.
    """
    if _is_serial():
        return 0
    for name in RANK_VARIABLES:
        if name in os.environ:
            return _integer_variable(name)
    # Slurm sets SLURM_PROCID in batch scripts too; only a step of srun has several ranks.
    return _integer_variable("SLURM_PROCID") if _integer_variable("SLURM_STEP_NUM_TASKS") > 1 else 0


def size() -> int | None:
    """Return the number of ranks according to the launcher.

    Returns
    -------
    int or None
        None if no launcher has set it.
    """
    if _is_serial():
        return 1
    return next((_integer_variable(name) for name in SIZE_VARIABLES if name in os.environ), None)


def _is_serial() -> bool:
    return _integer_variable(SERIAL_VARIABLE) == 1


def _integer_variable(name: str) -> int:
    text = os.environ.get(name, "")
    return int(text) if text.isdecimal() else 0


def communicator() -> MPI.Intracomm | None:
    """Return the communicator of all ranks.

    Returns
    -------
    mpi4py.MPI.Intracomm or None
        None if there is only one process.

    Raises
    ------
    LaunchError
        If several processes were started, but MPI cannot be imported or has another number of
        ranks.
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
            f"({' '.join(str(error).split())}): install mpi4py for the MPI of this launcher, or "
            f"run in this process alone with {SERIAL_VARIABLE}=1"
        ) from error
    world = MPI.COMM_WORLD
    if expected is not None and world.size != expected:
        raise LaunchError(
            f"started as {expected} ranks, but MPI sees {world.size}: use the launcher of the MPI "
            f"that mpi4py was built for, or run in this process alone with {SERIAL_VARIABLE}=1 "
            "(in a shell of a Slurm job, for instance)"
        )
    return world if world.size > 1 else None


def finalize_mpi() -> None:
    """Call MPI_Finalize if MPI was initialised, so that the launcher accepts any exit code.

    Collective: to be called only where every rank gets to its end.
    """
    if "mpi4py.MPI" in sys.modules:
        from mpi4py import MPI

        if MPI.Is_initialized() and not MPI.Is_finalized():
            MPI.Finalize()
