"""The simple-cubic lattice of one cross-point: LSMO / organic layers / oxide layers / Co.

One site per Gaq3 molecule, periodic in x and y, closed in z (paper, section 4 for the stack).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

SHORTEST_M = 1e-30
LONGEST_M = 1e30
"""Lengths whose squares and cubes are far from the limits of a double."""


@dataclass(frozen=True)
class Lattice:
    """Sites, layers and nearest-neighbour bonds of a laterally periodic patch.

    Site ``i = (z*ny + y)*nx + x``: x runs fastest, z = 0 is the layer next to LSMO.

    Parameters
    ----------
    nx, ny : int
        Lateral sites. A periodic direction of fewer than three sites has no wrapping bond.
    organic_layers, oxide_layers : int
        Layers of Gaq3 (at least one) and of AlOx (may be zero).
    spacing_m : float
        Lateral lattice spacing.
    organic_thickness_m, oxide_thickness_m : float
        Thickness of each material; its layers share it equally.

    Raises
    ------
    ValueError
        If a count or a length is out of range.
    """

    nx: int
    ny: int
    organic_layers: int
    oxide_layers: int
    spacing_m: float
    organic_thickness_m: float
    oxide_thickness_m: float

    def __post_init__(self) -> None:
        for name, least in (("nx", 1), ("ny", 1), ("organic_layers", 1), ("oxide_layers", 0)):
            value = getattr(self, name)
            if value < least:
                raise ValueError(f"The {name!r} parameter must be at least {least}. Got {value}.")
        for name in ("spacing_m", "organic_thickness_m"):
            if not SHORTEST_M <= getattr(self, name) <= LONGEST_M:
                raise ValueError(
                    f"The {name!r} parameter must be a positive length, from {SHORTEST_M:g} to "
                    f"{LONGEST_M:g} m. Got {getattr(self, name)}."
                )
        if self.oxide_layers and not SHORTEST_M <= self.oxide_thickness_m <= LONGEST_M:
            raise ValueError(
                "The 'oxide_thickness_m' parameter must be a positive length, from "
                f"{SHORTEST_M:g} to {LONGEST_M:g} m, when there are oxide layers. "
                f"Got {self.oxide_thickness_m}."
            )
        if self.n_sites >= 2**31 - 1:
            raise ValueError(f"The lattice must have fewer than 2^31 sites. Got {self.n_sites}.")

    @property
    def n_layers(self) -> int:
        """Number of layers of both materials."""
        return self.organic_layers + self.oxide_layers

    @property
    def n_columns(self) -> int:
        """Number of columns of sites along z."""
        return self.nx * self.ny

    @property
    def n_sites(self) -> int:
        """Number of sites of the patch."""
        return self.n_columns * self.n_layers

    @property
    def box_m(self) -> tuple[float, float]:
        """Lateral periods (m)."""
        return self.nx * self.spacing_m, self.ny * self.spacing_m

    @property
    def stack_m(self) -> float:
        """Distance between the electrodes (m)."""
        return self.organic_thickness_m + (self.oxide_thickness_m if self.oxide_layers else 0.0)

    @cached_property
    def layer_z_m(self) -> NDArray[np.float64]:
        """Height of the centre of each layer above LSMO, shape (n_layers,), m."""
        height = np.empty(self.n_layers)
        organic, oxide = height[: self.organic_layers], height[self.organic_layers :]
        organic[:] = np.arange(organic.size) + 0.5
        organic *= self.organic_thickness_m / self.organic_layers
        if self.oxide_layers:
            oxide[:] = np.arange(oxide.size) + 0.5
            oxide *= self.oxide_thickness_m / self.oxide_layers
            oxide += self.organic_thickness_m
        return height

    @cached_property
    def layer(self) -> NDArray[np.int32]:
        """Layer of each site, shape (n_sites,)."""
        return np.repeat(np.arange(self.n_layers, dtype=np.int32), self.n_columns)

    @cached_property
    def column(self) -> NDArray[np.int32]:
        """Lateral position of each site, ``y*nx + x``, shape (n_sites,)."""
        return np.tile(np.arange(self.n_columns, dtype=np.int32), self.n_layers)

    @cached_property
    def organic(self) -> NDArray[np.bool_]:
        """Whether a site is in Gaq3, shape (n_sites,)."""
        return self.layer < self.organic_layers

    @cached_property
    def position_m(self) -> NDArray[np.float64]:
        """Cartesian positions, shape (n_sites, 3), m."""
        column = self.column
        return np.column_stack(
            [
                (column % self.nx) * self.spacing_m,
                (column // self.nx) * self.spacing_m,
                self.layer_z_m[self.layer],
            ]
        )

    @cached_property
    def _bond_table(self) -> tuple[NDArray[np.int32], NDArray[np.int8]]:
        site = np.arange(self.n_sites, dtype=np.int32).reshape(self.n_layers, self.ny, self.nx)
        pairs, axes = [], []
        for axis, dimension in enumerate((2, 1, 0)):
            extent = site.shape[dimension]
            periodic = axis < 2 and extent > 2
            first = site if periodic else site.take(range(extent - 1), axis=dimension)
            second = np.roll(site, -1, axis=dimension)
            if not periodic:
                second = second.take(range(extent - 1), axis=dimension)
            pairs.append(np.column_stack([first.ravel(), second.ravel()]))
            axes.append(np.full(first.size, axis, dtype=np.int8))
        bonds, axis_of = np.concatenate(pairs), np.concatenate(axes)
        # Ordered by first site, so that the bonds of a site are contiguous in memory.
        order = np.argsort(bonds[:, 0].astype(np.int64) * 3 + axis_of, kind="stable")
        return np.ascontiguousarray(bonds[order]), axis_of[order]

    @property
    def bonds(self) -> NDArray[np.int32]:
        """Nearest-neighbour bonds, each once: (site, its +x, +y or +z neighbour), shape (m, 2)."""
        return self._bond_table[0]

    @property
    def bond_axis(self) -> NDArray[np.int8]:
        """Direction of each bond: 0, 1, 2 for x, y, z, shape (m,)."""
        return self._bond_table[1]

    @property
    def bond_layer(self) -> NDArray[np.int32]:
        """Layer of the first site of each bond, shape (m,)."""
        return self.layer[self.bonds[:, 0]]
