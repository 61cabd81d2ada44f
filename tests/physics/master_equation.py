r"""Exact master equation of a few identical particles with exclusion, on any small graph.

Rates of one landscape span 66 decades, and the times asked for reach 1e16 attempt periods, so a
general matrix exponential (scaling, Pade, subtraction) loses exactly the slow processes that
matter. Here nothing is ever subtracted: :math:`e^{Q\tau}` is summed as a Poisson mixture of the
stochastic matrix :math:`I + Q/\Lambda` for a tiny :math:`\tau`, then squared until
:math:`2^k \tau` is the time wanted, each time dividing every row by its sum. All entries are
sums of products of positive numbers, so each keeps its *relative* accuracy, however small it is
(the principle of the Grassmann-Taksar-Heyman elimination), and so do the slow rates.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import chi2

BOLTZMANN_EV_PER_K = 8.617333262e-5

#: Largest exit rate times the first step. Its Poisson series ends after `SERIES_TERMS` terms.
FIRST_STEP = 2.0**-8
SERIES_TERMS = 7
#: Probabilities below this are dropped, which keeps products clear of denormal numbers; 2**60
#: doublings of one could not make it visible.
NEGLIGIBLE = 1e-150


class MasterEquation:
    """All configurations of `n_particles` on `n_sites` sites, and how hops connect them.

    Parameters
    ----------
    n_sites, n_particles : int
        At most a few thousand configurations are practical.
    bonds : array_like of int, shape (m, 2)
        Pairs of sites.

    Attributes
    ----------
    configurations : ndarray of bool, shape (c, n)
        Occupied sites of each configuration.
    """

    def __init__(self, n_sites: int, bonds: ArrayLike, n_particles: int) -> None:
        chosen = np.array(list(combinations(range(n_sites), n_particles)), dtype=int)
        self.configurations = np.zeros((len(chosen), n_sites), dtype=bool)
        np.put_along_axis(self.configurations, chosen, True, axis=1)
        self._bit = 1 << np.arange(n_sites, dtype=np.int64)
        codes = self.configurations @ self._bit
        self._order = np.argsort(codes)
        self._sorted_codes = codes[self._order]
        source, target, bond, backward = [], [], [], []
        for index, (i, j) in enumerate(np.asarray(bonds).reshape(-1, 2)):
            for start, end, back in ((i, j, False), (j, i, True)):
                able = np.flatnonzero(self.configurations[:, start] & ~self.configurations[:, end])
                source.append(able)
                target.append(self._index(codes[able] - self._bit[start] + self._bit[end]))
                bond.append(np.full(len(able), index))
                backward.append(np.full(len(able), back))
        self._source, self._target, self._bond, self._backward = (
            np.concatenate(part) for part in (source, target, bond, backward)
        )

    @property
    def n_configurations(self) -> int:
        return len(self.configurations)

    def _index(self, codes: NDArray[np.int64]) -> NDArray[np.int64]:
        place = np.searchsorted(self._sorted_codes, codes)
        place = np.minimum(place, len(self._sorted_codes) - 1)
        if np.any(self._sorted_codes[place] != codes):
            raise ValueError("A configuration has the wrong number of particles.")
        return self._order[place]

    def index_of(self, occupied: ArrayLike) -> NDArray[np.int64]:
        """Number of each configuration in `occupied`, shape (..., n); raises if none matches."""
        return self._index(np.asarray(occupied, dtype=bool) @ self._bit)

    def certain(self, occupied: ArrayLike) -> NDArray[np.float64]:
        """The distribution that is certain of one configuration, shape (c,)."""
        distribution = np.zeros(self.n_configurations)
        distribution[self.index_of(occupied)] = 1.0
        return distribution

    def counts(self, occupied: ArrayLike) -> NDArray[np.int64]:
        """How often each configuration occurs in `occupied`, shape (copies, n)."""
        return np.bincount(self.index_of(occupied), minlength=self.n_configurations)

    def occupation(self, distribution: ArrayLike) -> NDArray[np.float64]:
        """Probability that each site is occupied, shape (..., n)."""
        return np.asarray(distribution) @ self.configurations

    def equilibrium(self, energy_eV: ArrayLike, temperature_K: float) -> NDArray[np.float64]:
        """Canonical distribution over the configurations, shape (c,)."""
        total = self.configurations @ np.asarray(energy_eV, dtype=float)
        weight = np.exp(-(total - total.min()) / (BOLTZMANN_EV_PER_K * temperature_K))
        return weight / weight.sum()

    def rate_matrix(self, k_ij: ArrayLike, k_ji: ArrayLike) -> NDArray[np.float64]:
        """Rates between configurations, 1/s, shape (c, c), row = from, zero diagonal."""
        k_ij, k_ji = np.asarray(k_ij, dtype=float), np.asarray(k_ji, dtype=float)
        rate = np.where(self._backward, k_ji[self._bond], k_ij[self._bond])
        matrix = np.zeros((self.n_configurations, self.n_configurations))
        np.add.at(matrix, (self._source, self._target), rate)
        return matrix

    def propagate(
        self,
        start: ArrayLike,
        k_ij: ArrayLike,
        k_ji: ArrayLike,
        duration_s: float,
        halvings: Sequence[int] = (0,),
    ) -> NDArray[np.float64]:
        """Distribution after `duration_s` / 2**h at constant rates, for each h of `halvings`.

        Parameters
        ----------
        start : array_like, shape (c,)
            Distribution at time zero.
        k_ij, k_ji : array_like, shape (m,)
            Rates of each bond in both directions, 1/s.
        duration_s : float
        halvings : sequence of int
            Dyadic fractions come out of one chain of squarings at no cost.

        Returns
        -------
        ndarray, shape (len(halvings), c)
        """
        rates = self.rate_matrix(k_ij, k_ji)
        wanted = list(halvings)
        result = np.empty((len(wanted), self.n_configurations))
        uniform_rate = 2.0 * max(float(rates.sum(axis=1).max()), np.finfo(float).tiny)
        squarings = max(0, int(np.ceil(np.log2(uniform_rate * duration_s / FIRST_STEP))))
        squarings = max(squarings, *wanted)
        matrix = first_step(rates, uniform_rate, duration_s * 2.0**-squarings)
        for left in range(squarings, -1, -1):
            for place in (k for k, h in enumerate(wanted) if h == left):
                result[place] = np.asarray(start) @ matrix
            if left > min(wanted):
                matrix[matrix < NEGLIGIBLE] = 0.0
                matrix = normalised(matrix @ matrix)
        return result

    def chi_squared_p(
        self, counts: ArrayLike, distribution: ArrayLike, least_expected: float = 8.0
    ) -> float:
        """P-value of `counts` (c,) under `distribution` (c,), rare configurations pooled."""
        counts = np.asarray(counts, dtype=float)
        expected = np.asarray(distribution, dtype=float) * counts.sum()
        order = np.argsort(-expected)
        observed, expected = counts[order], expected[order]
        # From the rarest on, pool until the pool holds enough to be judged.
        tail = np.cumsum(expected[::-1])[::-1]
        own = int(np.count_nonzero(expected >= least_expected))
        while 0 < own < len(expected) and tail[own] < least_expected:
            if tail[own] <= 1e-3:  # too improbable to pool honestly: none must be seen
                if observed[own:].sum() > 0:
                    return float(tail[own])
                observed, expected = observed[:own], expected[:own]
                break
            own -= 1
        if own < len(expected):
            observed = np.append(observed[:own], observed[own:].sum())
            expected = np.append(expected[:own], expected[own:].sum())
        if len(expected) < 2:
            return 1.0
        return float(chi2.sf(((observed - expected) ** 2 / expected).sum(), len(expected) - 1))


def normalised(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows divided by their sums."""
    return matrix / matrix.sum(axis=1, keepdims=True)


def first_step(
    rates: NDArray[np.float64], uniform_rate: float, step_s: float
) -> NDArray[np.float64]:
    r"""Transition matrix over one short step, :math:`e^{-x} \sum_k x^k M^k / k!`.

    :math:`M = I + Q/\Lambda` with :math:`\Lambda` at least twice the largest exit rate, so
    that its diagonal, the only place with a difference, stays above one half.
    """
    stay = 1.0 - rates.sum(axis=1) / uniform_rate
    mix = rates / uniform_rate
    np.fill_diagonal(mix, stay)
    x = uniform_rate * step_s
    identity = np.eye(len(rates))
    total = identity.copy()
    for order in range(SERIES_TERMS, 0, -1):
        total = identity + (x / order) * (mix @ total)
    return normalised(total)
