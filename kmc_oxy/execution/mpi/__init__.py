"""The tasks of a run on the ranks of an MPI job.

Importing this package initialises MPI; the command line imports it only in a job of several ranks.
"""

from kmc_oxy.execution.mpi.job_control import JobTerminated
from kmc_oxy.execution.mpi.parallel_run import run_parallel

__all__ = ["JobTerminated", "run_parallel"]
