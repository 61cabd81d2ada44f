"""CSV files: text to numbers in SI units, with every fault at its line and column.

May import `messages` (the form of a fault) and `units`.
"""

from kmc_oxy.inputs.tables.header_columns import (
    DIMENSIONS,
    Column,
    check_unit,
    named,
    of_quantity,
    quantities_in,
)
from kmc_oxy.inputs.tables.number_cells import NumberCells, first_ones, full_rows
from kmc_oxy.inputs.tables.table_faults import CurveError, FaultCollector, refusal
from kmc_oxy.inputs.tables.text_table import Header, TextTable

__all__ = [
    "DIMENSIONS",
    "Column",
    "CurveError",
    "FaultCollector",
    "Header",
    "NumberCells",
    "TextTable",
    "check_unit",
    "first_ones",
    "full_rows",
    "named",
    "of_quantity",
    "quantities_in",
    "refusal",
]
