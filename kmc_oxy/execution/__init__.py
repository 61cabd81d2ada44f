"""The tasks of a run: listing them, estimating their cost, running them, assembling the output.

May import `simulation`, `storage`, `protocol`, `inputs` and `process`.
"""

from kmc_oxy.execution.cost import Cost, MemoryNeedError, check_memory, core_time_s, estimate
from kmc_oxy.execution.live_page import LivePage
from kmc_oxy.execution.memory_output import MemoryOutput
from kmc_oxy.execution.output_assembly import assemble, resolved_value
from kmc_oxy.execution.pool_run import WorkerError, run_in_pool
from kmc_oxy.execution.progress import Progress, ProgressDisplay, progress_json, progress_line
from kmc_oxy.execution.serial_run import run_serial
from kmc_oxy.execution.tasks import Plan, Task
from kmc_oxy.execution.whole_run import begin, complete, useful_processes

__all__ = [
    "Cost",
    "LivePage",
    "MemoryNeedError",
    "MemoryOutput",
    "Plan",
    "Progress",
    "ProgressDisplay",
    "Task",
    "WorkerError",
    "assemble",
    "begin",
    "check_memory",
    "complete",
    "core_time_s",
    "estimate",
    "progress_json",
    "progress_line",
    "resolved_value",
    "run_in_pool",
    "run_serial",
    "useful_processes",
]
