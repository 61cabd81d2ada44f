"""The schema of the input: one pydantic model a section, one field a key.

Each field has its unit, range, default and meaning. May import `physics` and `units`.
"""

from kmc_oxy.inputs.schema import steps
from kmc_oxy.inputs.schema.barrier_distributions import (
    BARRIER_CLASSES,
    DISTRIBUTIONS,
    BarrierDistribution,
    Barriers,
    FlatBarrier,
    GaussianBarrier,
    distribution_name,
)
from kmc_oxy.inputs.schema.device import MAX_TEMPERATURE_K, Device
from kmc_oxy.inputs.schema.fields import (
    MAGNITUDES,
    Fraction,
    Location,
    Section,
    dimension_of,
    dotted,
    parts,
    sections_in,
)
from kmc_oxy.inputs.schema.input import Crossbar, Input
from kmc_oxy.inputs.schema.steps import (
    MAX_LISTED_STEPS,
    READ_VOLTAGE_V,
    Repeat,
    Rest,
    Step,
    StepBody,
    Train,
    all_steps,
    largest_span,
)

__all__ = [
    "BARRIER_CLASSES",
    "DISTRIBUTIONS",
    "MAGNITUDES",
    "MAX_LISTED_STEPS",
    "MAX_TEMPERATURE_K",
    "READ_VOLTAGE_V",
    "BarrierDistribution",
    "Barriers",
    "Crossbar",
    "Device",
    "FlatBarrier",
    "Fraction",
    "GaussianBarrier",
    "Input",
    "Location",
    "Repeat",
    "Rest",
    "Section",
    "Step",
    "StepBody",
    "Train",
    "all_steps",
    "dimension_of",
    "distribution_name",
    "dotted",
    "largest_span",
    "parts",
    "sections_in",
    "steps",
]
