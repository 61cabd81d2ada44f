"""The `device` section of the input: the lattice, its oxygens, their energies and the field.

Defaults are the parameter set found by hand for the paper's device; `free` marks a number
that was fitted, not measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field, field_validator, model_validator

from kmc_oxy.inputs.schema.barrier_distributions import Barriers
from kmc_oxy.inputs.schema.fields import (
    Energy,
    Fraction,
    Frequency,
    Inconsistency,
    Length,
    Number,
    Section,
    Temperature,
    ThermalResistance,
    Voltage,
    Whole,
    raise_inconsistencies,
)
from kmc_oxy.inputs.schema.presets import preset_text

MAX_SITES = 100_000_000
MAX_LAYERS = 2000
#: Smallest and largest distance of neighbouring sites.
MIN_DISTANCE_M = 1e-10
MAX_DISTANCE_M = 1e-8
MAX_TEMPERATURE_K = 2000.0
#: Largest usual ratio of the distance of layers to the lateral spacing, and of its inverse.
USUAL_RATIO = 1.5


class Lattice(Section):
    """Simple-cubic lattice of one patch, periodic in x and y, closed in z."""

    nx: Whole = Field(default=28, ge=3, le=100_000, description="sites along x")
    ny: Whole = Field(default=28, ge=3, le=100_000, description="sites along y")
    spacing: Length = Field(
        default=0.835e-9,
        ge=MIN_DISTANCE_M,
        le=MAX_DISTANCE_M,
        description="lateral spacing; one molecule per site, from the density of "
        "Alq3, 1.31 g/cm3 (Xiang 2007)",
    )
    organic_layers: Whole | None = Field(
        default=None,
        ge=2,
        le=MAX_LAYERS,
        description="layers of sites in Gaq3; null: the number whose distance is nearest to "
        "`spacing`, 12 at the default thickness",
    )
    organic_thickness: Length = Field(
        default=10e-9, ge=MIN_DISTANCE_M, description="thickness of Gaq3 (paper)"
    )
    oxide_layers: Whole | None = Field(
        default=None,
        ge=1,
        le=MAX_LAYERS,
        description="layers of sites in AlOx; null: as in Gaq3, 2 at the default thickness",
    )
    oxide_thickness: Length = Field(
        default=2e-9, ge=MIN_DISTANCE_M, description="thickness of AlOx (paper)"
    )

    @property
    def n_organic_layers(self) -> int:
        """Number of layers of Gaq3, given or from its thickness."""
        if self.organic_layers is not None:
            return self.organic_layers
        return max(2, round(self.organic_thickness / self.spacing))

    @property
    def n_oxide_layers(self) -> int:
        """Number of layers of AlOx, given or from its thickness."""
        if self.oxide_layers is not None:
            return self.oxide_layers
        return max(1, round(self.oxide_thickness / self.spacing))

    @property
    def n_layers(self) -> int:
        """Number of layers of both materials."""
        return self.n_organic_layers + self.n_oxide_layers

    @property
    def n_sites(self) -> int:
        """Number of sites of the patch."""
        return self.nx * self.ny * self.n_layers

    def _materials(self) -> Iterator[tuple[str, int, float]]:
        """Name, number of layers and thickness (m) of each material."""
        yield "organic", self.n_organic_layers, self.organic_thickness
        yield "oxide", self.n_oxide_layers, self.oxide_thickness

    @property
    def first_layer_centre(self) -> float:
        """Height of the centre of the first layer above LSMO, m."""
        return 0.5 * (self.organic_thickness / self.n_organic_layers)

    @model_validator(mode="after")
    def _bounded(self) -> Lattice:
        for material, layers, thickness in self._materials():
            if layers > MAX_LAYERS:
                raise ValueError(
                    f"has {layers} layers, {material}_thickness over spacing; at most {MAX_LAYERS}"
                )
            distance = thickness / layers
            if not MIN_DISTANCE_M <= distance <= MAX_DISTANCE_M:
                raise ValueError(
                    f"puts the layers {distance * 1e9:.3g} nm apart, {material}_thickness over "
                    f"{material}_layers; molecules are {MIN_DISTANCE_M * 1e9:g} to "
                    f"{MAX_DISTANCE_M * 1e9:g} nm apart"
                )
        if self.n_sites > MAX_SITES:
            raise ValueError(f"has {self.n_sites} sites; at most {MAX_SITES}")
        return self

    def doubts(self) -> Iterator[tuple[str, str]]:
        """Keys with values that are allowed but unlikely to be meant, each with a message."""
        for material, layers, thickness in self._materials():
            distance = thickness / layers
            if not 1 / USUAL_RATIO <= distance / self.spacing <= USUAL_RATIO:
                yield (
                    f"{material}_thickness",
                    f"{thickness * 1e9:g} nm over {layers} {material}_layers puts the layers "
                    f"{distance * 1e9:.3g} nm apart, beside a "
                    f"lateral spacing of {self.spacing * 1e9:g} nm; without {material}_layers "
                    "their number follows the thickness",
                )


class Oxygen(Section):
    """The mobile oxygens: at most one per site; their number is conserved."""

    filling: Fraction = Field(
        default=0.075, gt=0, lt=1, description="fraction of all sites that hold an oxygen (free)"
    )
    charge_number: Whole = Field(
        default=2,
        ge=1,
        le=2,
        description="z in the charge -z e; no set of parameters was found that switches with z = 1",
    )
    attempt_frequency: Frequency = Field(default=1e13, gt=0, description="nu of the hopping rates")
    start: Literal["random", "oxide"] = Field(
        default="random", description="where the oxygens start: anywhere, or all in the oxide"
    )


class SiteEnergy(Section):
    """Energies of an oxygen on its site, without voltage."""

    oxide_offset: Energy = Field(
        default=-0.495, description="energy in AlOx minus that in Gaq3 (free)"
    )
    first_layer_binding: Energy = Field(
        default=0.468,
        description="by how much the energy is lower in the first layer at LSMO (free)",
    )
    disorder: Energy = Field(
        default=0.03, ge=0, description="width of the Gaussian disorder (free)"
    )


class FieldProfile(Section):
    """How the voltage is shared along z."""

    profile: Literal["interfacial", "uniform", "dielectric"] = Field(
        default="interfacial",
        description="`interfacial`: the shares below, linear in between; "
        "`dielectric`: by the permittivities; `uniform`: evenly",
    )
    lsmo_share: Fraction = Field(default=0.4, ge=0, le=1, description="share of V at LSMO (free)")
    lsmo_width: Length = Field(
        default=2.5e-9, gt=0, description="width over which that share drops (free)"
    )
    oxide_share: Fraction = Field(
        default=0.4, ge=0, le=1, description="share of V over AlOx and the Gaq3 beside it (free)"
    )
    oxide_margin: Length = Field(
        default=0.8e-9,
        ge=0,
        description="width of the Gaq3 beside AlOx that belongs to that share (free)",
    )
    permittivity_organic: Number = Field(
        default=3.2, ge=1, description="relative permittivity of Gaq3 (3.0 to 3.5)"
    )
    permittivity_oxide: Number = Field(
        default=9.0, ge=1, description="relative permittivity of AlOx (9.1: NRL 6:108, 2011)"
    )

    @model_validator(mode="after")
    def _shares_within_one(self) -> FieldProfile:
        # The sum of two decimal shares may exceed one by a rounding error.
        if self.profile == "interfacial" and self.lsmo_share + self.oxide_share > 1 + 1e-12:
            total = self.lsmo_share + self.oxide_share
            raise ValueError(f"must not share more than V: lsmo_share + oxide_share is {total:g}")
        return self


class Feedback(Section):
    """How the state of the device acts on its oxygens; updated at edges and 4 times per decade."""

    potential: Literal["prescribed", "network"] = Field(
        default="prescribed",
        description="`prescribed`: V is shared as `device.field` says, independent of the oxygens; "
        "`network`: V is shared as by the nodes of the conduction network, with non-linear links",
    )
    link_nonlinearity: Voltage = Field(
        default=0.1,
        gt=0,
        description="V0 of I = g V0 sinh(dV/V0) of each link, for `network` (from 2kT/e, 13 mV at "
        "76 K, to the 0.5 V of a junction that one link dominates; free)",
    )
    screening_length: Length | None = Field(
        default=None,
        gt=0,
        description="length over which the field of the oxygens' charge decays; their initial "
        "positions count as neutral (free); null: no field",
    )
    thermal_resistance: ThermalResistance = Field(
        default=0.0,
        ge=0,
        description="rise of the oxygens' temperature above `temperature` per power of the patch "
        "(free); 0: no heating",
    )

    @property
    def is_on(self) -> bool:
        """Whether potential or temperature depend on the state of the device."""
        return (
            self.potential == "network"
            or self.screening_length is not None
            or self.thermal_resistance > 0
        )


class Device(Section):
    """One cross-point: LSMO, Gaq3, AlOx, Co."""

    preset: str | None = Field(
        default=None,
        description="named parameter set (`kmc-oxy presets` lists them) for all keys of `device`, "
        "`conductance` and `spin` that the input leaves out; null: the defaults of this page",
    )
    temperature: Temperature = Field(
        default=76.0, gt=0, le=MAX_TEMPERATURE_K, description="temperature (76 K: paper)"
    )
    lattice: Lattice = Field(default_factory=Lattice, description="the patch and its layers")
    oxygen: Oxygen = Field(default_factory=Oxygen, description="the mobile oxygens")
    barriers: Barriers = Field(default_factory=Barriers, description="barriers of the bonds")
    site_energy: SiteEnergy = Field(
        default_factory=SiteEnergy, description="energies without voltage"
    )
    field: FieldProfile = Field(
        default_factory=FieldProfile, description="how the voltage is shared along z"
    )
    feedback: Feedback = Field(
        default_factory=Feedback, description="how the state of the device acts on its oxygens"
    )

    @field_validator("preset")
    @classmethod
    def _preset_exists(cls, name: str | None) -> str | None:
        if name is not None:
            preset_text(name)
        return name

    @property
    def n_oxygens(self) -> int:
        """Number of oxygens of the patch."""
        return round(self.oxygen.filling * self.lattice.n_sites)

    @model_validator(mode="after")
    def _consistent(self) -> Device:
        lattice, field, oxygen = self.lattice, self.field, self.oxygen
        at = ("device", "lattice")
        found = []
        if field.profile == "interfacial" and (
            field.lsmo_width + field.oxide_margin >= lattice.organic_thickness
        ):
            found.append(
                Inconsistency(
                    ("field", "lsmo_width"),
                    "with device.field.oxide_margin must be less than "
                    "device.lattice.organic_thickness, "
                    f"{lattice.organic_thickness * 1e9:g} nm",
                    (at, ("device", "field")),
                )
            )
        if self.barriers.slow_layers > lattice.n_organic_layers - 1:
            found.append(
                Inconsistency(
                    ("barriers", "slow_layers"),
                    f"must be at most {lattice.n_organic_layers - 1}, the other layers of Gaq3",
                    (at, ("device", "barriers")),
                )
            )
        n_oxygen = self.n_oxygens
        room = lattice.n_sites
        if oxygen.start == "oxide":
            room = lattice.nx * lattice.ny * lattice.n_oxide_layers + 1
        if not 1 <= n_oxygen < room:
            found.append(
                Inconsistency(
                    ("oxygen", "filling"),
                    f"puts {n_oxygen} oxygens on {room - (oxygen.start == 'oxide')} sites",
                    (at, ("device", "oxygen")),
                )
            )
        raise_inconsistencies(found)
        return self
