"""The schema of the input: one pydantic model a section, one field a key.

Each field has its unit, range, default and meaning. May import `physics` and `units`.
"""

from kmc_oxy.inputs.schema.barriers import (
    BARRIER_CLASSES,
    DISTRIBUTIONS,
    BarrierDistribution,
    Barriers,
    FlatBarrier,
    GaussianBarrier,
)
from kmc_oxy.inputs.schema.device import MAX_TEMPERATURE_K
from kmc_oxy.inputs.schema.fields import Location, Section, dimension_of, dotted, parts, sections_in
from kmc_oxy.inputs.schema.input import Crossbar, Input
from kmc_oxy.inputs.schema.steps import (
    READ_VOLTAGE_V,
    Repeat,
    Rest,
    Step,
    StepBody,
    Train,
)

__all__ = [
    "BARRIER_CLASSES",
    "DISTRIBUTIONS",
    "MAX_TEMPERATURE_K",
    "READ_VOLTAGE_V",
    "BarrierDistribution",
    "Barriers",
    "Crossbar",
    "FlatBarrier",
    "GaussianBarrier",
    "Input",
    "Location",
    "Repeat",
    "Rest",
    "Section",
    "Step",
    "StepBody",
    "Train",
    "dimension_of",
    "dotted",
    "parts",
    "sections_in",
]
