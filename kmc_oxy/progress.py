"""Progress of a run for a person to read: a bar on a terminal, log lines elsewhere."""

from __future__ import annotations

import contextlib
import time
from typing import TextIO

from kmc_oxy.ensemble import Progress

#: Seconds between two lines of a log, and between two looks of the bar.
LINE_CADENCE_S = 10.0
VERBOSE_CADENCE_S = 1.0
BAR_CADENCE_S = 0.2
BAR_WIDTH = 24


def duration_text(seconds: float) -> str:
    """A duration in the unit that suits it."""
    if seconds < 1e-9:
        return f"{seconds:.0f} s"
    for unit, size in (("us", 1e-6), ("ms", 1e-3), ("s", 1.0), ("min", 60.0), ("h", 3600.0)):
        following = {"us": 1e-3, "ms": 1.0, "s": 120.0, "min": 7200.0, "h": 172800.0}[unit]
        if seconds < following:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 86400:.3g} d"


def count_text(count: float) -> str:
    """A large number to three digits: ``1.23e+09`` is 1.23 G."""
    for letter, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if 0.9995 * size <= count < 1e12:
            return f"{count / size:.3g} {letter}"
    return f"{count:.3g} "


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
