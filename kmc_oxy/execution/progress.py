"""Progress of a run for a person to read: a bar on a terminal, log lines elsewhere."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TextIO

from kmc_oxy.execution.tasks import Plan
from kmc_oxy.simulation import Simulation
from kmc_oxy.units import count_text, duration_text


@dataclass(frozen=True)
class Progress:
    """How far a run has come.

    Parameters
    ----------
    tasks, done : int
        All tasks, and those finished (in earlier sessions too).
    fraction : float
        Share of this session's work that is done, the task in progress included.
    hops : int
        Made in this session.
    elapsed_s : float
        Wall-clock time of this session.
    time_s, duration_s : float
        Physical time reached in the task in progress, and its end.
    """

    tasks: int
    done: int
    fraction: float
    hops: int
    elapsed_s: float
    time_s: float
    duration_s: float

    @property
    def hops_per_s(self) -> float:
        return self.hops / self.elapsed_s if self.elapsed_s > 0 else 0.0

    @property
    def remaining_s(self) -> float | None:
        """Wall-clock time left at the present pace; None before there is a pace."""
        if not 0 < self.fraction <= 1:
            return None
        return self.elapsed_s * (1 - self.fraction) / self.fraction


class Meter:
    """Counts tasks and hops of one session and passes them on.

    Parameters
    ----------
    plan : Plan
    todo : int
        Tasks that this session has to do.
    report : callable
        Called with each new `Progress`.
    """

    def __init__(self, plan: Plan, todo: int, report: Callable[[Progress], None]) -> None:
        self._plan = plan
        self._todo = todo
        self._report = report
        self._started = time.monotonic()
        self._done = 0
        self._hops = 0
        self._current: Simulation | None = None
        self._hops_before = 0

    def watch(self, simulation: Simulation) -> None:
        """Take note of a simulation that has begun or gone on."""
        if simulation is not self._current:
            self._current = simulation
            self._hops_before = simulation.hops
        self._pass_on(simulation.hops - self._hops_before, simulation.fraction)

    def finish(self) -> None:
        """Take note that the task in progress is finished."""
        if self._current is not None:
            self._hops += self._current.hops - self._hops_before
        self._done += 1
        self._pass_on(0, 0.0)
        self._current = None

    def _pass_on(self, hops: int, fraction: float) -> None:
        current = self._current
        self._report(
            Progress(
                tasks=self._plan.n_tasks,
                done=self._plan.n_tasks - self._todo + self._done,
                fraction=(self._done + fraction) / self._todo,
                hops=self._hops + hops,
                elapsed_s=time.monotonic() - self._started,
                time_s=current.time_s if current else 0.0,
                duration_s=current.schedule.duration_s if current else 0.0,
            )
        )

#: Seconds between two lines of a log, and between two looks of the bar.
LINE_CADENCE_S = 10.0
VERBOSE_CADENCE_S = 1.0
BAR_CADENCE_S = 0.2
BAR_WIDTH = 24


def line(progress: Progress) -> str:
    """One line on where the run stands."""
    parts = [
        f"{progress.done}/{progress.tasks} tasks",
        f"{100 * progress.fraction:.0f} %",
        f"{duration_text(progress.time_s)} of {duration_text(progress.duration_s)}",
        f"{count_text(progress.hops)}hops",
        f"{count_text(progress.hops_per_s)}hops/s",
    ]
    if progress.remaining_s is not None and progress.fraction < 1:
        parts.append(f"{duration_text(progress.remaining_s)} left")
    return ", ".join(parts)


class ProgressDisplay:
    """Shows `Progress` on a cadence.

    Parameters
    ----------
    stream : text file
        Usually the standard error.
    verbose, quiet : bool
        More often; nothing at all.
    """

    def __init__(self, stream: TextIO, *, verbose: bool = False, quiet: bool = False) -> None:
        self._stream = stream
        self._quiet = quiet
        self._bar = stream.isatty() and not verbose
        self._cadence_s = (
            BAR_CADENCE_S if self._bar else VERBOSE_CADENCE_S if verbose else LINE_CADENCE_S
        )
        # The first line comes soon, so that a reader knows that something happens.
        self._next_s = time.monotonic() + min(1.0, self._cadence_s)
        self._shown = 0

    def __call__(self, progress: Progress) -> None:
        """Show `progress` if it is time to, or the end."""
        now = time.monotonic()
        finished = progress.done == progress.tasks
        if self._quiet or (now < self._next_s and not finished):
            return
        self._next_s = now + self._cadence_s
        text = line(progress)
        if self._bar:
            filled = round(BAR_WIDTH * progress.fraction)
            text = f"[{'#' * filled}{'.' * (BAR_WIDTH - filled)}] {text}"
            self._write("\r" + text.ljust(self._shown))
            self._shown = len(text)
        else:
            self._write(f"{text}\n")

    def close(self) -> None:
        """Leave the terminal at the start of a line."""
        if self._bar and self._shown:
            self._write("\n")
            self._shown = 0

    def _write(self, text: str) -> None:
        # A log that nobody reads any more is no reason to stop computing.
        with contextlib.suppress(BrokenPipeError):
            self._stream.write(text)
            self._stream.flush()
