r"""Energy landscape of the oxygens: site energies, quenched barriers, and hop rates in a potential.

The rate of a hop i -> j over a bond with quenched barrier B is

.. math::

    k_{ij} = \nu \exp[-(S^*_{ij} - e_i) / k_B T], \qquad
    S^*_{ij} = \max(S_{ij}, e_i, e_j), \qquad
    S_{ij} = \max(e^0_i, e^0_j) + B_{ij} + q (\varphi_i + \varphi_j) / 2,

with :math:`e_i = e^0_i + q \varphi_i`. The outer maximum makes a barrier that the field has
overcome activationless (paper, figure 5c). Both directions have the same saddle energy, so that
:math:`k_{ij}/k_{ji} = \exp[-(e_j - e_i)/k_B T]` holds to rounding in any field.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kmc_oxy.units import BOLTZMANN_EV_PER_K

_LEAST_NORMAL = np.finfo(np.float64).tiny


class Landscape:
    """Site energies and quenched barriers on any graph.

    Parameters
    ----------
    site_energy_eV : array_like, shape (n,)
        Zero-field energy of an oxygen on each site.
    bonds : array_like of int, shape (m, 2)
        Pairs of sites between which an oxygen can hop, each pair once.
    barrier_eV : array_like, shape (m,)
        Barrier above the higher of the two site energies, not negative.
    charge_e : float
        Charge of an oxygen in elementary charges (negative for O2-: -2).
    tunnel_rate_Hz : float, optional
        Temperature-independent rate of the ion's tunnelling. It is added to the downhill direction
        of every bond, and times the Boltzmann factor of the step to the uphill direction, which
        keeps detailed balance.

    Raises
    ------
    ValueError
        If shapes do not agree, a value is not finite, a barrier or the tunnelling rate is
        negative, or a bond names a site that does not exist or joins a site to itself.
    """

    def __init__(
        self,
        site_energy_eV: ArrayLike,
        bonds: ArrayLike,
        barrier_eV: ArrayLike,
        charge_e: float,
        tunnel_rate_Hz: float = 0.0,
    ) -> None:
        self.site_energy_eV = np.ascontiguousarray(site_energy_eV, dtype=np.float64)
        if self.site_energy_eV.ndim != 1 or self.site_energy_eV.size == 0:
            raise ValueError(
                "The 'site_energy_eV' parameter must be a non-empty array of shape (n,). "
                f"Got shape {self.site_energy_eV.shape} instead."
            )
        self.bonds = _checked_bonds(bonds, self.site_energy_eV.size)
        self.barrier_eV = np.ascontiguousarray(barrier_eV, dtype=np.float64)
        if self.barrier_eV.shape != (len(self.bonds),):
            raise ValueError(
                "The 'barrier_eV' parameter must have one value a bond, shape "
                f"({len(self.bonds)},). Got shape {self.barrier_eV.shape} instead."
            )
        _require_finite("site_energy_eV", self.site_energy_eV)
        _require_finite("barrier_eV", self.barrier_eV)
        if self.barrier_eV.size and self.barrier_eV.min() < 0:
            raise ValueError(
                "The 'barrier_eV' parameter must not be negative. "
                f"Got {self.barrier_eV.min()} instead."
            )
        self.charge_e = float(charge_e)
        if not np.isfinite(self.charge_e):
            raise ValueError(f"The 'charge_e' parameter must be finite. Got {charge_e} instead.")
        self.tunnel_rate_Hz = float(tunnel_rate_Hz)
        if not 0 <= self.tunnel_rate_Hz < np.inf:
            raise ValueError(
                "The 'tunnel_rate_Hz' parameter must not be negative. "
                f"Got {tunnel_rate_Hz} instead."
            )

    @property
    def n_sites(self) -> int:
        """Number of sites n."""
        return self.site_energy_eV.size

    @property
    def n_bonds(self) -> int:
        """Number of bonds m."""
        return len(self.bonds)

    def energy_eV(self, potential_V: ArrayLike) -> NDArray[np.float64]:
        """Site energies e_i in the potential, shape (n,), eV; ValueError if one is not finite."""
        with np.errstate(over="ignore", invalid="ignore"):
            energy_eV = self.site_energy_eV + self.charge_e * self.checked_potential(potential_V)
        site = _first_not_finite(energy_eV)
        if site is not None:
            raise ValueError(
                "The 'potential_V' parameter must give finite energies. "
                f"Got {energy_eV[site]} eV at site {site} instead."
            )
        return energy_eV

    def rates(
        self,
        potential_V: ArrayLike,
        temperature_K: float,
        attempt_frequency_Hz: float,
        bonds: slice = slice(None),
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Hop rates of every bond in both directions, without cap and exclusion.

        Parameters
        ----------
        potential_V : array_like, shape (n,)
            Electrostatic potential at each site.
        temperature_K, attempt_frequency_Hz : float
            Both positive.
        bonds : slice, optional
            Only these bonds, so that a large lattice can be computed in pieces.

        Returns
        -------
        k_ij, k_ji : ndarray, shape (m,)
            Rates from the first to the second site of each bond and back, 1/s; finite.

        Raises
        ------
        ValueError
            If a parameter is out of range or of the wrong shape, or a rate is not finite.
        """
        potential = self.checked_potential(potential_V)
        for name, value in (
            ("temperature_K", temperature_K),
            ("attempt_frequency_Hz", attempt_frequency_Hz),
        ):
            if not 0 < value < np.inf:
                raise ValueError(f"The {name!r} parameter must be positive. Got {value} instead.")
        thermal_eV = BOLTZMANN_EV_PER_K * temperature_K
        if thermal_eV < _LEAST_NORMAL:
            raise ValueError(
                "The 'temperature_K' parameter must have a thermal energy that a double holds. "
                f"Got {temperature_K} instead."
            )
        first = bonds.indices(self.n_bonds)[0]
        # An exponent that overflows is a rate of zero.
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            step, above_lower = self._step_and_saddle(potential, bonds)
            bad = _first_not_finite(step, above_lower)
            if bad is not None:
                raise ValueError(
                    "The 'potential_V' parameter must give finite energies on every bond. "
                    f"Got a step of {step[bad]} eV and a saddle {above_lower[bad]} eV above its "
                    f"lower end on bond {first + bad} instead."
                )
            slow = np.exp(-above_lower / thermal_eV)
            fast = np.exp(-(above_lower - np.abs(step)) / thermal_eV)
            if self.tunnel_rate_Hz:
                floor = self.tunnel_rate_Hz / attempt_frequency_Hz
                fast += floor
                slow += floor * np.exp(-np.abs(step) / thermal_eV)
            slow *= attempt_frequency_Hz
            fast *= attempt_frequency_Hz
        bad = _first_not_finite(fast, slow)
        if bad is not None:
            raise ValueError(
                "The 'attempt_frequency_Hz' parameter must give finite rates on every bond. "
                f"Got {attempt_frequency_Hz}, with rates of {fast[bad]} and {slow[bad]} 1/s on "
                f"bond {first + bad}, instead."
            )
        uphill = step > 0
        return np.where(uphill, slow, fast), np.where(uphill, fast, slow)

    def _step_and_saddle(
        self, potential: NDArray[np.float64], bonds: slice
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Of every bond: the energy step e_j - e_i, and the height of S* above the lower end (eV).

        The higher end is |step| above the lower one. All energies are relative to e_i, and the
        reverse rate follows from the energy difference alone, so that a large common energy cancels
        exactly.
        """
        i, j = self.bonds[bonds].T
        rest, charge = self.site_energy_eV, self.charge_e
        step = (rest[j] - rest[i]) + charge * (potential[j] - potential[i])
        climb = (
            np.maximum(rest[j] - rest[i], 0.0)
            + self.barrier_eV[bonds]
            + 0.5 * charge * (potential[j] - potential[i])
        )
        return step, np.maximum(climb - np.minimum(step, 0.0), np.abs(step))

    def checked_potential(self, potential_V: ArrayLike) -> NDArray[np.float64]:
        """`potential_V` as an array; ValueError unless it has shape (n,) and is finite."""
        potential = np.asarray(potential_V, dtype=np.float64)
        if potential.shape != self.site_energy_eV.shape:
            raise ValueError(
                "The 'potential_V' parameter must have one value a site, shape "
                f"({self.n_sites},). Got shape {potential.shape} instead."
            )
        if not np.isfinite(potential).all():
            raise ValueError("The 'potential_V' parameter must be finite. Got NaN or infinity.")
        return potential


def _checked_bonds(bonds: ArrayLike, n_sites: int) -> NDArray[np.int32]:
    """`bonds` as a contiguous array of shape (m, 2); ValueError if it is not a list of bonds."""
    array = np.asarray(bonds)
    if array.size == 0:
        array = array.reshape(0, 2).astype(np.int32)
    if array.ndim != 2 or array.shape[1] != 2:
        raise ValueError(
            "The 'bonds' parameter must be an array of shape (m, 2). "
            f"Got shape {array.shape} instead."
        )
    if not np.issubdtype(array.dtype, np.integer):
        raise ValueError(
            f"The 'bonds' parameter must be an array of integers. Got {array.dtype} instead."
        )
    outside = np.flatnonzero(((array < 0) | (array >= n_sites)).any(axis=1))
    if outside.size:
        raise ValueError(
            f"The 'bonds' parameter must name sites 0 to {n_sites - 1}. "
            f"Got {tuple(array[outside[0]].tolist())} as bond {outside[0]} instead."
        )
    loops = np.flatnonzero(array[:, 0] == array[:, 1])
    if loops.size:
        raise ValueError(
            "The 'bonds' parameter must join two different sites. "
            f"Got {tuple(array[loops[0]].tolist())} as bond {loops[0]} instead."
        )
    return np.ascontiguousarray(array, dtype=np.int32)


def _require_finite(name: str, values: NDArray[np.float64]) -> None:
    bad = _first_not_finite(values)
    if bad is not None:
        raise ValueError(
            f"The {name!r} parameter must be finite. Got {values[bad]} at index {bad} instead."
        )


def _first_not_finite(*arrays: NDArray[np.float64]) -> int | None:
    """The first index at which one of the arrays is not finite; None if there is none."""
    finite = np.logical_and.reduce([np.isfinite(array) for array in arrays])
    return None if finite.all() else int(finite.argmin())
