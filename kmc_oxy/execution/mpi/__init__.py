"""The tasks of a run over the ranks of an MPI job.

MPI itself is imported only when a job has several ranks.
"""

from kmc_oxy.execution.mpi.job_control import Ended
from kmc_oxy.execution.mpi.parallel_run import run_parallel

__all__ = ["Ended", "run_parallel"]
