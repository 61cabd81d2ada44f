"""The whole input as one checked model, `Input`, and its sections besides device and protocol.

The models do not depend on YAML or on files.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from kmc_oxy.inputs.schema.device import Device
from kmc_oxy.inputs.schema.fields import (
    Conductance,
    Energy,
    Flag,
    Fraction,
    Inconsistency,
    InverseLength,
    Length,
    Location,
    MagneticField,
    Number,
    Resistance,
    Section,
    Voltage,
    Whole,
    dotted,
    raise_inconsistencies,
)
from kmc_oxy.inputs.schema.presets import filled_from_preset
from kmc_oxy.inputs.schema.scan_axes import checked_scan
from kmc_oxy.inputs.schema.step_base import READ_VOLTAGE_V
from kmc_oxy.inputs.schema.steps import (
    Step,
    all_steps,
    largest_span,
    listed_size,
    protocol_size,
)
from kmc_oxy.physics import MAX_RATIO
from kmc_oxy.units import CONDUCTANCE_QUANTUM_S

MAX_PROTOCOL_SIZE = 10_000_000
#: Each takes some microseconds whenever a schedule is made, and a kilobyte of memory.
MAX_LISTED_SIZE = 30_000
MAX_CELLS = 1_000_000


class ConductanceModel(Section):
    """Conductance of a cross-point from the positions of its oxygens."""

    conductance_scale: Conductance = Field(
        default=CONDUCTANCE_QUANTUM_S, gt=0, description="G0, the unit of all links (2e^2/h; free)"
    )
    electrode_prefactor: Number = Field(
        default=1e-3, gt=0, description="G_e/G0 of a link to LSMO (free)"
    )
    decay_length: Length = Field(
        default=0.5e-9, gt=0, description="xi of exp(-2 r/xi) (0.1 to 0.5 nm; free)"
    )
    cutoff: Length = Field(default=3e-9, gt=0, description="longest link")
    background: Fraction = Field(
        default=0.08,
        ge=0,
        lt=1,
        description="share of organic sites that are fixed impurities (free)",
    )
    barrier_height: Energy = Field(
        default=1.2, gt=0, description="phi_B of the Schottky barrier at LSMO"
    )
    level_width: Energy = Field(
        default=0.1,
        gt=0,
        description="E0: energy over which the weight of levels in the barrier decays (free)",
    )
    effective_mass: Number = Field(
        default=1.0,
        gt=0,
        description="m*/m_e of tunnelling; k0 is 5.123/nm sqrt(phi_B/eV) at 1",
    )
    permittivity: Number = Field(
        default=3.2, ge=1, description="relative permittivity of Gaq3 (3.0 to 3.5)"
    )
    slab: Length = Field(
        default=1e-9, gt=0, description="depth at LSMO in which oxygens are counted (free)"
    )
    smoothing: Length = Field(
        default=2.5e-9,
        gt=0,
        le=1e-6,
        description="width of the Gaussian that smooths the count (1.5 to 2.5 nm; free)",
    )
    density_floor: Fraction = Field(
        default=0.003, gt=0, lt=1, description="added to the count, per site (free)"
    )
    oxide_decay: InverseLength = Field(
        default=3e9, ge=0, description="decay constant of tunnelling through AlOx (free)"
    )
    weak_points: Length = Field(
        default=0.15e-9, ge=0, description="lateral variation of the thickness of AlOx (free)"
    )
    leak: Number = Field(
        default=1e-9, gt=0, le=1, description="direct leak per column, in units of G0"
    )
    multistep: Number = Field(
        default=0.0,
        ge=0,
        le=1,
        description="conductance of a multi-step path through the depletion region, in parallel "
        "with the network, where the region has no width; per column, in units of G0; 0: none",
    )
    multistep_steps: Number = Field(
        default=6.0, ge=1, description="number of steps in which that path crosses the region"
    )
    oxide_growth: Length = Field(
        default=0.0,
        ge=0,
        description="thickness of AlOx per oxygen in it: the oxide over a column becomes thinner "
        "as its oxygen leaves; 0: constant thickness",
    )
    tolerance: Number = Field(
        default=1e-6,
        ge=1e-12,
        lt=1,
        description="largest relative error of a solution of the network",
    )
    nonlinearity: Voltage | None = Field(
        default=0.5, gt=0, description="V0 of I = G V0 sinh(V/V0) (free); null: ohmic"
    )
    patches: Whole = Field(
        default=1,
        ge=1,
        description="number of patches side by side in the junction: conductances are this many "
        "times that of the simulated patch (free)",
    )


class Spin(Section):
    """Spin-valve magnetoresistance of a cross-point (all numbers free, except their signs)."""

    model: Literal["impurity_exchange", "julliere", "none"] = Field(
        default="impurity_exchange",
        description="`impurity_exchange`: spin relaxes along the network; "
        "`julliere`: no loss of spin; `none`: no magnetoresistance",
    )
    polarisation_lsmo: Number = Field(
        default=-0.9,
        ge=-1,
        le=1,
        description="P1 of LSMO beside Gaq3; the product "
        "with P2 is negative since the antiparallel state conducts better (paper)",
    )
    polarisation_co: Number = Field(
        default=0.4, ge=-1, le=1, description="P2 of Co on AlOx (0.35 to 0.42)"
    )
    relaxation: Number = Field(
        default=1e-5,
        ge=0,
        description="spin relaxation at every node, in units of G0; proportional to 1/tau_s",
    )
    exchange: Number = Field(
        default=1.0,
        ge=0,
        description="transport of spin over a link by exchange between neighbouring impurity "
        "spins, relative to that by hopping",
    )
    coercive_lsmo: MagneticField = Field(
        default=5e-3, gt=0, description="coercive field of LSMO (2 to 10 mT)"
    )
    coercive_co: MagneticField = Field(
        default=20e-3, gt=0, description="coercive field of Co (10 to 30 mT)"
    )
    switching_width: MagneticField = Field(
        default=1e-3, gt=0, description="width of the switching of each electrode"
    )

    @model_validator(mode="after")
    def _antiparallel_conducts(self) -> Spin:
        if self.model != "none" and abs(self.polarisation_lsmo * self.polarisation_co) == 1:
            raise ValueError(
                "must have polarisation_lsmo or polarisation_co between -1 and 1 with the model "
                f"{self.model}: one of the two states would not conduct"
            )
        return self


class Crossbar(Section):
    """The array: rows are LSMO lines (neurons), columns Co lines (inputs)."""

    rows: Whole = Field(default=1, ge=1, le=MAX_CELLS, description="number of neuron lines")
    columns: Whole = Field(default=1, ge=1, le=MAX_CELLS, description="number of input lines")
    line_resistance: Resistance = Field(
        default=0.0, ge=0, description="resistance of a line between two neighbouring cells (free)"
    )
    scheme: Literal["V/2", "V/3", "grounded", "floating"] = Field(
        default="V/2", description="voltages of the other lines while one cell is programmed"
    )
    read_voltage: Voltage = Field(
        default=READ_VOLTAGE_V,
        description="voltage of a cell that is read: 0.1 V on its input, its neuron at "
        "virtual ground (paper)",
    )

    @model_validator(mode="after")
    def _bounded(self) -> Crossbar:
        if self.rows * self.columns > MAX_CELLS:
            raise ValueError(f"has {self.rows * self.columns} cells; at most {MAX_CELLS}")
        if self.read_voltage == 0:
            raise ValueError("must have a read_voltage other than 0")
        return self


class Ensemble(Section):
    """Independent devices with the same parameters."""

    members: Whole = Field(default=1, ge=1, le=100_000_000, description="number of devices")
    seed: Whole | None = Field(
        default=None,
        ge=0,
        description="seed of all random numbers; null: drawn at random and recorded in the output",
    )


class EngineSettings(Section):
    """How the hops are simulated."""

    algorithm: Literal["capped", "exact"] = Field(
        default="capped",
        description="`exact`: every hop; `capped`: hops fast enough to be in equilibrium "
        "are slowed down",
    )
    tolerance: Number = Field(default=1 / 30, gt=0, lt=1, description="1/C of the rate cap")
    reach: Whole = Field(
        default=2,
        ge=1,
        le=2,
        description="how many steps around a bond the rate cap looks for competing hops; 1 "
        "computes a hop about twice as fast and is less safe (docs/cap.md)",
    )
    check_tolerance: Flag = Field(
        default=False,
        description="whether a few members are also run at 3 times the tolerance, and "
        "the difference is stored",
    )


class Output(Section):
    """What is stored besides the readings."""

    profile: Flag = Field(
        default=True, description="whether each reading stores the occupied fraction of every layer"
    )
    snapshots: Literal["none", "ends", "all"] = Field(
        default="ends",
        description="readings that store the positions of the oxygens: none, the first and the "
        "last, or all",
    )


class Input(Section):
    """One simulation: a device, the protocol applied to it, and the ensemble."""

    name: str = Field(
        default="", max_length=200, description="title of the run, for plots and reports"
    )
    include: str | None = Field(
        default=None,
        min_length=1,
        description="file with any of the sections `device`, `conductance`, `spin` and `crossbar`, "
        "relative to the folder of the input, for all keys of them that the input leaves out",
    )
    device: Device = Field(default_factory=Device, description="the cross-point")
    conductance: ConductanceModel = Field(
        default_factory=ConductanceModel,
        description="conductance from the positions of the oxygens",
    )
    spin: Spin = Field(default_factory=Spin, description="magnetoresistance")
    crossbar: Crossbar = Field(default_factory=Crossbar, description="the array")
    protocol: tuple[Step, ...] = Field(min_length=1, description="the steps, in order")
    scan: Annotated[dict[str, Any], BeforeValidator(checked_scan)] = Field(
        default_factory=dict,
        description="dotted key -> list or range of values; several keys form a grid, the last one "
        "running fastest; those below `zip` take their values together. Steps are counted from 0: "
        "`protocol.1.train.voltage`",
    )
    ensemble: Ensemble = Field(default_factory=Ensemble, description="devices and random numbers")
    engine: EngineSettings = Field(
        default_factory=EngineSettings, description="how the hops are simulated"
    )
    output: Output = Field(default_factory=Output, description="what is stored")

    @model_validator(mode="before")
    @classmethod
    def _fill_from_preset(cls, data: Any) -> Any:
        return filled_from_preset(data)

    @field_validator("name")
    @classmethod
    def _one_line(cls, name: str) -> str:
        if not name.isprintable():
            raise ValueError("must be one line of printable text")
        return name

    @model_validator(mode="after")
    def _consistent(self) -> Input:
        raise_inconsistencies(
            [
                *self._array_faults(),
                *self._size_faults(),
                *self._current_faults(),
                *self._slab_faults(),
                *self._reading_faults(),
            ]
        )
        return self

    def with_layers(self) -> Input:
        """The input with the numbers of layers that follow from the thicknesses filled in."""
        lattice = self.device.lattice
        layers = {
            "organic_layers": lattice.n_organic_layers,
            "oxide_layers": lattice.n_oxide_layers,
        }
        device = self.device.model_copy(update={"lattice": lattice.model_copy(update=layers)})
        return self.model_copy(update={"device": device})

    def doubts(self) -> Iterator[tuple[Location, str]]:
        """Values that are allowed but unlikely to be meant: location and message."""
        for key, message in self.device.lattice.doubts():
            yield ("device", "lattice", key), message

    def _array_faults(self) -> Iterator[Inconsistency]:
        """Steps that do not fit the array."""
        rows, columns = self.crossbar.rows, self.crossbar.columns
        for location, step in all_steps(self.protocol, ("protocol",)):
            for key, message in step.body.array_faults(rows, columns):
                yield Inconsistency((*location, step.kind, key), message, (("crossbar",), location))

    def _size_faults(self) -> Iterator[Inconsistency]:
        """A protocol that is too long."""
        size, listed = protocol_size(self.protocol), listed_size(self.protocol)
        if size > MAX_PROTOCOL_SIZE:
            yield Inconsistency(
                ("protocol",),
                f"has about {size:.2g} pulses and readings; at most {MAX_PROTOCOL_SIZE:.0e}",
                (("protocol",),),
            )
        elif listed > MAX_LISTED_SIZE:
            yield Inconsistency(
                ("protocol",),
                f"has about {listed:.2g} different pulses and readings, those of a train or a "
                f"repeat counted once; at most {MAX_LISTED_SIZE:.0e}",
                (("protocol",),),
            )

    def _current_faults(self) -> Iterator[Inconsistency]:
        """Voltages at which a current V0 sinh(V/V0) exceeds the largest float."""
        feedback = self.device.feedback
        largest_V, where = largest_span(self.protocol)
        if abs(self.crossbar.read_voltage) > largest_V:
            largest_V, where = abs(self.crossbar.read_voltage), ("crossbar", "read_voltage")
        limit = f"must be at least 1/{MAX_RATIO:.0f} of the {largest_V:g} V of {dotted(where)}"
        uses = (("protocol",), ("crossbar",))
        if feedback.potential == "network" and largest_V / feedback.link_nonlinearity > MAX_RATIO:
            link = ("device", "feedback", "link_nonlinearity")
            yield Inconsistency(link, limit, (*uses, ("device", "feedback")))
        nonlinearity_V = self.conductance.nonlinearity
        if nonlinearity_V is not None and largest_V / nonlinearity_V > MAX_RATIO:
            yield Inconsistency(("conductance", "nonlinearity"), limit, (*uses, ("conductance",)))

    def _slab_faults(self) -> Iterator[Inconsistency]:
        """A slab deeper than the organic layer, or without a layer in it."""
        lattice, slab = self.device.lattice, self.conductance.slab
        uses = (("conductance",), ("device", "lattice"))
        if slab > lattice.organic_thickness:
            yield Inconsistency(
                ("conductance", "slab"),
                f"must be at most the {lattice.organic_thickness * 1e9:g} nm of Gaq3 "
                "(device.lattice.organic_thickness)",
                uses,
            )
        if slab <= lattice.first_layer_centre:
            yield Inconsistency(
                ("conductance", "slab"),
                "must reach beyond the centre of the first layer, "
                f"{lattice.first_layer_centre * 1e9:g} nm (half of "
                "device.lattice.organic_thickness over organic_layers)",
                uses,
            )

    def _reading_faults(self) -> Iterator[Inconsistency]:
        """A protocol that records nothing."""
        if not any(step.body.reads() for step in self.protocol):
            yield Inconsistency(
                ("protocol",),
                "must contain a reading (none of its steps reads)",
                (("protocol",),),
            )
