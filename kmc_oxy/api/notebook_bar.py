"""Progress of a run as a bar in a notebook, by tqdm."""

from __future__ import annotations

import importlib.util
import sys
import time

from kmc_oxy.execution import Progress, progress_line

#: Seconds between two updates of the bar.
INTERVAL_S = 0.2


def is_wanted() -> bool:
    """Whether this is the kernel of a notebook, and tqdm is installed."""
    return "ipykernel" in sys.modules and importlib.util.find_spec("tqdm") is not None


class NotebookBar:
    """A bar; called with each new `Progress`."""

    def __init__(self) -> None:
        from tqdm.auto import tqdm

        self._bar = tqdm(total=1.0, bar_format="{l_bar}{bar}{postfix}")
        self._next_s = 0.0

    def __call__(self, progress: Progress) -> None:
        """Show the progress if it is due, or if the run is finished."""
        now_s = time.monotonic()
        if now_s < self._next_s and progress.done < progress.tasks:
            return
        self._next_s = now_s + INTERVAL_S
        self._bar.n = progress.fraction
        self._bar.set_postfix_str(progress_line(progress))

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()
