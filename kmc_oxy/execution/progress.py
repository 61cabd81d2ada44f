"""Progress of a run: counting it, and showing it as a bar on a terminal or as lines of a log."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TextIO

from kmc_oxy.execution.tasks import Plan
from kmc_oxy.process import is_terminal
from kmc_oxy.simulation import Simulation
from kmc_oxy.units import count_text, duration_text

#: Seconds between two lines of a log, with and without --verbose, and between updates of the bar.
LINE_INTERVAL_S = 10.0
VERBOSE_INTERVAL_S = 1.0
BAR_INTERVAL_S = 0.2
BAR_WIDTH = 24


@dataclass(frozen=True)
class Progress:
    """Progress of a run.

    Parameters
    ----------
    tasks, done : int
        Number of all tasks, and of finished ones (in earlier sessions too).
    fraction : float
        Fraction of this session's work that is done, including the task in progress.
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
        """Hops per wall-clock second."""
        return self.hops / self.elapsed_s if self.elapsed_s > 0 else 0.0

    @property
    def remaining_s(self) -> float | None:
        """Wall-clock time left at the mean speed so far; None while that is unknown."""
        if not 0 < self.fraction <= 1:
            return None
        return self.elapsed_s * (1 - self.fraction) / self.fraction


class ProgressCounter:
    """Counts tasks and hops of a session of one process.

    Parameters
    ----------
    plan : Plan
    tasks : int
        Number of tasks of this session.
    report : callable
        Called with each new `Progress`.
    """

    def __init__(self, plan: Plan, tasks: int, report: Callable[[Progress], None]) -> None:
        self._plan = plan
        self._tasks = tasks
        self._report = report
        self._began_s = time.monotonic()
        self._finished = 0
        self._hops = 0
        self._simulation: Simulation | None = None
        self._hops_before = 0

    def update(self, simulation: Simulation) -> None:
        """Report the progress of the task in progress.

        Parameters
        ----------
        simulation : Simulation
        """
        if simulation is not self._simulation:
            self._simulation = simulation
            self._hops_before = simulation.hops
        self._report_now(simulation.hops - self._hops_before, simulation.fraction)

    def finish_task(self) -> None:
        """Report that the task in progress is finished."""
        if self._simulation is not None:
            self._hops += self._simulation.hops - self._hops_before
        self._finished += 1
        self._report_now(0, 0.0)
        self._simulation = None

    def _report_now(self, hops: int, fraction: float) -> None:
        current = self._simulation
        self._report(
            Progress(
                tasks=self._plan.n_tasks,
                done=self._plan.n_tasks - self._tasks + self._finished,
                fraction=(self._finished + fraction) / self._tasks,
                hops=self._hops + hops,
                elapsed_s=time.monotonic() - self._began_s,
                time_s=current.time_s if current else 0.0,
                duration_s=current.schedule.duration_s if current else 0.0,
            )
        )


def progress_line(progress: Progress) -> str:
    """Format progress as one line.

    Parameters
    ----------
    progress : Progress

    Returns
    -------
    str
    """
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


def progress_json(progress: Progress) -> str:
    """Format progress as one line of JSON, for other programs.

    Parameters
    ----------
    progress : Progress

    Returns
    -------
    str
        An object with the fields of `Progress`.
    """
    return json.dumps(dataclasses.asdict(progress))


class ProgressDisplay:
    """Shows `Progress` at intervals; called with each new one.

    Parameters
    ----------
    stream : text file
        Usually the standard error. On a terminal a bar is shown, elsewhere lines of a log.
    verbose : bool
        Show lines, and more often.
    quiet : bool
        Show nothing.
    line : callable
        Formats progress as one line.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        verbose: bool = False,
        quiet: bool = False,
        line: Callable[[Progress], str] = progress_line,
    ) -> None:
        self._stream = stream
        self._quiet = quiet
        self._line = line
        self._bar = is_terminal(stream) and not verbose
        self._interval_s = (
            BAR_INTERVAL_S if self._bar else VERBOSE_INTERVAL_S if verbose else LINE_INTERVAL_S
        )
        # The first line comes after a second at most, to show that the run has begun.
        self._next_s = time.monotonic() + min(1.0, self._interval_s)
        self._shown = 0

    def __call__(self, progress: Progress) -> None:
        """Show the progress if it is due, or if the run is finished."""
        now_s = time.monotonic()
        finished = progress.done == progress.tasks
        if self._quiet or (now_s < self._next_s and not finished):
            return
        self._next_s = now_s + self._interval_s
        text = self._line(progress)
        if self._bar:
            filled = round(BAR_WIDTH * progress.fraction)
            text = f"[{'#' * filled}{'.' * (BAR_WIDTH - filled)}] {text}"
            self._write("\r" + text.ljust(self._shown))
            self._shown = len(text)
        else:
            self._write(f"{text}\n")

    def close(self) -> None:
        """End the line of the bar."""
        if self._bar and self._shown:
            self._write("\n")
            self._shown = 0

    def _write(self, text: str) -> None:
        # The run continues if the reader of the log has ended.
        with contextlib.suppress(BrokenPipeError):
            self._stream.write(text)
            self._stream.flush()
