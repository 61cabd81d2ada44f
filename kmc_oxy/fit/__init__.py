"""Fit of device parameters to measured curves: fit file, comparison, search, intervals, results.

May import everything below it, above all `measured`, `execution`, `analysis` and `paper`.
"""

from kmc_oxy.fit.fit_cost import FitCost, fit_cost
from kmc_oxy.fit.fit_file import FitFile
from kmc_oxy.fit.fit_folder import FitFolder
from kmc_oxy.fit.fit_progress import FitProgress, progress_of_fit
from kmc_oxy.fit.fit_result import (
    BEST,
    EVALUATIONS,
    FitResult,
    FittedCurve,
    FittedParameter,
    FittedTarget,
    read_fit_result,
)
from kmc_oxy.fit.fit_session import FitSession
from kmc_oxy.fit.loading import LoadedFit, is_fit_file, load_fit
from kmc_oxy.fit.results import result_table, write_results
from kmc_oxy.fit.session_progress import SessionProgress

__all__ = [
    "BEST",
    "EVALUATIONS",
    "FitCost",
    "FitFile",
    "FitFolder",
    "FitProgress",
    "FitResult",
    "FitSession",
    "FittedCurve",
    "FittedParameter",
    "FittedTarget",
    "LoadedFit",
    "SessionProgress",
    "fit_cost",
    "is_fit_file",
    "load_fit",
    "progress_of_fit",
    "read_fit_result",
    "result_table",
    "write_results",
]
