"""The line of progress of a session of a fit."""

from __future__ import annotations

import time

from kmc_oxy.execution import Progress
from kmc_oxy.fit.fit_session import FitSession
from kmc_oxy.fit.generation import GenerationPlan
from kmc_oxy.fit.parameters import start_point
from kmc_oxy.units import count_text, duration_text


class SessionProgress:
    """Formats the progress of a generation as that of the whole fit; called with each `Progress`.

    The time left follows from the tasks of this session and those that are left, as if each took
    as long and screening left no more sets out.

    Parameters
    ----------
    session : FitSession
        Before its first generation.
    """

    def __init__(self, session: FitSession) -> None:
        self._session = session
        self._first = len(session.generations)
        self._began_s = time.monotonic()
        fit = session.fit
        start = start_point(fit.parameters)[None, :]
        self._tasks_of_device = GenerationPlan(fit, start, range(1), fit.model.search.seed).n_points

    def __call__(self, progress: Progress) -> str:
        """The line.

        Parameters
        ----------
        progress : Progress
            Of the generation in progress.
        """
        parts = [
            self._session.progress_text(),
            f"{progress.done}/{progress.tasks} tasks",
            f"{count_text(progress.hops_per_s)}hops/s",
        ]
        done, left = self._tasks(progress)
        if done > 0:
            seconds = (time.monotonic() - self._began_s) * left / done
            parts.append(f"about {duration_text(seconds)} left")
        return ", ".join(parts)

    def _tasks(self, progress: Progress) -> tuple[float, float]:
        """Tasks done in this session, and tasks of the fit that are left."""
        session = self._session
        own = session.generations[self._first :]
        devices = sum(int(each.devices.sum()) for each in own)
        if session.plan is not None:  # in earlier looks at the generation in progress
            devices += len(session.plan.sets) * session.plan.devices.start
        done = self._tasks_of_device * devices + progress.fraction * progress.tasks
        left = self._tasks_of_device * session.devices_left()
        return done, left + (1 - progress.fraction) * progress.tasks
