"""A page that shows a run in progress and loads itself again, without a server.

It is written without templates and without matplotlib: importing these takes longer than all of its
updates during a short run.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kmc_oxy.execution.progress import Progress
from kmc_oxy.execution.tasks import Plan, Task
from kmc_oxy.inputs import point_values, written_value
from kmc_oxy.storage import StoreError, WorkFolder, atomic_write, wrap_os_errors
from kmc_oxy.units import count_text, duration_text

#: Shortest time between two updates, and the largest share of the run's time that they take.
INTERVAL_S = 3.0
LARGEST_SHARE = 0.005
#: Largest number of members that are drawn, of points of the scan among them, and of readings.
MOST_MEMBERS, MOST_POINTS, MOST_READINGS = 48, 8, 160
#: Size of the chart and width of its margin, px.
WIDTH, HEIGHT, MARGIN = 720, 400, 76
#: Colours and dashes of the points of the scan, to be told apart in grey too.
COLOURS = ("#1a4f8b", "#c0541e", "#2d7d46", "#7b3f98", "#8a6d00", "#00798c", "#a0204c", "#444444")

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
{refresh}<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>body {{ margin: 1rem auto; max-width: 48rem; font: 1rem/1.5 system-ui, sans-serif }}
svg {{ width: 100%; height: auto }} th {{ text-align: left; padding-right: 1rem }}</style>
</head>
<body>
<h1>{title}</h1>
<table>
{rows}
</table>
{chart}
<p>Written at {now}. {state}</p>
</body>
</html>
"""  # noqa: E501


class LivePage:
    """The page ``OUT.live.html`` beside the output; called with each new `Progress`.

    Parameters
    ----------
    plan : Plan
    work : WorkFolder
        Begun or resumed for this plan.

    Attributes
    ----------
    path : Path
    """

    def __init__(self, plan: Plan, work: WorkFolder) -> None:
        self._plan = plan
        self._work = work
        self.path = work.output.with_suffix(".live.html")
        self._progress: Progress | None = None
        self._next_s = 0.0
        self._members: dict[Task, NDArray[np.float64]] = {}
        self._failed = False

    def __call__(self, progress: Progress) -> None:
        """Write the page if it is due, or if the run is finished."""
        self._progress = progress
        now_s = time.monotonic()
        if now_s < self._next_s and progress.done < progress.tasks:
            return
        self._write(progress, ended=progress.done == progress.tasks)
        spent_s = time.monotonic() - now_s
        self._next_s = now_s + max(INTERVAL_S, spent_s / LARGEST_SHARE)

    def close(self) -> None:
        """Leave a page that does not load itself again."""
        if self._progress is not None and self._progress.done < self._progress.tasks:
            self._write(self._progress, ended=True)

    def _write(self, progress: Progress, *, ended: bool) -> None:
        """Write the page; a run goes on without one."""
        if self._failed:
            return
        try:
            self._read_members()
            content = self._page(progress, ended).encode()
            with wrap_os_errors(f"write {self.path}"), atomic_write(self.path) as file:
                file.write(content)
        except StoreError as error:
            self._failed = True
            logging.getLogger(__name__).warning("warning: no live page: %s", error)

    def _read_members(self) -> None:
        """Read conductances of members that have finished since the last time."""
        if len(self._members) >= MOST_MEMBERS:
            return
        known = {task.index for task in self._members}
        for index in sorted(self._work.finished() - known):
            task = self._plan.task_of_index(index)
            points = {task.point for task in self._members}
            if task.coarse or (task.point not in points and len(points) >= MOST_POINTS):
                continue
            values = self._work.load_task(index)["conductance"][0, 0]
            shown = np.unique(np.linspace(0, values.size - 1, MOST_READINGS).astype(np.int64))
            self._members[task] = np.stack([shown + 1.0, values[shown]])
            if len(self._members) >= MOST_MEMBERS:
                return

    def _page(self, progress: Progress, ended: bool) -> str:
        is_complete = progress.done == progress.tasks
        left = progress.remaining_s
        facts = {
            "tasks": f"{progress.done} of {progress.tasks} finished, {progress.fraction:.0%}",
            "hops": f"{count_text(progress.hops)}".strip(),
            "hops per second": count_text(progress.hops_per_s).strip(),
            "time left": "unknown" if left is None else f"about {duration_text(left)}",
            "output": self._work.output.name,
        }
        if ended:
            del facts["time left"]
        state = "All tasks are finished." if is_complete else "Stopped: the same line resumes."
        return _PAGE.format(
            refresh="" if ended else f'<meta http-equiv="refresh" content="{INTERVAL_S:.0f}">\n',
            title=escape(self._plan.base.name or self._work.output.name),
            rows="\n".join(f"<tr><th>{k}</th><td>{escape(v)}</td></tr>" for k, v in facts.items()),
            chart="\n".join(self._chart()),
            now=time.strftime("%H:%M:%S"),
            state=state if ended else "This page loads itself again.",
        )

    def _chart(self) -> Iterator[str]:
        """Conductance over the readings, a line a member, as SVG."""
        curves = {
            task: values
            for task, values in self._members.items()
            if np.all(np.isfinite(values)) and np.all(values > 0)
        }
        if not curves:
            yield "<p>No member is finished yet.</p>"
            return
        low, high = (f(float(f(v[1])) for v in curves.values()) for f in (min, max))
        low, high = math.log10(low), math.log10(high)
        middle, half = (low + high) / 2, max((high - low) / 2, 0.01)
        longest = max(2.0, *(float(values[0, -1]) for values in curves.values()))
        yield (
            "<h2>Conductance of the finished members</h2>\n"
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="conductance">'
        )
        for share in (-1, 0, 1):
            y, value = float(_height(np.asarray(share))), 10 ** (middle + share * half)
            yield (
                f'<line x1="{MARGIN}" x2="{WIDTH}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ccc"/>'
                f'<text x="0" y="{y + 5:.1f}" font-size="14">{value:.2g} S</text>'
            )
        yield (
            f'<text x="{MARGIN}" y="{HEIGHT - 2}" font-size="14">reading 1</text><text x="{WIDTH}" '
            f'y="{HEIGHT - 2}" font-size="14" text-anchor="end">{longest:.0f}</text>'
        )
        points = sorted({task.point for task in curves})
        for task, (readings, values) in curves.items():
            across = MARGIN + (readings - 1) / (longest - 1) * (WIDTH - MARGIN)
            down = _height((np.log10(values) - middle) / half)
            line = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(across, down, strict=True))
            yield f'<polyline points="{line}" fill="none" {_stroke(points.index(task.point))}/>'
        yield "</svg>"
        if self._plan.base.scan:
            yield from self._legend(points)

    def _legend(self, points: list[int]) -> Iterator[str]:
        yield "<ul>"
        for number, point in enumerate(points):
            values = point_values(self._plan.base, point).items()
            text = ", ".join(f"{key} {written_value(value)}" for key, value in values)
            yield (
                '<li><svg viewBox="0 0 60 8" style="width: 60px"><line x2="60" y1="4" y2="4" '
                f"{_stroke(number)}/></svg> {escape(text)}</li>"
            )
        yield "</ul>"


def _height(share: NDArray[Any]) -> NDArray[np.float64]:
    """Place on the chart of values between -1, the lowest, and 1, the highest."""
    found: NDArray[np.float64] = 12 + (1 - share) / 2 * (HEIGHT - 40)
    return found


def _stroke(number: int) -> str:
    """Colour and dashes of a line."""
    dashes = f"{12 - number} {number}" if number else "none"
    return f'stroke="{COLOURS[number]}" stroke-dasharray="{dashes}"'
