"""Curves that a user has measured: CSV files, and the protocols that repeat the measurements.

May import `inputs` (the base of its models, faults) and `units`.
"""

from kmc_oxy.inputs.tables import CurveError, refusal
from kmc_oxy.measured.column_choice import X_QUANTITIES, Y_QUANTITIES, ColumnChoice
from kmc_oxy.measured.csv_curves import MeasuredCurve, read_curves
from kmc_oxy.measured.data_section import DataSection, ErrorOfY, TimeColumn, XColumn, YColumn
from kmc_oxy.measured.protocol_from_data import readings_of, steps_of

__all__ = [
    "X_QUANTITIES",
    "Y_QUANTITIES",
    "ColumnChoice",
    "CurveError",
    "DataSection",
    "ErrorOfY",
    "MeasuredCurve",
    "TimeColumn",
    "XColumn",
    "YColumn",
    "read_curves",
    "readings_of",
    "refusal",
    "steps_of",
]
