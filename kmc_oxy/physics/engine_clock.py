"""The times of an engine: since it was made, since the last edge, and up to the next end."""

from __future__ import annotations

from dataclasses import dataclass

#: The elapsed time is added to the times of an engine after so many trials.
TRIALS_PER_STRIDE = 1 << 18


@dataclass
class EngineClock:
    """Times, summed in strides of a fixed number of trials.

    The kernel sums the waiting times of a stride from zero, since they would lose digits beside a
    long time. A stride ends after so many trials or at a horizon, wherever kernel calls are cut, so
    that rounding does not depend on them.

    Attributes
    ----------
    time_s, time_carry_s : float
        Time since the engine was made at the start of the stride, and the compensation of its sum.
    since_edge_s, target_s : float
        Time since the edge at the start of the stride, and that at which to stop.
    stride_trials : int
        Trials of this stride.
    stride_elapsed_s : float
        Their waiting times, as far as they are not in the times above.
    """

    time_s: float = 0.0
    time_carry_s: float = 0.0
    since_edge_s: float = 0.0
    target_s: float = 0.0
    stride_trials: int = 0
    stride_elapsed_s: float = 0.0

    @property
    def pending(self) -> bool:
        """Whether the target is ahead."""
        return self.since_edge_s < self.target_s

    @property
    def trials_left(self) -> int:
        """Trials until the stride ends."""
        return TRIALS_PER_STRIDE - self.stride_trials

    def restart(self) -> None:
        """An edge: the time since it is zero."""
        self._count(self.stride_elapsed_s)
        self.since_edge_s = self.target_s = self.stride_elapsed_s = 0.0
        self.stride_trials = 0

    def add(self, trials: int, stride_elapsed_s: float, horizon_s: float | None) -> bool:
        """Note a kernel call.

        Parameters
        ----------
        trials : int
            Trials of the call.
        stride_elapsed_s : float
            Of all calls of the stride together.
        horizon_s : float or None
            Time after the edge, if the call has reached it.

        Returns
        -------
        bool
            False if a whole stride was too short to change the time since the edge.
        """
        self.stride_trials += trials
        self.stride_elapsed_s = stride_elapsed_s
        if horizon_s is None and self.trials_left > 0:
            return True
        before_s = self.since_edge_s
        self._count(stride_elapsed_s)
        self.since_edge_s = before_s + stride_elapsed_s if horizon_s is None else horizon_s
        self.stride_elapsed_s = 0.0
        if not self.pending or self.trials_left <= 0:
            self.stride_trials = 0
        return horizon_s is not None or self.since_edge_s > before_s

    def _count(self, elapsed_s: float) -> None:
        """Add to the time by a compensated sum: steps of 1e-12 s must count beside 1e5 s."""
        addend = elapsed_s - self.time_carry_s
        total = self.time_s + addend
        self.time_carry_s = (total - self.time_s) - addend
        self.time_s = total
