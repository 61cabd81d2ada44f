"""What ``import kmc_oxy`` offers: run an input, open an output, validate, presets.

The functions go the same way as the commands of their names and write the same files. May import
every room but `cli`, which is built on this one. matplotlib and xarray are imported when a figure
or a dataset is asked for.
"""

from kmc_oxy.api.checks import presets, validate
from kmc_oxy.api.given_input import load_file, of_other_command
from kmc_oxy.api.result import Result, open_result
from kmc_oxy.api.runs import RunError, run
from kmc_oxy.inputs import InputError

open = open_result

__all__ = [
    "InputError",
    "Result",
    "RunError",
    "load_file",
    "of_other_command",
    "open",
    "presets",
    "run",
    "validate",
]
