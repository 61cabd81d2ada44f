"""One task: the device of one member, its cells, and their run through the schedule.

It applies the physics to the checked input. May import `protocol`, `inputs` and `physics`.
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
from kmc_oxy.simulation.simulation import Simulation, TaskParameters

__all__ = [
    "Array",
    "CellDistribution",
    "CellMove",
    "CrossPoint",
    "FeedbackError",
    "Pause",
    "Simulation",
    "SyncResult",
    "TaskParameters",
    "balancing_moves",
    "build_lattice",
    "oxygens",
]
