"""The input file: YAML to checked models, or every fault with its line and column.

May import `physics` (limits of its parameters) and `units`.
"""

from kmc_oxy.inputs import summary
from kmc_oxy.inputs.json_schema import json_schema
from kmc_oxy.inputs.loading import LoadedInput, load, loads, read_data
from kmc_oxy.inputs.messages import DataFault, Fault, InputError, data_faults, similar_key
from kmc_oxy.inputs.scan import (
    NoSuchKey,
    at_point,
    n_points,
    point_values,
    scans_layers,
    with_values,
    written_value,
)
from kmc_oxy.inputs.source_map import SourceMap, read_text
from kmc_oxy.inputs.validation import overlap

__all__ = [
    "DataFault",
    "Fault",
    "InputError",
    "LoadedInput",
    "NoSuchKey",
    "SourceMap",
    "at_point",
    "data_faults",
    "json_schema",
    "load",
    "loads",
    "n_points",
    "overlap",
    "point_values",
    "read_data",
    "read_text",
    "scans_layers",
    "similar_key",
    "summary",
    "with_values",
    "written_value",
]
