"""The tasks of a run: listing them, estimating their cost, running them, assembling the output.

May import `simulation`, `storage`, `protocol`, `inputs` and `process`.
"""

from kmc_oxy.execution.cost import Cost, MemoryNeedError, check_memory, core_time_s, estimate
from kmc_oxy.execution.memory_output import MemoryOutput
from kmc_oxy.execution.output_assembly import assemble, resolved_value
from kmc_oxy.execution.progress import Progress, ProgressDisplay
from kmc_oxy.execution.serial_run import run_serial
from kmc_oxy.execution.tasks import Plan, Task

__all__ = [
    "Cost",
    "MemoryNeedError",
    "MemoryOutput",
    "Plan",
    "Progress",
    "ProgressDisplay",
    "Task",
    "assemble",
    "check_memory",
    "core_time_s",
    "estimate",
    "resolved_value",
    "run_serial",
]
