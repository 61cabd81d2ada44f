"""Random small systems whose exact solution is known, and many copies of one in one engine.

An engine holds any graph, so `copies` disjoint copies of a small system in one engine are as
many independent repetitions at the kernel's full speed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from master_equation import MasterEquation
from numpy.typing import ArrayLike, NDArray

from kmc_oxy.physics import Engine, Landscape

ATTEMPT_FREQUENCY_HZ = 1e13


@dataclass(frozen=True)
class Instance:
    """One small system.

    Parameters
    ----------
    site_energy_eV : ndarray, shape (n,)
    bonds : ndarray of int, shape (m, 2)
    barrier_eV : ndarray, shape (m,)
    drop_eV : ndarray, shape (n,)
        Energy that the drive takes from an oxygen on each site at full voltage.
    start : ndarray of bool, shape (n,)
        Sites occupied at time zero.
    temperature_K : float
    charge_e : float
    """

    site_energy_eV: NDArray[np.float64]
    bonds: NDArray[np.int64]
    barrier_eV: NDArray[np.float64]
    drop_eV: NDArray[np.float64]
    start: NDArray[np.bool_]
    temperature_K: float = 76.0
    charge_e: float = -2.0

    @property
    def n_sites(self) -> int:
        return len(self.site_energy_eV)

    @cached_property
    def master(self) -> MasterEquation:
        return MasterEquation(self.n_sites, self.bonds, int(self.start.sum()))

    def landscape(self, copies: int = 1) -> Landscape:
        """Disjoint copies in one landscape; copy c holds the sites c*n to c*n + n - 1."""
        shift = self.n_sites * np.arange(copies)[:, None, None]
        return Landscape(
            np.tile(self.site_energy_eV, copies),
            (self.bonds + shift).reshape(-1, 2),
            np.tile(self.barrier_eV, copies),
            self.charge_e,
        )

    def potential_V(self, drive: float, copies: int = 1) -> NDArray[np.float64]:
        """Potential of `drive` times the full voltage."""
        return np.tile(-drive * self.drop_eV / self.charge_e, copies)

    def rates(self, drive: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Rates of every bond under `drive` times the full voltage, 1/s."""
        return self.landscape().rates(
            self.potential_V(drive), self.temperature_K, ATTEMPT_FREQUENCY_HZ
        )

    def energy_eV(self, drive: float) -> NDArray[np.float64]:
        return self.site_energy_eV - drive * self.drop_eV

    def exact(
        self,
        drives: Sequence[float],
        duration_s: float,
        halvings: Sequence[int],
        start: ArrayLike | None = None,
    ) -> NDArray[np.float64]:
        """Exact distributions under one drive after another, each held for `duration_s`.

        Returns
        -------
        ndarray, shape (len(drives), len(halvings), c)
            At `duration_s` / 2**h after each edge; the last of `halvings` must be 0.
        """
        distribution = self.master.certain(self.start) if start is None else np.asarray(start)
        legs = []
        for drive in drives:
            legs.append(
                self.master.propagate(distribution, *self.rates(drive), duration_s, halvings)
            )
            distribution = legs[-1][-1]
        return np.stack(legs)

    def engine(
        self,
        copies: int,
        seed: int,
        tolerance: float | None,
        occupied: NDArray[np.bool_] | None = None,
        reach: int = 2,
    ) -> Engine:
        """An engine on `copies` copies, each at `start` unless `occupied` (copies, n) is given."""
        if occupied is None:
            occupied = np.tile(self.start, (copies, 1))
        return Engine(
            self.landscape(copies),
            occupied.ravel(),
            temperature_K=self.temperature_K,
            attempt_frequency_Hz=ATTEMPT_FREQUENCY_HZ,
            seed=seed,
            stream=(0,),
            tolerance=tolerance,
            reach=reach,
        )

    def simulate(
        self,
        copies: int,
        seed: int,
        tolerance: float | None,
        drives: Sequence[float],
        duration_s: float,
        halvings: Sequence[int],
        resolution_s: float | None = None,
        occupied: NDArray[np.bool_] | None = None,
        reach: int = 2,
    ) -> tuple[NDArray[np.bool_], int]:
        """What the engine makes of the same protocol as `exact`.

        Returns
        -------
        occupied : ndarray of bool, shape (len(drives), len(halvings), copies, n)
        hops : int
            All hops of all copies.
        """
        engine = self.engine(copies, seed, tolerance, occupied, reach)
        legs = []
        for drive in drives:
            engine.set_potential(self.potential_V(drive, copies))
            since_edge, states = 0.0, []
            for halving in halvings:
                until = duration_s * 2.0**-halving
                engine.advance(until - since_edge, resolution_s)
                since_edge = until
                states.append(engine.occupied.reshape(copies, self.n_sites))
            legs.append(np.stack(states))
        return np.stack(legs), engine.hops


def box_bonds(shape: Sequence[int], periodic: Sequence[bool] = ()) -> NDArray[np.int64]:
    """Nearest-neighbour bonds of a box of sites in C order, shape (m, 2)."""
    site = np.arange(int(np.prod(shape))).reshape(shape)
    pairs = []
    for axis, extent in enumerate(shape):
        wraps = bool(periodic) and periodic[axis] and extent > 2
        first = site if wraps else site.take(range(extent - 1), axis=axis)
        second = np.roll(site, -1, axis=axis)
        if not wraps:
            second = second.take(range(extent - 1), axis=axis)
        pairs.append(np.column_stack([first.ravel(), second.ravel()]))
    return np.concatenate(pairs)


def disordered(
    rng: np.random.Generator,
    bonds: NDArray[np.int64],
    position: NDArray[np.float64],
    particles: int,
    barrier_range_eV: tuple[float, float],
    tilt_eV: float,
    disorder_eV: float,
    temperature_K: float = 76.0,
) -> Instance:
    """Flat barriers, Gaussian site disorder, `tilt_eV` a unit of `position`, a random start."""
    n_sites = len(position)
    start = np.zeros(n_sites, dtype=bool)
    start[rng.choice(n_sites, particles, replace=False)] = True
    return Instance(
        site_energy_eV=disorder_eV * rng.standard_normal(n_sites),
        bonds=bonds,
        barrier_eV=rng.uniform(*barrier_range_eV, len(bonds)),
        drop_eV=tilt_eV * position,
        start=start,
        temperature_K=temperature_K,
    )


def box(rng: np.random.Generator, shape: Sequence[int], particles: int, **landscape) -> Instance:
    """A box with the tilt along its last axis; strips are boxes of shape (1, L) and (2, L)."""
    position = np.broadcast_to(np.arange(shape[-1], dtype=float), shape).ravel()
    return disordered(rng, box_bonds(shape), position, particles, **landscape)


def ring(rng: np.random.Generator, length: int, particles: int, **landscape) -> Instance:
    """A ring; the drive is down on one side and up on the other."""
    site = np.arange(length)
    position = np.minimum(site, length - site).astype(float)
    return disordered(rng, box_bonds((length,), (True,)), position, particles, **landscape)


def random_graph(
    rng: np.random.Generator, n_sites: int, extra_bonds: int, particles: int, **landscape
) -> Instance:
    """A random tree with `extra_bonds` more bonds, and random positions."""
    pairs = {(int(rng.integers(k)), k) for k in range(1, n_sites)}
    while len(pairs) < n_sites - 1 + extra_bonds:
        i, j = sorted(int(s) for s in rng.choice(n_sites, 2, replace=False))
        pairs.add((i, j))
    position = rng.uniform(0.0, 2.0, n_sites)
    return disordered(rng, np.array(sorted(pairs)), position, particles, **landscape)


def strip(rng: np.random.Generator, **landscape) -> Instance:
    """A quasi-one-dimensional strip, 1 x 4..8 or 2 x 3..6, with two or three oxygens."""
    shape = (1, int(rng.integers(4, 9))) if rng.random() < 0.5 else (2, int(rng.integers(3, 7)))
    return box(rng, shape, int(rng.integers(2, 4)), **landscape)


def dense_box(rng: np.random.Generator, **landscape) -> Instance:
    """Four oxygens in a box of 2 x 2 x 3."""
    return box(rng, (2, 2, 3), 4, **landscape)


def dense_cube(rng: np.random.Generator, **landscape) -> Instance:
    """Three to five oxygens in a box of 2 x 2 x 2."""
    return box(rng, (2, 2, 2), int(rng.integers(3, 6)), **landscape)


def any_shape(rng: np.random.Generator, **landscape) -> Instance:
    """A strip, a small box, a ring or a random graph."""
    kind = int(rng.integers(4))
    if kind == 0:
        return strip(rng, **landscape)
    if kind == 1:
        return box(rng, (2, 2, 2), int(rng.integers(2, 5)), **landscape)
    if kind == 2:
        return ring(rng, int(rng.integers(4, 9)), int(rng.integers(1, 4)), **landscape)
    return random_graph(
        rng, int(rng.integers(4, 8)), int(rng.integers(4)), int(rng.integers(1, 4)), **landscape
    )


def flat_full_range(rng: np.random.Generator, make=strip) -> Instance:
    """The paper's landscape: barriers flat on [0, 1] eV, tilts of 0 to 0.25 eV a hop, 76 K."""
    return make(
        rng,
        barrier_range_eV=(0.0, 1.0),
        tilt_eV=float(rng.uniform(0.0, 0.25)),
        disorder_eV=0.03,
    )


def flat_narrow(rng: np.random.Generator, make=strip) -> Instance:
    """Where nearly all bonds are fast and the cap is hard: flat on [0, 0.15 .. 0.4] eV, 76 K."""
    return make(
        rng,
        barrier_range_eV=(0.0, float(rng.uniform(0.15, 0.4))),
        tilt_eV=float(rng.uniform(0.05, 0.3)),
        disorder_eV=0.03,
    )


def beyond_noise(
    occupied: NDArray[np.bool_], exact_occupation: NDArray[np.float64], deviations: float
) -> NDArray[np.float64]:
    """Error of each site's occupation less `deviations` standard errors, shape (..., n).

    `occupied` has the copies on its last axis but one. Where the exact occupation is 0 or 1 the
    binomial error vanishes; one copy in the wrong place is then still within the noise.
    """
    copies = occupied.shape[-2]
    error = np.abs(occupied.mean(axis=-2) - exact_occupation)
    variance = np.clip(exact_occupation * (1.0 - exact_occupation), 0.0, None)
    return error - deviations * np.sqrt(variance / copies + 1.0 / copies**2)
