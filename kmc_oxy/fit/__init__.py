"""Parameters of a device from measured curves: the search, and how well it knows them.

May import `analysis` and what lies below it.
"""

from kmc_oxy.fit.search import (
    SEARCHES,
    CmaSearch,
    Generation,
    ReplayError,
    Search,
    SearchSettings,
    TpeSearch,
    replay,
)
from kmc_oxy.fit.uncertainty import (
    GaussianPrior,
    LinearModel,
    ParameterEstimate,
    design_points,
    estimate_parameters,
    local_linear_model,
)

__all__ = [
    "SEARCHES",
    "CmaSearch",
    "GaussianPrior",
    "Generation",
    "LinearModel",
    "ParameterEstimate",
    "ReplayError",
    "Search",
    "SearchSettings",
    "TpeSearch",
    "design_points",
    "estimate_parameters",
    "local_linear_model",
    "replay",
]
