"""The input file: YAML to checked models, or every fault with its line and column.

May import `physics` (limits of its parameters) and `units`.
"""

from kmc_oxy.inputs import summary
from kmc_oxy.inputs.loading import LoadedInput, load, loads
from kmc_oxy.inputs.messages import Fault, InputError
from kmc_oxy.inputs.scan import at_point, n_points, point_values, written_value

__all__ = [
    "Fault",
    "InputError",
    "LoadedInput",
    "at_point",
    "load",
    "loads",
    "n_points",
    "point_values",
    "summary",
    "written_value",
]
