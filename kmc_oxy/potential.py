"""How the applied voltage is shared along the stack (paper, sections 2 and 5; figure 5a)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def interfacial_profile(
    z_m: NDArray[np.float64],
    organic_thickness_m: float,
    stack_m: float,
    lsmo_share: float,
    lsmo_width_m: float,
    oxide_share: float,
    oxide_margin_m: float,
) -> NDArray[np.float64]:
    """Potential per volt at heights z: the resistance, and so the voltage, sits at the interfaces.

    A share of V drops over `lsmo_width_m` at LSMO, another over the oxide and the organic within
    `oxide_margin_m` of it, what is left in between; linear in each.

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
    """Potential per volt of two perfect dielectrics in series: fields go as 1/permittivity."""
    organic = organic_thickness_m / permittivity_organic
    oxide = (stack_m - organic_thickness_m) / permittivity_oxide
    at_interface = oxide / (organic + oxide)
    if stack_m == organic_thickness_m:
        return uniform_profile(z_m, stack_m)
    return np.interp(z_m, [0.0, organic_thickness_m, stack_m], [1.0, at_interface, 0.0])


def uniform_profile(z_m: NDArray[np.float64], stack_m: float) -> NDArray[np.float64]:
    """Potential per volt of a uniform field."""
    return 1.0 - z_m / stack_m
