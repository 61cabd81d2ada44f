"""Potential along the stack, from the applied voltage and from charge in the layers.

Paper, sections 2 and 5, and figure 5a.
"""

from __future__ import annotations

import numpy as np
import scipy  # loads its submodules at their first use: most runs use none
from numpy.typing import NDArray

from kmc_oxy.physics.filament_parameters import LEAST, MOST
from kmc_oxy.units import VACUUM_PERMITTIVITY_F_PER_M


def interfacial_profile(
    z_m: NDArray[np.float64],
    organic_thickness_m: float,
    stack_m: float,
    lsmo_share: float,
    lsmo_width_m: float,
    oxide_share: float,
    oxide_margin_m: float,
) -> NDArray[np.float64]:
    """Potential per volt if a given share of the voltage drops at each interface.

    `lsmo_share` of V drops over `lsmo_width_m` at LSMO, `oxide_share` over the oxide and the
    `oxide_margin_m` of Gaq3 next to it, and the rest in between. The potential is linear in each
    of the three parts.

    Returns
    -------
    ndarray, shape of `z_m`
        phi/V, from 1 at LSMO (z = 0) to 0 at Co.
    """
    heights = [0.0, lsmo_width_m, organic_thickness_m - oxide_margin_m, stack_m]
    return np.interp(z_m, heights, [1.0, 1.0 - lsmo_share, oxide_share, 0.0])


def dielectric_profile(
    z_m: NDArray[np.float64],
    organic_thickness_m: float,
    stack_m: float,
    permittivity_organic: float,
    permittivity_oxide: float,
) -> NDArray[np.float64]:
    """Potential per volt of two perfect dielectrics in series: the field is ~ 1/permittivity."""
    for name, value in (
        ("permittivity_organic", permittivity_organic),
        ("permittivity_oxide", permittivity_oxide),
    ):
        if not LEAST <= value <= MOST:
            raise ValueError(
                f"The {name!r} parameter must lie between {LEAST:g} and {MOST:g}. "
                f"Got {value} instead."
            )
    organic = organic_thickness_m / permittivity_organic
    oxide = (stack_m - organic_thickness_m) / permittivity_oxide
    at_interface = oxide / (organic + oxide)
    if not np.isfinite(at_interface):
        raise ValueError(
            "The 'organic_thickness_m' parameter must be a length whose ratio to the permittivity "
            f"is a number. Got {organic_thickness_m} instead."
        )
    if stack_m == organic_thickness_m:
        return uniform_profile(z_m, stack_m)
    return np.interp(z_m, [0.0, organic_thickness_m, stack_m], [1.0, at_interface, 0.0])


def uniform_profile(z_m: NDArray[np.float64], stack_m: float) -> NDArray[np.float64]:
    """Potential per volt of a uniform field."""
    return 1.0 - z_m / stack_m


def screened_potential_V(
    thickness_m: NDArray[np.float64],
    permittivity: NDArray[np.float64],
    charge_C_per_m3: NDArray[np.float64],
    screening_length_m: float,
) -> NDArray[np.float64]:
    r"""Potential at the centres of charged layers between two grounded electrodes.

    Solves Poisson's equation with linear (Debye) screening,

    .. math:: (\varepsilon\varphi')' - \varepsilon\varphi/\lambda^2 = -\rho,

    exactly for a charge and a permittivity that are constant within each layer: there
    :math:`\varphi` is :math:`\rho\lambda^2/\varepsilon` and two exponentials, so that the fluxes
    at both faces are linear in the potentials of the faces, and these obey a tridiagonal system.

    Parameters
    ----------
    thickness_m, permittivity, charge_C_per_m3 : ndarray, shape (n_layers,)
        Of each layer; relative permittivity.
    screening_length_m : float

    Returns
    -------
    ndarray, shape (n_layers,)
        V.

    Raises
    ------
    ValueError
        If a potential is no finite number.
    """
    with np.errstate(all="ignore"):
        potential = _screened(thickness_m, permittivity, charge_C_per_m3, screening_length_m)
    if potential is None or not np.isfinite(potential).all():
        raise ValueError(
            "The 'screening_length_m' parameter must be positive and give finite potentials. "
            f"Got {screening_length_m} at charge densities of up to "
            f"{np.abs(charge_C_per_m3).max():g} C/m3 instead."
        )
    return potential


def _screened(
    thickness_m: NDArray[np.float64],
    permittivity: NDArray[np.float64],
    charge_C_per_m3: NDArray[np.float64],
    screening_length_m: float,
) -> NDArray[np.float64] | None:
    """As `screened_potential_V`; None if the system of the faces is not finite or singular."""
    epsilon = permittivity * VACUUM_PERMITTIVITY_F_PER_M
    reach = thickness_m / screening_length_m
    # Flux through a layer ~ 1/sinh(reach), and flux lost to screening on either side of it.
    through = epsilon / screening_length_m * 2 * np.exp(-reach) / -np.expm1(-2 * reach)
    lost = epsilon / screening_length_m * np.tanh(reach / 2)
    source = charge_C_per_m3 * screening_length_m * np.tanh(reach / 2)
    face = np.zeros(thickness_m.size + 1)
    if thickness_m.size > 1:
        diagonal = (through + lost)[:-1] + (through + lost)[1:]
        load = source[:-1] + source[1:]
        if load.size == 1:  # solveh_banded does not take a single equation
            face[1:-1] = load / diagonal
        else:
            upper = np.concatenate([[0.0], -through[1:-1]])
            try:
                face[1:-1] = scipy.linalg.solveh_banded(np.stack([upper, diagonal]), load)
            except ValueError:  # LinAlgError is one too
                return None
    halfway = (face[:-1] + face[1:]) / (2 * np.cosh(reach / 2))
    own = charge_C_per_m3 * (screening_length_m * screening_length_m) / epsilon
    # 1 - 1/cosh(x) = tanh(x) tanh(x/2) without cancellation.
    potential: NDArray[np.float64] = halfway + own * np.tanh(reach / 2) * np.tanh(reach / 4)
    return potential
