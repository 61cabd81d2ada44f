"""The schema of a fit file: the device to start from, its free parameters, the experiments.

Sections that an input has too mean the same in both.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from kmc_oxy.fit.search import population_of
from kmc_oxy.inputs.schema import (
    READ_VOLTAGE_V,
    ConductanceModel,
    Crossbar,
    Device,
    Duration,
    EngineSettings,
    Flag,
    Fraction,
    Inconsistency,
    Number,
    Section,
    Spin,
    Step,
    Voltage,
    Whole,
    filled_from_preset,
    raise_inconsistencies,
)
from kmc_oxy.measured import DataSection

#: Sections of a fit file that become sections of an input.
INPUT_SECTIONS = ("device", "conductance", "spin", "crossbar")
MOST_PARAMETERS = 50
MOST_EVALUATIONS = 1_000_000


class Prior(Section):
    """What is known of a parameter besides its range: a normal distribution."""

    mean: Any = Field(description="most probable value, in the unit of the key")
    deviation: Any = Field(
        description="standard deviation, in the unit of the key; with a logarithmic scale the "
        "factor that is one standard deviation"
    )


class FreeParameter(Section):
    """Range and scale of one parameter of the fit."""

    low: Any = Field(description="smallest value, in the unit of the key")
    high: Any = Field(description="largest value")
    scale: Literal["linear", "log"] = Field(
        default="linear", description="whether steps add or multiply"
    )
    prior: Prior | None = Field(
        default=None, description="what is known besides the range; null: all values are alike"
    )


class Target(Section):
    """A published finding without data: a quantity and the range in which it must lie."""

    quantity: str = Field(
        description="name of a quantity (docs/fitting.md), or part of the name of a quantity of "
        "the paper's criteria"
    )
    of: tuple[Whole, ...] | None = Field(
        default=None,
        description="which legs of the experiment, counted from 0: trains, relaxations, sweeps and "
        "single readings in their order; null: all",
    )
    at_least: Any = Field(default=None, description="lower end of the range")
    at_most: Any = Field(default=None, description="upper end of the range")
    unit: Any = Field(
        default=None,
        description="distance from the range that counts as one standard error; null: a tenth of "
        "the range, or of its one end",
    )
    logarithmic: Flag = Field(
        default=False, description="whether distances are those of the logarithms"
    )

    @model_validator(mode="after")
    def _has_an_end(self) -> Target:
        if self.at_least is None and self.at_most is None:
            raise ValueError("must have at_least or at_most")
        return self


class FromData(Section):
    """How the protocol of an experiment follows from its data: what was done at each row."""

    voltage: Voltage | None = Field(
        default=None,
        description="of the pulses (required against pulse numbers), or held over the times "
        "(null: the reading voltage)",
    )
    duration: Duration | None = Field(
        default=None, gt=0, description="length of a pulse (required against pulse numbers)"
    )
    rest_voltage: Voltage = Field(
        default=READ_VOLTAGE_V, description="held between a pulse and its reading"
    )
    rest: Duration = Field(default=50e-3, ge=0, description="how long; 0: no rest")
    dwell: Duration = Field(
        default=10e-3, gt=0, description="time at each voltage, if the data have no times"
    )


class Experiment(Section):
    """One experiment: its protocol, and what was measured or published."""

    protocol: tuple[Step, ...] | None = Field(
        default=None, min_length=1, description="the steps, in order"
    )
    input: str | None = Field(
        default=None,
        description="an input whose protocol, scan and array are used, relative to the folder of "
        "the fit file; its device is not",
    )
    from_data: FromData | None = Field(
        default=None,
        description="makes the protocol of the data: a train, a relaxation or a sweep for each "
        "curve, with its pulses, times or voltages",
    )
    before: tuple[Step, ...] = Field(
        default=(), description="steps before each of those that `from_data` makes"
    )
    settings: dict[str, Any] = Field(
        default_factory=dict,
        description="dotted key -> value for this experiment alone, such as device.temperature",
    )
    device: Literal["shared", "fresh"] = Field(
        default="shared",
        description="`shared`: the experiments with the same settings run one after the other on "
        "the same device; `fresh`: on a device of its own, conditioned anew",
    )
    data: DataSection | None = Field(default=None, description="the measured curves")
    targets: tuple[Target, ...] = Field(default=(), description="findings without data")
    criterion: str | None = Field(
        default=None,
        description="row of the paper's table, such as 3a, whose quantities the targets name; "
        "needs an `input`",
    )
    weight: Number = Field(default=1.0, gt=0, description="weight of the experiment in the cost")

    @model_validator(mode="after")
    def _is_complete(self) -> Experiment:
        given = (self.protocol is not None, self.input is not None, self.from_data is not None)
        if sum(given) != 1:
            raise ValueError("must have one of protocol, input and from_data")
        if self.from_data is not None and self.data is None:
            raise ValueError("must have data if it has from_data")
        if self.before and self.from_data is None:
            raise ValueError("must have from_data if it has steps before it")
        if self.data is None and not self.targets:
            raise ValueError("must have data or targets")
        if self.criterion is not None and self.input is None:
            raise ValueError("must have an input if it has a criterion")
        return self


class SearchSettings(Section):
    """How the parameters are searched."""

    evaluations: Whole = Field(
        default=300,
        ge=1,
        le=MOST_EVALUATIONS,
        description="number of parameter sets at most, in whole generations",
    )
    method: Literal["cma-es", "tpe"] = Field(
        default="tpe",
        description="`tpe`: Bayesian, better for up to some 300 sets and many optima; `cma-es`: "
        "evolution strategy, better for more sets",
    )
    members: Whole = Field(
        default=6, ge=2, le=10_000, description="devices of an evaluation at first"
    )
    most_members: Whole = Field(
        default=24,
        ge=2,
        le=10_000,
        description="devices of an evaluation at most: their number grows while the search "
        "converges, and the intervals are computed with it",
    )
    screen: Whole | None = Field(
        default=2,
        ge=1,
        le=10_000,
        description="devices of a first look at all sets of a generation: those that are clearly "
        "worse than the best one, at most half of those with a number, get no more; without effect "
        "unless fewer than `members`; null: all sets have all devices",
    )
    population: Whole | None = Field(
        default=None, ge=4, le=10_000, description="sets of a generation; null: 4 + 3 ln(n)"
    )
    step: Fraction = Field(
        default=0.25, gt=0, le=1, description="first step, as a fraction of each range"
    )
    seed: Whole = Field(
        default=1,
        ge=0,
        lt=2**32,
        description="seed of the search and of the devices, which are the same for all sets",
    )
    intervals: Flag = Field(
        default=True, description="whether the intervals of the parameters are computed at the end"
    )

    @model_validator(mode="after")
    def _members_grow(self) -> SearchSettings:
        if self.most_members < self.members:
            raise ValueError(
                f"most_members {self.most_members} is smaller than members {self.members}"
            )
        return self


class FitFile(Section):
    """A fit: what is simulated, what it is compared with, and what is free."""

    name: str = Field(default="", max_length=200, description="title of the fit")
    device: Device = Field(default_factory=Device, description="the cross-point to start from")
    conductance: ConductanceModel = Field(
        default_factory=ConductanceModel, description="as in an input"
    )
    spin: Spin = Field(default_factory=Spin, description="as in an input")
    crossbar: Crossbar = Field(default_factory=Crossbar, description="as in an input")
    engine: EngineSettings = Field(default_factory=EngineSettings, description="as in an input")
    conditioning: tuple[Step, ...] = Field(
        default=(), description="steps before the experiments of each device"
    )
    parameters: dict[str, FreeParameter] = Field(
        min_length=1, max_length=MOST_PARAMETERS, description="dotted key -> range and scale"
    )
    experiments: dict[str, Experiment] = Field(
        min_length=1, max_length=200, description="name -> experiment"
    )
    search: SearchSettings = Field(default_factory=SearchSettings, description="the search")

    @model_validator(mode="before")
    @classmethod
    def _fill_from_preset(cls, data: Any) -> Any:
        return filled_from_preset(data)

    @model_validator(mode="after")
    def _consistent(self) -> FitFile:
        found = []
        for name in self.experiments:
            if not name.strip() or "/" in name or name in (".", ".."):
                message = "must be a name without / and not . or .."
                found.append(Inconsistency(("experiments", name), message, ()))
        population = population_of(self.search.population, len(self.parameters))
        if self.search.evaluations < population:
            message = f"must be at least the {population} sets of one generation"
            found.append(Inconsistency(("search", "evaluations"), message, ()))
        if self.engine.check_tolerance:
            where = ("engine", "check_tolerance")
            found.append(Inconsistency(where, "must be false in a fit", ()))
        raise_inconsistencies(found)
        return self
