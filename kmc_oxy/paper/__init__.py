"""The published experiments: their inputs, their criteria and the verdicts.

May import `execution` to run them and `analysis` to judge them.
"""

from kmc_oxy.paper.criteria import WRITES, crosstalk, cycle_numbers, scanned
from kmc_oxy.paper.experiments import (
    COLUMNS,
    EXPERIMENTS,
    SWEEP,
    Experiment,
    recognise,
    write_table,
)
from kmc_oxy.paper.verdict_rows import Verdict

__all__ = [
    "COLUMNS",
    "EXPERIMENTS",
    "SWEEP",
    "WRITES",
    "Experiment",
    "Verdict",
    "crosstalk",
    "cycle_numbers",
    "recognise",
    "scanned",
    "write_table",
]
