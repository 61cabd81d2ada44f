r"""Residence-time kinetic Monte Carlo of oxygens with exclusion: exact, or with a rate cap.

Exact mode is the rejection-free n-fold way: the waiting time is exponential with the total rate of
the hops that are possible now, and the hop is drawn in proportion to its rate.

Capped mode makes long times affordable. At time t after the last change of the voltage nothing
faster than 1/t can still be out of equilibrium, so every bond whose slower direction m exceeds

.. math:: \Gamma(t) = C / \max(t, t_0), \qquad C = 1/\mathrm{tolerance},

is capped: both rates are multiplied by the same factor

.. math:: s = \min(1, \max(\Gamma/m,\; A/f,\; B/b)),

which keeps detailed balance exact. A and B are the largest weights of the hops that compete at this
moment with the bond's forward hop (rate f) and backward hop (rate b): other hops of the same
oxygen, and hops of other oxygens into the same empty site. A bond is thus never slower than its
competitors, and branching ratios are kept. With a reach of two steps, the weight of a competitor
that is capped itself is the largest weight one step beyond it, at most its true rate: a fast bond
half-way up an energy barrier must carry the current over the whole barrier. Gamma falls in windows
of a factor 10^(1/4). docs/cap.md compares the rules that were tried, with their errors and costs.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kmc_oxy.physics._engine import Graph, Kernel, RateTable
from kmc_oxy.physics.hopping_landscape import Landscape
from kmc_oxy.physics.random_streams import Purpose, seed_sequence

WINDOWS_PER_DECADE = 4
#: Trials of one kernel call: well under half a second, so that signals are handled in time.
TRIALS_PER_CALL = 1 << 18
#: Rate tables of recent potentials are kept while they take no more than this together.
TABLE_BUDGET_BYTES = 64 << 20
#: Number of sites from which on neighbours are stored as patterns (see `_engine.Graph`).
PATTERNS_FROM = 20_000
_BONDS_PER_PIECE = 1 << 17
_STEPS_PER_OCTAVE = 16


class Engine:
    """Oxygens hopping on a landscape.

    Parameters
    ----------
    land : Landscape
    occupied : array_like of bool, shape (n,)
        Where the oxygens are at the start.
    temperature_K, attempt_frequency_Hz : float
        Both positive.
    seed : int
        Not negative. Together with `stream` it names the sequence of random numbers.
    stream : sequence of int
        Distinguishes independent runs of one seed, e.g. (point, member, row, column).
    tolerance : float, optional
        None for exact mode. Otherwise 0 < tolerance < 1, and capped mode with C = 1/tolerance.
    reach : {2, 1}
        Capped mode: number of steps around a bond within which hops count as competing. 1 takes
        half to two thirds of the time; 2 is correct in far more cases (docs/cap.md).

    Raises
    ------
    ValueError
        If a parameter is out of range or of the wrong shape.

    Examples
    --------
    >>> import numpy as np
    >>> land = Landscape([0.0, 0.0], [(0, 1)], [0.15], charge_e=-2)
    >>> engine = Engine(land, [True, False], temperature_K=76.0)
    >>> engine.set_potential(np.array([0.0, 0.01]))
    >>> engine.advance(1e-3)
    >>> int(engine.occupied.sum())
    1
    """

    def __init__(
        self,
        land: Landscape,
        occupied: ArrayLike,
        temperature_K: float = 76.0,
        attempt_frequency_Hz: float = 1e13,
        seed: int = 1,
        stream: Sequence[int] = (0,),
        tolerance: float | None = None,
        reach: int = 2,
    ) -> None:
        if tolerance is not None and not 0 < tolerance < 1:
            raise ValueError(
                "The 'tolerance' parameter must be None (exact) or lie between 0 and 1. "
                f"Got {tolerance} instead."
            )
        if reach not in (1, 2):
            raise ValueError(f"The 'reach' parameter must be 1 or 2. Got {reach} instead.")
        if seed < 0 or any(part < 0 for part in stream):
            raise ValueError(
                "The 'seed' and 'stream' parameters must not be negative. "
                f"Got {seed} and {tuple(stream)} instead."
            )
        _require_positive("temperature_K", temperature_K)
        _require_positive("attempt_frequency_Hz", attempt_frequency_Hz)
        start = _checked_occupation(occupied, land.n_sites)
        self.landscape = land
        self.temperature_K = float(temperature_K)
        self.attempt_frequency_Hz = float(attempt_frequency_Hz)
        self.tolerance = tolerance
        self.reach = reach
        self._bit_generator = np.random.PCG64DXSM(seed_sequence(seed, Purpose.HOPS, *stream))
        self._pairs = land.bonds
        self._merged: tuple[NDArray[np.intp], NDArray[np.bool_]] | None = None
        patterned = tolerance is None and land.n_sites >= PATTERNS_FROM
        self._graph = Graph(land.n_sites, land.bonds, patterned)
        if self._graph.parallel:
            self._pairs, self._merged = _distinct_pairs(land.bonds)
            self._graph = Graph(land.n_sites, self._pairs, patterned)
        self._kernel = Kernel(
            self._graph,
            start.astype(np.uint8),
            self._bit_generator,
            0 if tolerance is None else reach,
        )
        self._tables: OrderedDict[bytes, RateTable] = OrderedDict()
        self._time_s = 0.0
        self._time_carry_s = 0.0
        self.set_potential(np.zeros(land.n_sites))

    @property
    def occupied(self) -> NDArray[np.bool_]:
        """Copy of the occupation, shape (n,)."""
        return self._kernel.occupied()

    @property
    def time_s(self) -> float:
        """Physical time since the engine was made, s."""
        return self._time_s

    @property
    def since_edge_s(self) -> float:
        """Physical time since the last edge (call of `set_potential`), s."""
        return self._since_edge_s

    @property
    def hops(self) -> int:
        """Hops made so far."""
        return self._kernel.hops

    @property
    def trials(self) -> int:
        """Trials so far: hops and rejections of the composition-rejection step."""
        return self._kernel.trials

    @property
    def potential_V(self) -> NDArray[np.float64]:
        """Potential that is applied, shape (n,), V; read-only."""
        return self._potential_V

    @property
    def pending(self) -> bool:
        """Whether the duration of the last `begin` is not reached yet."""
        return self._since_edge_s < self._target_s

    def set_potential(self, potential_V: ArrayLike, temperature_K: float | None = None) -> None:
        """Apply a potential. This is an edge: the time since the edge restarts at zero.

        Parameters
        ----------
        potential_V : array_like, shape (n,)
            Electrostatic potential at each site.
        temperature_K : float, optional
            New temperature; unchanged by default.
        """
        potential = np.array(potential_V, dtype=np.float64)
        potential.flags.writeable = False
        warmth_K = self.temperature_K if temperature_K is None else float(temperature_K)
        self._table = self._table_for(potential, warmth_K)
        self.temperature_K = warmth_K
        self._potential_V = potential
        self._since_edge_s = 0.0
        self._target_s = 0.0
        self._window: int | None = None  # entered by the first `begin` after the edge

    def advance(self, duration_s: float, resolution_s: float | None = None) -> None:
        """Run for `duration_s` more at the present potential.

        Parameters
        ----------
        duration_s : float
            Not negative. Successive calls go on in time since the same edge.
        resolution_s : float, optional
            Capped mode: earliest time after the edge that is resolved. Processes that are faster
            only reach their equilibrium. Default: a hundredth of `duration_s`.
        """
        self.begin(duration_s, resolution_s)
        while not self.step():
            pass

    def begin(self, duration_s: float, resolution_s: float | None = None) -> None:
        """Set the duration that the following `step` calls run; parameters as in `advance`."""
        if not 0 <= duration_s < math.inf:
            raise ValueError(
                f"The 'duration_s' parameter must not be negative. Got {duration_s} instead."
            )
        if resolution_s is not None and not 0 < resolution_s < math.inf:
            raise ValueError(
                f"The 'resolution_s' parameter must be positive. Got {resolution_s} instead."
            )
        if self.pending:
            raise RuntimeError("The duration of the last begin() is not reached yet: call step().")
        self._target_s = self._since_edge_s + duration_s
        if duration_s == 0:
            return
        if self.tolerance is None:
            if self._window is None:
                self._kernel.use(self._table, 0)
                self._window = 0
            return
        if resolution_s is None:
            resolution_s = duration_s / 100
        self._enter(max(self._since_edge_s, resolution_s))

    def step(self) -> bool:
        """Run at most `TRIALS_PER_CALL` trials; True when the duration is reached."""
        budget = TRIALS_PER_CALL
        while self.pending:
            if self.tolerance is not None:
                self._enter(self._since_edge_s)
            end_s = min(self._target_s, self._window_end_s())
            before = self._kernel.trials
            elapsed_s, done = self._kernel.run(end_s - self._since_edge_s, budget)
            self._count_time(elapsed_s)
            self._since_edge_s = end_s if done else self._since_edge_s + elapsed_s
            budget -= self._kernel.trials - before
            if budget <= 0:
                break
        return not self.pending

    def state_dict(self) -> dict[str, Any]:
        """Numbers, strings and arrays from which `from_state` continues bit for bit."""
        kernel = {f"kernel_{key}": value for key, value in self._kernel.state().items()}
        return {
            "temperature_K": self.temperature_K,
            "attempt_frequency_Hz": self.attempt_frequency_Hz,
            "tolerance": math.nan if self.tolerance is None else self.tolerance,
            "reach": self.reach,
            "bit_generator": json.dumps(self._bit_generator.state),
            "potential_V": self._potential_V.copy(),
            "time_s": self._time_s,
            "time_carry_s": self._time_carry_s,
            "since_edge_s": self._since_edge_s,
            "target_s": self._target_s,
            "edge_pending": self._window is None,
            "window": 0 if self._window is None else self._window,
            **kernel,
        }

    @classmethod
    def from_state(cls, land: Landscape, state: dict[str, Any]) -> Engine:
        """An engine that continues from `state_dict` on the same landscape, bit for bit.

        Raises
        ------
        ValueError
            If the state does not fit the landscape.
        """
        kernel = {
            key.removeprefix("kernel_"): value
            for key, value in state.items()
            if key.startswith("kernel_")
        }
        tolerance = float(state["tolerance"])
        engine = cls(
            land,
            kernel["occupied"],
            temperature_K=float(state["temperature_K"]),
            attempt_frequency_Hz=float(state["attempt_frequency_Hz"]),
            tolerance=None if math.isnan(tolerance) else tolerance,
            reach=int(state["reach"]),
        )
        engine.set_potential(state["potential_V"])
        engine._bit_generator.state = json.loads(state["bit_generator"])
        engine._kernel.restore(engine._table, kernel)
        engine._time_s = float(state["time_s"])
        engine._time_carry_s = float(state["time_carry_s"])
        engine._since_edge_s = float(state["since_edge_s"])
        engine._target_s = float(state["target_s"])
        engine._window = None if state["edge_pending"] else int(state["window"])
        return engine

    def _count_time(self, elapsed_s: float) -> None:
        """Add to the time by a compensated sum: steps of 1e-12 s must count beside 1e5 s."""
        addend = elapsed_s - self._time_carry_s
        total = self._time_s + addend
        self._time_carry_s = (total - self._time_s) - addend
        self._time_s = total

    def _enter(self, resolved_s: float) -> None:
        """Enter the window of `resolved_s` after the edge, unless it or a later one is entered."""
        window = _window_of(resolved_s) if resolved_s > 0 else -(1 << 30)
        if self._window is None:
            self._kernel.use(self._table, self._gamma_steps(window))
        elif window > self._window:
            self._kernel.lower_gamma(self._gamma_steps(window))
        else:
            return
        self._window = window

    def _window_end_s(self) -> float:
        if self.tolerance is None:
            return math.inf
        assert self._window is not None
        return _window_start_s(self._window + 1)

    def _gamma_steps(self, window: int) -> int:
        """log2 of Gamma in steps of the kernel, at the start of the window, where it is largest."""
        assert self.tolerance is not None
        octaves = -math.log2(self.tolerance) - window * math.log2(10) / WINDOWS_PER_DECADE
        return max(-4000, min(4000, round(_STEPS_PER_OCTAVE * octaves)))

    def _table_for(self, potential_V: NDArray[np.float64], temperature_K: float) -> RateTable:
        salt = struct.pack("d", temperature_K)
        key = hashlib.blake2b(potential_V.data, digest_size=16, salt=salt).digest()
        if key in self._tables:
            self._tables.move_to_end(key)
            return self._tables[key]
        table = RateTable(self._graph, self.tolerance is not None)
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
        self._tables[key] = table
        while len(self._tables) > 1 and (
            sum(t.nbytes for t in self._tables.values()) > TABLE_BUDGET_BYTES
        ):
            self._tables.popitem(last=False)
        return table

    def _rates(
        self, potential_V: NDArray[np.float64], temperature_K: float, bonds: slice
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return self.landscape.rates(potential_V, temperature_K, self.attempt_frequency_Hz, bonds)


def _checked_occupation(occupied: ArrayLike, n_sites: int) -> NDArray[np.bool_]:
    """`occupied` as booleans, shape (n_sites,)."""
    start = np.asarray(occupied)
    if start.shape != (n_sites,):
        raise ValueError(
            f"The 'occupied' parameter must have one value a site, shape ({n_sites},). "
            f"Got shape {start.shape} instead."
        )
    if start.dtype != bool and not np.isin(start, (0, 1)).all():
        raise ValueError("The 'occupied' parameter must hold booleans. Got other values.")
    return start.astype(bool)


def _require_positive(name: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise ValueError(f"The {name!r} parameter must be positive. Got {value} instead.")


def _window_of(time_s: float) -> int:
    """Number of the window that holds `time_s`."""
    window = math.floor(WINDOWS_PER_DECADE * math.log10(time_s))
    # log10 may round across a boundary: the boundaries themselves decide.
    while _window_start_s(window) > time_s:
        window -= 1
    while _window_start_s(window + 1) <= time_s:
        window += 1
    return window


def _window_start_s(window: int) -> float:
    return float(10.0 ** (window / WINDOWS_PER_DECADE))


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
