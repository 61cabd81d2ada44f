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
    Dimension,
    Duration,
    Flag,
    Fraction,
    Inconsistency,
    Location,
    Number,
    Section,
    Voltage,
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
from kmc_oxy.inputs.schema.presets import filled, filled_from_preset, preset_names, preset_text
from kmc_oxy.inputs.schema.scan_axes import ZIP, Axis, axes, read_scan, scanned_keys
from kmc_oxy.inputs.schema.shipped_files import description, shipped_names, shipped_text
from kmc_oxy.inputs.schema.step_base import READ_VOLTAGE_V, Rest, StepBody
from kmc_oxy.inputs.schema.step_loops import as_written
from kmc_oxy.inputs.schema.steps import (
    MAX_LISTED_STEPS,
    Repeat,
    Step,
    Train,
    all_steps,
    largest_span,
)
from kmc_oxy.inputs.schema.stop_conditions import StopCondition, stop_condition
from kmc_oxy.inputs.schema.waveform import READ_WAVE, ReadWave, Waveform

__all__ = [
    "BARRIER_CLASSES",
    "DISTRIBUTIONS",
    "MAGNITUDES",
    "MAX_LISTED_STEPS",
    "MAX_TEMPERATURE_K",
    "MIXTURE",
    "READ_VOLTAGE_V",
    "READ_WAVE",
    "SHARES",
    "ZIP",
    "Axis",
    "BarrierDistribution",
    "BarrierMixture",
    "Barriers",
    "ConductanceModel",
    "Crossbar",
    "Device",
    "Dimension",
    "Duration",
    "EngineSettings",
    "Flag",
    "FlatBarrier",
    "Fraction",
    "GaussianBarrier",
    "Inconsistency",
    "Input",
    "Location",
    "Number",
    "ReadWave",
    "Repeat",
    "Rest",
    "Section",
    "Spin",
    "Step",
    "StepBody",
    "StopCondition",
    "Train",
    "Voltage",
    "Waveform",
    "Whole",
    "all_steps",
    "as_written",
    "axes",
    "description",
    "dimension_of",
    "distribution_name",
    "dotted",
    "filled",
    "filled_from_preset",
    "largest_span",
    "parts",
    "preset_names",
    "preset_text",
    "raise_inconsistencies",
    "read_scan",
    "scanned_keys",
    "sections_in",
    "shipped_names",
    "shipped_text",
    "steps",
    "stop_condition",
]
