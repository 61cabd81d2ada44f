"""One cross-point: its lattice, quenched landscape, conduction network and initial oxygens.

The functions here translate the checked input into the parameters of the physics modules.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kmc_oxy.inputs.schema import BARRIER_CLASSES, Device, Input
from kmc_oxy.physics import (
    Engine,
    FilamentNetwork,
    Landscape,
    Lattice,
    NetworkParameters,
    Purpose,
    SpinParameters,
    SpinValve,
    generator,
    potential,
)


@dataclass(frozen=True)
class CrossPoint:
    """A simulated patch of one junction.

    Parameters
    ----------
    inputs : Input
        Checked input of one point of the scan.
    lattice : Lattice
    landscape : Landscape
    spin_valve : SpinValve
        It contains the conduction network.
    potential_per_volt : ndarray, shape (n_sites,)
        Potential (V) at each site for V(LSMO) - V(Co) = 1 V.
    occupied_at_start : ndarray of bool, shape (n_sites,)
        Initial occupation.
    seed : int
    cell : (int, int, int)
        Member, row and column.
    """

    inputs: Input
    lattice: Lattice
    landscape: Landscape
    spin_valve: SpinValve
    potential_per_volt: NDArray[np.float64]
    occupied_at_start: NDArray[np.bool_]
    seed: int
    cell: tuple[int, int, int]

    @property
    def network(self) -> FilamentNetwork:
        """Conduction network of the patch."""
        return self.spin_valve.network

    @classmethod
    def build(cls, inputs: Input, member: int, row: int, column: int, seed: int) -> CrossPoint:
        """Draw the quenched disorder of one cell.

        It does not depend on the point of a scan: all points have the same devices, so that a
        difference between points is an effect of the scanned key.

        Parameters
        ----------
        inputs : Input
            Checked input of one point of the scan.
        member, row, column : int
        seed : int

        Returns
        -------
        CrossPoint
        """
        device = inputs.device
        cell = (member, row, column)
        lattice = build_lattice(device)
        disorder = generator(seed, Purpose.SITE_ENERGIES, *cell)
        landscape = Landscape(
            site_energies(device, lattice, disorder),
            lattice.bonds,
            barriers(device, lattice, generator(seed, Purpose.BARRIERS, *cell)),
            charge_e=-float(device.oxygen.charge_number),
            tunnel_rate_Hz=device.barriers.tunnel_floor,
        )
        network = FilamentNetwork.draw(
            lattice,
            network_parameters(inputs),
            generator(seed, Purpose.BACKGROUND, *cell),
            generator(seed, Purpose.WEAK_POINTS, *cell),
        )
        return cls(
            inputs=inputs,
            lattice=lattice,
            landscape=landscape,
            spin_valve=SpinValve(network, spin_parameters(inputs)),
            potential_per_volt=potential_per_volt(device, lattice),
            occupied_at_start=oxygens(device, lattice, generator(seed, Purpose.OXYGEN, *cell)),
            seed=seed,
            cell=cell,
        )

    def engine(self, point: int, tolerance: float | None) -> Engine:
        """Make an engine with the initial occupation.

        Parameters
        ----------
        point : int
            Point of the scan: part of the name of the engine's random stream.
        tolerance : float or None
            1/C of the rate cap; None for exact residence times.

        Returns
        -------
        Engine
        """
        return Engine(
            self.landscape,
            self.occupied_at_start,
            temperature_K=self.inputs.device.temperature,
            attempt_frequency_Hz=self.inputs.device.oxygen.attempt_frequency,
            seed=self.seed,
            stream=(point, *self.cell),
            tolerance=tolerance,
            reach=self.inputs.engine.reach,
        )


def build_lattice(device: Device) -> Lattice:
    """Make the lattice of a device.

    Parameters
    ----------
    device : inputs.schema.Device

    Returns
    -------
    Lattice
    """
    given = device.lattice
    return Lattice(
        nx=given.nx,
        ny=given.ny,
        organic_layers=given.n_organic_layers,
        oxide_layers=given.n_oxide_layers,
        spacing_m=given.spacing,
        organic_thickness_m=given.organic_thickness,
        oxide_thickness_m=given.oxide_thickness,
    )


def site_energies(
    device: Device, lattice: Lattice, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Zero-field site energies, shape (n_sites,), eV; zero in the middle of the organic layer."""
    given = device.site_energy
    energy = np.where(lattice.organic, 0.0, given.oxide_offset)
    energy[lattice.layer == 0] -= given.first_layer_binding
    return energy + rng.normal(0.0, given.disorder, lattice.n_sites)


def barriers(device: Device, lattice: Lattice, rng: np.random.Generator) -> NDArray[np.float64]:
    """Quenched barriers, shape (n_bonds,), eV, from the distribution of each bond's class."""
    given = device.barriers
    classes = bond_classes(device, lattice, rng)
    drawn = np.empty(len(classes))
    for number, name in enumerate(BARRIER_CLASSES):
        members = np.flatnonzero(classes == number)
        drawn[members] = given.effective(name).draw(rng, members.size)
    return drawn


def bond_classes(device: Device, lattice: Lattice, rng: np.random.Generator) -> NDArray[np.int8]:
    """Class of each bond as an index into `BARRIER_CLASSES`, shape (n_bonds,).

    The class of a site's +x, +y and +z bonds depends on the layer of that site.
    """
    number = {name: index for index, name in enumerate(BARRIER_CLASSES)}
    layer, vertical = lattice.bond_layer, lattice.bond_axis == 2
    slow = (layer >= 1) & (layer <= device.barriers.slow_layers)
    slow &= rng.random(layer.size) < device.barriers.slow_share
    classes = np.where(slow, number["slow"], number["bulk"]).astype(np.int8)
    classes[(layer == 0) & ~vertical] = number["first_layer_lateral"]
    classes[(layer == 0) & vertical] = number["first_layer_exit"]
    classes[layer >= lattice.organic_layers] = number["oxide"]
    classes[(layer == lattice.organic_layers - 1) & vertical] = number["interface"]
    return classes


def potential_per_volt(device: Device, lattice: Lattice) -> NDArray[np.float64]:
    """Potential at each site for 1 V, shape (n_sites,)."""
    given = device.field
    z, organic, stack = lattice.layer_z_m, lattice.organic_thickness_m, lattice.stack_m
    if given.profile == "interfacial":
        profile = potential.interfacial_profile(
            z, organic, stack,
            given.lsmo_share, given.lsmo_width, given.oxide_share, given.oxide_margin,
        )  # fmt: skip
    elif given.profile == "dielectric":
        profile = potential.dielectric_profile(
            z, organic, stack, given.permittivity_organic, given.permittivity_oxide
        )
    else:
        profile = potential.uniform_profile(z, stack)
    return profile[lattice.layer]


def oxygens(device: Device, lattice: Lattice, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Draw the initial occupation.

    Parameters
    ----------
    device : inputs.schema.Device
    lattice : Lattice
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of bool, shape (n_sites,)
    """
    allowed = np.arange(lattice.n_sites)
    if device.oxygen.start == "oxide":
        allowed = np.flatnonzero(~lattice.organic)
    occupied = np.zeros(lattice.n_sites, dtype=bool)
    occupied[rng.choice(allowed, device.n_oxygens, replace=False)] = True
    return occupied


def network_parameters(inputs: Input) -> NetworkParameters:
    """Parameters of the conduction network, from the input."""
    given = inputs.conductance
    return NetworkParameters(
        conductance_scale_S=given.conductance_scale,
        electrode_prefactor=given.electrode_prefactor,
        decay_length_m=given.decay_length,
        cutoff_m=given.cutoff,
        background_share=given.background,
        barrier_height_eV=given.barrier_height,
        level_width_eV=given.level_width,
        effective_mass=given.effective_mass,
        relative_permittivity=given.permittivity,
        slab_m=given.slab,
        smoothing_m=given.smoothing,
        density_floor_per_site=given.density_floor,
        oxide_decay_per_m=given.oxide_decay,
        weak_points_m=given.weak_points,
        leak_per_column=given.leak,
        multistep_per_column=given.multistep,
        multistep_steps=given.multistep_steps,
        oxide_growth_m=given.oxide_growth,
        patches=given.patches,
        tolerance=given.tolerance,
    )


def spin_parameters(inputs: Input) -> SpinParameters:
    """Parameters of the spin valve, from the input."""
    given = inputs.spin
    return SpinParameters(
        model=given.model,
        polarisation_lsmo=given.polarisation_lsmo,
        polarisation_co=given.polarisation_co,
        relaxation=given.relaxation,
        exchange=given.exchange,
        coercive_lsmo_T=given.coercive_lsmo,
        coercive_co_T=given.coercive_co,
        switching_width_T=given.switching_width,
    )
