"""The schema of the input: one pydantic model a section, one field a key.

Each field has its unit, range, default and meaning. May import `physics` and `units`.
"""

from kmc_oxy.inputs.schema import steps
from kmc_oxy.inputs.schema.barrier_distributions import (
    BARRIER_CLASSES,
    DISTRIBUTIONS,
    MIXTURE,
    SHARES,
    BarrierDistribution,
    BarrierMixture,
    Barriers,
    FlatBarrier,
    GaussianBarrier,
    distribution_name,
)
from kmc_oxy.inputs.schema.device import MAX_TEMPERATURE_K, Device
from kmc_oxy.inputs.schema.fields import (
    MAGNITUDES,
    Flag,
    Fraction,
    Inconsistency,
    Location,
    Number,
    Section,
    Whole,
    dimension_of,
    dotted,
    parts,
    raise_inconsistencies,
    sections_in,
)
from kmc_oxy.inputs.schema.input import (
    ConductanceModel,
    Crossbar,
    EngineSettings,
    Input,
    Spin,
)
from kmc_oxy.inputs.schema.presets import filled_from_preset, preset_names, preset_text
from kmc_oxy.inputs.schema.step_loops import as_written
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
    "MIXTURE",
    "READ_VOLTAGE_V",
    "SHARES",
    "BarrierDistribution",
    "BarrierMixture",
    "Barriers",
    "ConductanceModel",
    "Crossbar",
    "Device",
    "EngineSettings",
    "Flag",
    "FlatBarrier",
    "Fraction",
    "GaussianBarrier",
    "Inconsistency",
    "Input",
    "Location",
    "Number",
    "Repeat",
    "Rest",
    "Section",
    "Spin",
    "Step",
    "StepBody",
    "Train",
    "Whole",
    "all_steps",
    "as_written",
    "dimension_of",
    "distribution_name",
    "dotted",
    "filled_from_preset",
    "largest_span",
    "parts",
    "preset_names",
    "preset_text",
    "raise_inconsistencies",
    "sections_in",
    "steps",
]
