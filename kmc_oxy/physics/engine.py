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

import json
import math
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kmc_oxy.physics._engine import Kernel, RateTable
from kmc_oxy.physics.cap_windows import (
    LONGEST_S,
    WINDOWS_PER_DECADE,
    gamma_steps,
    window_of,
    window_start_s,
)
from kmc_oxy.physics.engine_clock import TRIALS_PER_STRIDE, EngineClock
from kmc_oxy.physics.engine_state import checked_state
from kmc_oxy.physics.hopping_landscape import Landscape
from kmc_oxy.physics.random_streams import Purpose, seed_sequence
from kmc_oxy.physics.rate_table_cache import RateTables

__all__ = ["WINDOWS_PER_DECADE", "Engine"]

#: Most trials of one `step`.
TRIALS_PER_CALL = 1 << 18
#: Time that a `step` takes at most, about: signals are handled after it (s, wall clock).
STEP_S = 0.15
#: Number of sites from which on neighbours are stored as patterns (see `_engine.Graph`).
PATTERNS_FROM = 20_000
#: `advance` refuses to go on if the rest would take more trials: 1e17 s at 1e7 trials a second.
MOST_TRIALS = 2.0**80
#: A kernel call makes at least so many trials, and at most so many times those of the call before.
_LEAST_TRIALS = 64
_GROWTH = 16


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
        patterned = tolerance is None and land.n_sites >= PATTERNS_FROM
        self._tables = RateTables(land, self.attempt_frequency_Hz, tolerance is not None, patterned)
        self._graph = self._tables.graph
        self._kernel = Kernel(
            self._graph,
            start.astype(np.uint8),
            self._bit_generator,
            0 if tolerance is None else reach,
        )
        self._lock = threading.RLock()
        self._clock = EngineClock()
        self._trials_without_hop = 0
        self._piece = _LEAST_TRIALS  # trials of the next kernel call
        self.set_potential(np.zeros(land.n_sites))

    @property
    def occupied(self) -> NDArray[np.bool_]:
        """Copy of the occupation, shape (n,)."""
        with self._alone():
            return self._kernel.occupied()

    @property
    def time_s(self) -> float:
        """Physical time since the engine was made, s."""
        return self._clock.time_s + self._clock.stride_elapsed_s

    @property
    def since_edge_s(self) -> float:
        """Physical time since the last edge (call of `set_potential`), s."""
        return self._clock.since_edge_s + self._clock.stride_elapsed_s

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
        return self._clock.pending

    def set_potential(self, potential_V: ArrayLike, temperature_K: float | None = None) -> None:
        """Apply a potential. This is an edge: the time since the edge restarts at zero.

        Parameters
        ----------
        potential_V : array_like, shape (n,)
            Electrostatic potential at each site.
        temperature_K : float, optional
            New temperature; unchanged by default.

        Raises
        ------
        ValueError
            If a parameter is out of range or of the wrong shape, or a hop rate is not finite or
            above 1e100 1/s. The engine is then as before.
        RuntimeError
            If another thread uses the engine.
        """
        with self._alone():
            potential = self.landscape.checked_potential(potential_V).copy()
            potential.flags.writeable = False
            warmth_K = self.temperature_K if temperature_K is None else float(temperature_K)
            _require_positive("temperature_K", warmth_K)
            self._table: RateTable = self._tables.table(potential, warmth_K)
            self.temperature_K = warmth_K
            self._potential_V = potential
            self._trials_without_hop = 0
            self._clock.restart()
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

        Raises
        ------
        ValueError
            If a parameter is out of range.
        RuntimeError
            If the hops are so fast or so slow that the end is out of reach, if the duration of a
            `begin` is not reached yet, or if another thread uses the engine.
        """
        with self._alone():
            self.begin(duration_s, resolution_s)
            while not self.step():
                self._require_an_end()

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
        with self._alone():
            if self.pending:
                raise RuntimeError(
                    "The duration of the last begin() is not reached yet: call step()."
                )
            target_s = self._clock.since_edge_s + duration_s
            longest_s = math.inf if self.tolerance is None else LONGEST_S
            if not (target_s <= longest_s and target_s < math.inf):
                raise ValueError(
                    f"The 'duration_s' parameter must end at most {longest_s:g} s after the edge. "
                    f"Got {duration_s} instead."
                )
            self._clock.target_s = target_s
            if duration_s == 0:
                return
            if self.tolerance is not None:
                resolved_s = duration_s / 100 if resolution_s is None else resolution_s
                self._enter(max(self._clock.since_edge_s, min(resolved_s, LONGEST_S)))
            elif self._window is None:
                self._kernel.use(self._table, 0)
                self._window = 0

    def step(self) -> bool:
        """Run for about `STEP_S` of wall-clock time; True when the duration is reached.

        At most `TRIALS_PER_CALL` trials are made. How a duration is cut into steps changes no
        random number and no time.

        Raises
        ------
        RuntimeError
            If waiting times vanish beside the time, if no trial becomes a hop, or if another
            thread uses the engine.
        """
        with self._alone():
            end_of_step_s = time.perf_counter() + STEP_S
            rest = TRIALS_PER_CALL
            while self.pending and rest > 0:
                rest -= self._run(rest)
                if time.perf_counter() >= end_of_step_s:
                    break
            return not self.pending

    def _run(self, most_trials: int) -> int:
        """Make one kernel call in the present window; returns its number of trials."""
        clock = self._clock
        if self.tolerance is not None:
            self._enter(clock.since_edge_s)
        end_s = min(clock.target_s, self._window_end_s())
        trials, hops = self._kernel.trials, self._kernel.hops
        piece = min(most_trials, self._piece, clock.trials_left)
        start_s = time.perf_counter()
        elapsed_s, done = self._kernel.run(
            end_s - clock.since_edge_s, piece, clock.stride_elapsed_s
        )
        made = self._kernel.trials - trials
        if made == piece:
            rate_Hz = made / max(time.perf_counter() - start_s, 1e-9)
            affordable = min(_GROWTH * piece, int(0.5 * STEP_S * rate_Hz))
            self._piece = max(_LEAST_TRIALS, affordable)
        moved = clock.add(made, elapsed_s, end_s if done else None)
        self._trials_without_hop += made
        if self._kernel.hops > hops:
            self._trials_without_hop = 0
        self._require_progress(moved)
        return made

    def state_dict(self) -> dict[str, Any]:
        """Numbers, strings and arrays from which `from_state` continues bit for bit.

        Raises
        ------
        RuntimeError
            If another thread uses the engine.
        """
        with self._alone():
            kernel = self._kernel.state()
            return {
                "temperature_K": self.temperature_K,
                "attempt_frequency_Hz": self.attempt_frequency_Hz,
                "tolerance": math.nan if self.tolerance is None else self.tolerance,
                "reach": self.reach,
                "bit_generator": json.dumps(self._bit_generator.state),
                "potential_V": self._potential_V.copy(),
                **asdict(self._clock),
                "edge_pending": self._window is None,
                "window": 0 if self._window is None else self._window,
                "oxygens": int(np.count_nonzero(kernel["occupied"])),
                **{f"kernel_{key}": value for key, value in kernel.items()},
            }

    @classmethod
    def from_state(cls, land: Landscape, state: dict[str, Any]) -> Engine:
        """An engine that continues from `state_dict` on the same landscape, bit for bit.

        Raises
        ------
        ValueError
            If the state does not fit the landscape or itself (see `kmc_oxy.physics.engine_state`).
        """
        saved = checked_state(land, state)
        engine = cls(
            land,
            saved.kernel["occupied"],
            temperature_K=saved.temperature_K,
            attempt_frequency_Hz=saved.attempt_frequency_Hz,
            tolerance=saved.tolerance,
            reach=saved.reach,
        )
        engine.set_potential(saved.potential_V)
        engine._bit_generator.state = saved.bit_generator
        engine._kernel.restore(None if saved.window is None else engine._table, saved.kernel)
        engine._clock = saved.clock
        engine._window = saved.window
        return engine

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy by the state: a copy never shares the kernel."""
        return type(self).from_state, (self.landscape, self.state_dict())

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other threads out: the kernel runs without the interpreter lock."""
        if not self._lock.acquire(blocking=False):
            raise RuntimeError("The engine is used by another thread. Give each thread its own.")
        try:
            yield
        finally:
            self._lock.release()

    def _require_progress(self, moved: bool) -> None:
        """RuntimeError if times stand still (`moved` is False) or no trial becomes a hop."""
        at_s, rate_Hz = self._clock.since_edge_s, self._kernel.total_rate
        # A stride may also end just after a window has begun, with hardly any time to add.
        if not moved and rate_Hz * at_s > 2.0**53 * TRIALS_PER_STRIDE:
            raise RuntimeError(
                f"Waiting times vanish beside the time: there are {rate_Hz:g} trials a second at "
                f"{at_s:g} s after the edge. Make the duration or the hop rates smaller."
            )
        # Normally at most one trial in five is rejected.
        if self._trials_without_hop > TRIALS_PER_STRIDE:
            raise RuntimeError(
                f"{self._trials_without_hop} trials in a row were rejected: all hops that are "
                "possible now are more than 2^255 times slower than the fastest of the landscape. "
                "Make the duration shorter."
            )

    def _require_an_end(self) -> None:
        """RuntimeError if the rest of the window cannot be reached in the age of the universe."""
        end_s = min(self._clock.target_s, self._window_end_s())
        rate_Hz = self._kernel.total_rate
        if rate_Hz * (end_s - self.since_edge_s) > MOST_TRIALS:
            raise RuntimeError(
                f"The 'duration_s' parameter is out of reach: at {self.since_edge_s:g} s after "
                f"the edge there are {rate_Hz:g} trials a second, until {end_s:g} s. Make it "
                "shorter, or the hop rates smaller, or use capped mode ('tolerance')."
            )

    def _enter(self, resolved_s: float) -> None:
        """Enter the window of `resolved_s` after the edge, unless it or a later one is entered."""
        assert self.tolerance is not None
        window = window_of(resolved_s)
        if self._window is None:
            self._kernel.use(self._table, gamma_steps(self.tolerance, window))
        elif window > self._window:
            self._kernel.lower_gamma(gamma_steps(self.tolerance, window))
        else:
            return
        self._window = window

    def _window_end_s(self) -> float:
        if self.tolerance is None:
            return math.inf
        assert self._window is not None
        return window_start_s(self._window + 1)


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
