"""Results of a finished run: series, ensemble means, laws and their comparison, update curves.

May import `storage` to read the output, and `simulation` to rebuild the lattice of a device.
"""

from kmc_oxy.analysis.conductance_averages import ConductanceAverages, conductance_averages
from kmc_oxy.analysis.half_select_disturb import PUBLISHED, crosstalk
from kmc_oxy.analysis.law_comparison import compare_with_log
from kmc_oxy.analysis.laws import fit, fit_laws, verdict
from kmc_oxy.analysis.path_branches import branches
from kmc_oxy.analysis.result_notes import (
    crosstalk_notes,
    general_notes,
    leg_notes,
    shortened,
    step_name,
    tolerance_notes,
    voltage_text,
)
from kmc_oxy.analysis.series import MAX_VALUES, Datasets, Leg, legs, legs_of_schedule
from kmc_oxy.analysis.soft_bound import SoftBound, compare_laws, fit_soft_bound
from kmc_oxy.analysis.statistics import (
    EnsembleMean,
    Estimate,
    ensemble_mean,
    interval_text,
    is_wide,
    least_squares_slope,
    mean_name,
    mean_over_members,
)
from kmc_oxy.analysis.stored_snapshots import lattice_of, snapshots
from kmc_oxy.analysis.train_laws import TrainLaws, train_laws
from kmc_oxy.analysis.update_curves import (
    Scatter,
    Trains,
    UpdateCurve,
    both_polarities,
    common_range_S,
    read_trains,
    scatter,
    update_curve,
)

__all__ = [
    "MAX_VALUES",
    "PUBLISHED",
    "ConductanceAverages",
    "Datasets",
    "EnsembleMean",
    "Estimate",
    "Leg",
    "Scatter",
    "SoftBound",
    "TrainLaws",
    "Trains",
    "UpdateCurve",
    "both_polarities",
    "branches",
    "common_range_S",
    "compare_laws",
    "compare_with_log",
    "conductance_averages",
    "crosstalk",
    "crosstalk_notes",
    "ensemble_mean",
    "fit",
    "fit_laws",
    "fit_soft_bound",
    "general_notes",
    "interval_text",
    "is_wide",
    "lattice_of",
    "least_squares_slope",
    "leg_notes",
    "legs",
    "legs_of_schedule",
    "mean_name",
    "mean_over_members",
    "read_trains",
    "scatter",
    "shortened",
    "snapshots",
    "step_name",
    "tolerance_notes",
    "train_laws",
    "update_curve",
    "verdict",
    "voltage_text",
]
