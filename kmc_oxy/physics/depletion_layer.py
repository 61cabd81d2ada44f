"""Depletion layer at LSMO: its width in each column, from the oxygens near the electrode.

Schottky approximation: ``W = sqrt(2 eps eps0 phi_B / (e^2 n))`` (paper, figure 5a). The density n
is the number of oxygens below the depth of the slab, smoothed laterally, plus a floor.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kmc_oxy.physics.filament_geometry import circulant, smoothing_taps
from kmc_oxy.physics.filament_parameters import NetworkParameters
from kmc_oxy.physics.lattice import Lattice
from kmc_oxy.units import ELEMENTARY_CHARGE_C, VACUUM_PERMITTIVITY_F_PER_M


class DepletionLayer:
    """Depletion width as a function of the occupation.

    Parameters
    ----------
    lattice : Lattice
    parameters : NetworkParameters

    Attributes
    ----------
    slab_layers : int
        Number of layers whose oxygens are counted.
    density_per_oxygen_per_m3, density_floor_per_m3 : float
        Density of one oxygen in the slab of a column, and the floor.
    width_coefficient : float
        W sqrt(n), m^-1/2.
    taps_x, taps_y : ndarray, shape (nx,), (ny,)
        Weights of the lateral smoothing.
    """

    def __init__(self, lattice: Lattice, parameters: NetworkParameters) -> None:
        p = parameters
        self._shape = (lattice.ny, lattice.nx)
        layer_z_m = lattice.layer_z_m[: lattice.organic_layers]
        self.slab_layers = int(np.count_nonzero(layer_z_m < p.slab_m))
        self.density_per_oxygen_per_m3 = 1 / (lattice.spacing_m**2 * p.slab_m)
        self.density_floor_per_m3 = p.density_floor_per_site / lattice.spacing_m**3
        permittivity = p.relative_permittivity * VACUUM_PERMITTIVITY_F_PER_M
        self.width_coefficient = float(
            np.sqrt(2 * permittivity * p.barrier_height_eV / ELEMENTARY_CHARGE_C)
        )
        self.taps_y = smoothing_taps(lattice.ny, lattice.spacing_m, p.smoothing_m)
        self.taps_x = smoothing_taps(lattice.nx, lattice.spacing_m, p.smoothing_m)

    def widths_m(self, occupied: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Depletion width of each column, shape (ny, nx), m; `occupied` has shape (n_sites,)."""
        layers = occupied.reshape(-1, *self._shape)
        count = layers[: self.slab_layers].sum(axis=0).astype(float)
        smoothed = circulant(self.taps_y) @ count @ circulant(self.taps_x).T
        width: NDArray[np.float64] = self.width_coefficient / np.sqrt(
            smoothed * self.density_per_oxygen_per_m3 + self.density_floor_per_m3
        )
        return width
