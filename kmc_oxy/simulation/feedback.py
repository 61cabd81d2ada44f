r"""Feedback of the state of a device on its oxygens: conduction network, charge, heating.

The section `device.feedback` has three effects, all off by default. They give the potential at
every site and the temperature from the voltage of a cell and the positions of its oxygens:

- *network*: the potential of each layer of Gaq3 is the mean over the nodes of the conduction
  network in it, at the full voltage, with links :math:`I = g V_0 \sinh(\Delta V/V_0)`. It replaces
  the prescribed profile of the potential.
- *screened charge*: the laterally averaged charge of the oxygens in each layer, minus its initial
  value, adds its screened potential (`physics.screened_potential_V`), at any voltage.
- *self-heating*: :math:`T = T_0 + R_\mathrm{th} I V` of the patch, with the current of the
  junction, :math:`I = G V_1 \sinh(V/V_1)`, :math:`V_1` = `conductance.nonlinearity`. Heat spreads
  over a filament within picoseconds to nanoseconds, so the steady state is used.

The potential depends on z only, as everywhere in the model. `cells` updates it at edges and four
times per decade.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from kmc_oxy.inputs.schema import MAX_TEMPERATURE_K
from kmc_oxy.physics import Engine, FilamentNetwork, current, screened_potential_V
from kmc_oxy.simulation.device import CrossPoint
from kmc_oxy.units import BOLTZMANN_EV_PER_K, ELEMENTARY_CHARGE_C

Array = NDArray[np.float64]


class FeedbackError(RuntimeError):
    """A state outside the validity of the model; the message is for the user."""


class Feedback:
    """Potential and temperature at the oxygens of one cross-point.

    Both are functions of the voltage and of the occupation only, so there is no state to save.

    Parameters
    ----------
    device : CrossPoint
        Its input says which effects are on.
    """

    def __init__(self, device: CrossPoint) -> None:
        self._device = device
        self._settings = device.inputs.device.feedback
        self._charge_number = device.inputs.device.oxygen.charge_number
        landscape = device.landscape
        first, second = landscape.bonds.T
        climb_eV = landscape.barrier_eV + np.abs(
            landscape.site_energy_eV[second] - landscape.site_energy_eV[first]
        )
        self._highest_eV = float(climb_eV.max())

    def potential_and_temperature(
        self, voltage_V: float, occupied: NDArray[np.bool_]
    ) -> tuple[Array, float]:
        """Compute potential and temperature at a voltage.

        Parameters
        ----------
        voltage_V : float
            V(LSMO) - V(Co).
        occupied : ndarray of bool, shape (n_sites,)

        Returns
        -------
        potential_V : ndarray, shape (n_sites,)
        temperature_K : float

        Raises
        ------
        FeedbackError
            If the temperature exceeds `MAX_TEMPERATURE_K`.
        """
        device, settings = self._device, self._settings
        layer = device.lattice.layer
        if settings.potential == "network":
            potential_V = network_profile_V(
                device.network, occupied, voltage_V, settings.link_nonlinearity
            )[layer]
        else:
            potential_V = device.potential_per_volt * voltage_V
        if settings.screening_length is not None:
            potential_V = potential_V + self._screened_V(occupied, settings.screening_length)[layer]
        temperature_K = device.inputs.device.temperature
        if settings.thermal_resistance and voltage_V:
            temperature_K += settings.thermal_resistance * self._power_W(voltage_V, occupied)
            if not temperature_K <= MAX_TEMPERATURE_K:
                raise FeedbackError(
                    f"thermal runaway: at {voltage_V:g} V a patch heats itself to "
                    f"{temperature_K:.3g} K, above the {MAX_TEMPERATURE_K:g} K that "
                    "device.temperature may be; make device.feedback.thermal_resistance "
                    f"({settings.thermal_resistance:g} K/W), conductance.conductance_scale or the "
                    "voltage smaller"
                )
        return potential_V, temperature_K

    def log_rate_change(self, engine: Engine, potential_V: Array, temperature_K: float) -> float:
        """Upper bound of the change of the logarithm of any hopping rate.

        The exponent of a rate is an energy over kT. The potential changes this energy by at most
        the charge times the change of the potential step of the bond. The temperature changes
        the exponent by the energy times the change of 1/kT. The energy is at most the largest sum
        of a barrier and a difference of site energies, plus one and a half potential steps.

        Parameters
        ----------
        engine : Engine
            With the present potential and temperature.
        potential_V : ndarray, shape (n_sites,)
        temperature_K : float
            The new ones.

        Returns
        -------
        float
        """
        before, after = (
            np.diff(p.reshape(self._device.lattice.n_layers, -1)[:, 0])
            for p in (engine.potential_V, potential_V)
        )
        per_eV_before, per_eV_after = (
            1 / (BOLTZMANN_EV_PER_K * t) for t in (engine.temperature_K, temperature_K)
        )
        charge = self._charge_number
        highest_eV = self._highest_eV + 1.5 * charge * np.abs(after).max()
        return float(
            charge * np.abs(after - before).max() * max(per_eV_before, per_eV_after)
            + highest_eV * abs(per_eV_after - per_eV_before)
        )

    def _screened_V(self, occupied: NDArray[np.bool_], screening_length_m: float) -> Array:
        """Potential of the change of the charge since the start, shape (n_layers,), V."""
        device, lattice = self._device, self._device.lattice
        field = device.inputs.device.field
        change = occupied.astype(float) - device.occupied_at_start
        change_per_site = change.reshape(lattice.n_layers, -1).mean(axis=1)
        organic = np.arange(lattice.n_layers) < lattice.organic_layers
        thickness_m = np.where(
            organic,
            lattice.organic_thickness_m / lattice.organic_layers,
            lattice.oxide_thickness_m / max(lattice.oxide_layers, 1),
        )
        charge_C = -self._charge_number * ELEMENTARY_CHARGE_C * change_per_site
        return screened_potential_V(
            thickness_m,
            np.where(organic, field.permittivity_organic, field.permittivity_oxide),
            charge_C / (lattice.spacing_m**2 * thickness_m),
            screening_length_m,
        )

    def _power_W(self, voltage_V: float, occupied: NDArray[np.bool_]) -> float:
        """Electrical power of one patch at a voltage."""
        settings = self._device.inputs.conductance
        patch_S = self._device.network.conductance(occupied) / settings.patches
        nonlinearity_V = math.inf if settings.nonlinearity is None else settings.nonlinearity
        with np.errstate(over="ignore"):
            return float(voltage_V * current(patch_S, voltage_V, nonlinearity_V))


def network_profile_V(
    network: FilamentNetwork,
    occupied: NDArray[np.bool_],
    voltage_V: float,
    link_nonlinearity_V: float,
) -> Array:
    """Potential of each layer from the potentials of the nodes of the conduction network.

    A layer of Gaq3 has the mean potential of its nodes. Where these means do not fall from LSMO
    to Co, the monotone profile nearest to them is taken (isotonic regression by least squares,
    weighted by the number of nodes). Between layer centres, and in layers without nodes, the
    potential is linear, from V at LSMO (z = 0) to 0 at Co; in AlOx it is linear from the last layer
    of Gaq3 that has nodes.

    Parameters
    ----------
    network : FilamentNetwork
    occupied : ndarray of bool, shape (n_sites,)
    voltage_V, link_nonlinearity_V : float
        As in `FilamentNetwork.node_potentials_V`.

    Returns
    -------
    ndarray, shape (n_layers,)
        In V.

    Raises
    ------
    ValueError, RuntimeError
        As `FilamentNetwork.node_potentials_V`.
    """
    lattice = network.lattice
    site, node_V = network.node_potentials_V(occupied, voltage_V, link_nonlinearity_V)
    layer = lattice.layer[site]
    nodes = np.bincount(layer, minlength=lattice.n_layers)
    with_nodes = np.flatnonzero(nodes)
    sign = math.copysign(1.0, voltage_V)
    total = sign * np.bincount(layer, node_V, lattice.n_layers)
    mean_V = sign * nearest_decreasing(total[with_nodes] / nodes[with_nodes], nodes[with_nodes])
    profile_V: Array = np.interp(
        lattice.layer_z_m,
        [0.0, *lattice.layer_z_m[with_nodes], lattice.stack_m],
        [voltage_V, *mean_V, 0.0],
    )
    return profile_V


def nearest_decreasing(values: Array, weights: NDArray[np.intp]) -> Array:
    """Isotonic regression: the decreasing sequence nearest to `values` in least squares.

    Pool-adjacent-violators algorithm (Barlow et al., Statistical Inference under Order
    Restrictions, 1972).

    Parameters
    ----------
    values : ndarray, shape (n,)
    weights : ndarray of int, shape (n,)
        Positive.

    Returns
    -------
    ndarray, shape (n,)
    """
    pools: list[tuple[float, float, int]] = []  # mean, weight, length
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        pool = (value, weight, 1)
        while pools and pools[-1][0] < pool[0]:
            mean, before, length = pools.pop()
            total = before + pool[1]
            pool = ((mean * before + pool[0] * pool[1]) / total, total, length + pool[2])
        pools.append(pool)
    return np.repeat([p[0] for p in pools], [p[2] for p in pools]).astype(float)
