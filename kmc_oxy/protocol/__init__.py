"""The protocol: its steps flattened to holds of constant voltage and readings.

Also lists the quantities that a reading records. May import `inputs` and the rooms below it.
"""

from kmc_oxy.protocol.recorded_quantities import (
    STEPS_WITH_CURRENT,
    Observable,
    all_observables,
    observables,
    snapshot_readings,
)
from kmc_oxy.protocol.schedule import Drive, Hold, Reading, Schedule
from kmc_oxy.protocol.steps_to_schedule import flatten

__all__ = [
    "STEPS_WITH_CURRENT",
    "Drive",
    "Hold",
    "Observable",
    "Reading",
    "Schedule",
    "all_observables",
    "flatten",
    "observables",
    "snapshot_readings",
]
