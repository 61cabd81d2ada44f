"""The protocol: its steps flattened to holds of constant voltage and readings.

Also lists the quantities that a reading records. May import `inputs` and the rooms below it.
"""

from kmc_oxy.protocol.flattening import ProtocolError, flatten
from kmc_oxy.protocol.recorded_quantities import Observable, observables, snapshot_readings
from kmc_oxy.protocol.schedule import Drive, Hold, Reading, Schedule

__all__ = [
    "Drive",
    "Hold",
    "Observable",
    "ProtocolError",
    "Reading",
    "Schedule",
    "flatten",
    "observables",
    "snapshot_readings",
]
