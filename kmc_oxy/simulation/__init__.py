"""One task: the device of one member, its cells, and the schedule that they go through.

Here checked input meets the physics. May import `protocol`, `inputs` and `physics`.
"""

from kmc_oxy.simulation.cell_distribution import (
    Array,
    CellDistribution,
    CellMove,
    Pause,
    SyncResult,
    balancing_moves,
)
from kmc_oxy.simulation.device import CrossPoint, build_lattice, oxygens
from kmc_oxy.simulation.feedback import FeedbackError
from kmc_oxy.simulation.simulation import Simulation

__all__ = [
    "Array",
    "CellDistribution",
    "CellMove",
    "CrossPoint",
    "FeedbackError",
    "Pause",
    "Simulation",
    "SyncResult",
    "balancing_moves",
    "build_lattice",
    "oxygens",
]
