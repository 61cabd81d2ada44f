"""Displacements between sites of the periodic lattice, and lateral smoothing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kmc_oxy.physics.lattice import Lattice

#: The Gaussian of the smoothing is cut off at this many standard deviations and normalised.
SMOOTHING_REACH = 4.0
#: A Gaussian that reaches this many times around the patch is uniform to rounding.
UNIFORM_FROM = 1000


def stencil(lattice: Lattice, cutoff_m: float) -> NDArray[np.int32]:
    """Displacements (dz, dy, dx), dz <= 0, to every site within the cut-off.

    Each pair of sites is counted once, by its nearest periodic image, even on a small patch.

    Parameters
    ----------
    lattice : Lattice
    cutoff_m : float

    Returns
    -------
    ndarray of int, shape (n_displacements, 3)
        In sites.
    """
    axes = [np.arange(1 - lattice.organic_layers, 1)]
    axes += [np.arange(extent) - (extent - 1) // 2 for extent in (lattice.ny, lattice.nx)]
    every = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    length = lengths_m(every, lattice)
    return every[(length <= cutoff_m) & (length > 0)].astype(np.int32)


def lengths_m(
    displacement: NDArray[np.int_] | NDArray[np.int32], lattice: Lattice
) -> NDArray[np.float64]:
    """Lengths (m) of displacements (dz, dy, dx) counted in sites."""
    step = lattice.organic_thickness_m / lattice.organic_layers
    steps_m = np.array([step, lattice.spacing_m, lattice.spacing_m])
    length: NDArray[np.float64] = np.sqrt(((displacement * steps_m) ** 2).sum(axis=-1))
    return length


def smoothing_taps(extent: int, spacing_m: float, sigma_m: float) -> NDArray[np.float64]:
    """Normalised weights of a truncated Gaussian on `extent` periodic sites, shape (extent,)."""
    weight = np.zeros(extent)
    steps = SMOOTHING_REACH * sigma_m / spacing_m
    if steps > UNIFORM_FROM * extent:
        return np.full(extent, 1 / extent)
    reach = round(steps)
    shift = np.arange(-reach, reach + 1)
    gauss = np.ones(1) if reach == 0 else np.exp(-0.5 * (shift * spacing_m / sigma_m) ** 2)
    np.add.at(weight, shift % extent, gauss)
    normalised: NDArray[np.float64] = weight / weight.sum()
    return normalised


def circulant(taps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Circulant matrix of `taps`: periodic convolution, shape (n, n)."""
    place = np.arange(taps.size)
    matrix: NDArray[np.float64] = taps[place[:, None] - place]
    return matrix
