"""The graph of a landscape as the kernel reads it, and rate tables of recent potentials."""

from __future__ import annotations

import hashlib
import struct
from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

from kmc_oxy.physics._engine import Graph, RateTable
from kmc_oxy.physics.hopping_landscape import Landscape

#: Tables are kept while they take no more than this together.
TABLE_BUDGET_BYTES = 64 << 20
_BONDS_PER_PIECE = 1 << 17


class RateTables:
    """Makes the rate tables of one landscape and keeps the recent ones.

    Parameters
    ----------
    land : Landscape
    attempt_frequency_Hz : float
    capped : bool
        Whether the tables hold the logarithms that the cap needs.
    patterned : bool
        Whether neighbours are stored as patterns, if there are few (see `_engine.Graph`).

    Attributes
    ----------
    graph : Graph

    Raises
    ------
    ValueError
        If a site has too many neighbours.
    """

    def __init__(
        self, land: Landscape, attempt_frequency_Hz: float, capped: bool, patterned: bool
    ) -> None:
        self._land = land
        self._attempt_frequency_Hz = attempt_frequency_Hz
        self._capped = capped
        self._pairs = land.bonds
        self._merged: tuple[NDArray[np.intp], NDArray[np.bool_]] | None = None
        self.graph = Graph(land.n_sites, land.bonds, patterned)
        if self.graph.parallel:
            self._pairs, self._merged = _distinct_pairs(land.bonds)
            self.graph = Graph(land.n_sites, self._pairs, patterned)
        self._kept: OrderedDict[bytes, RateTable] = OrderedDict()

    def table(self, potential_V: NDArray[np.float64], temperature_K: float) -> RateTable:
        """Rates in a potential, shape (n,), contiguous.

        Raises
        ------
        ValueError
            As `Landscape.rates`; or if a rate exceeds `_engine.MAX_RATE_HZ`.
        """
        salt = struct.pack("d", temperature_K)
        key = hashlib.blake2b(potential_V.data, digest_size=16, salt=salt).digest()
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        table = self._kept[key] = self._make(potential_V, temperature_K)
        while len(self._kept) > 1 and (
            sum(t.nbytes for t in self._kept.values()) > TABLE_BUDGET_BYTES
        ):
            self._kept.popitem(last=False)
        return table

    def _make(self, potential_V: NDArray[np.float64], temperature_K: float) -> RateTable:
        table = RateTable(self.graph, self._capped)
        if self._merged is not None:
            pair, flipped = self._merged
            k_ij, k_ji = self._rates(potential_V, temperature_K, slice(None))
            table.fill(
                self._pairs,
                _sum_by_pair(pair, np.where(flipped, k_ji, k_ij), len(self._pairs)),
                _sum_by_pair(pair, np.where(flipped, k_ij, k_ji), len(self._pairs)),
            )
        else:
            for start in range(0, max(len(self._pairs), 1), _BONDS_PER_PIECE):
                piece = slice(start, start + _BONDS_PER_PIECE)
                table.fill(self._pairs[piece], *self._rates(potential_V, temperature_K, piece))
        table.close()
        return table

    def _rates(
        self, potential_V: NDArray[np.float64], temperature_K: float, bonds: slice
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return self._land.rates(potential_V, temperature_K, self._attempt_frequency_Hz, bonds)


def _sum_by_pair(
    pair: NDArray[np.intp], rate: NDArray[np.float64], count: int
) -> NDArray[np.float64]:
    return np.bincount(pair, rate, count).astype(np.float64, copy=False)


def _distinct_pairs(
    bonds: NDArray[np.int32],
) -> tuple[NDArray[np.int32], tuple[NDArray[np.intp], NDArray[np.bool_]]]:
    """Distinct pairs of joined sites; for every bond the index of its pair and its orientation.

    Parallel bonds (two sites along a periodic direction have them) act as one bond with the sum of
    their rates.
    """
    key = bonds.min(axis=1).astype(np.int64) << 32 | bonds.max(axis=1)
    distinct, pair = np.unique(key, return_inverse=True)
    pairs = np.column_stack([distinct >> 32, distinct & 0xFFFFFFFF]).astype(np.int32)
    return pairs, (pair, bonds[:, 0] > bonds[:, 1])
