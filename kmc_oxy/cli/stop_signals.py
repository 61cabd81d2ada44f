"""Signals outside the computation of a run: the process ends at once.

An exception from a signal handler can be lost: in an import, in a callback of HDF5, in a
destructor. The handler here therefore raises none. It removes unfinished files and ends the
process.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from types import FrameType

from kmc_oxy.cli.exit_codes import EXIT_INTERRUPTED
from kmc_oxy.process import StopRequest, rank


def end_on_signals() -> None:
    """End the process with `EXIT_INTERRUPTED` at a signal that asks it to stop."""
    for number in StopRequest.SIGNALS:
        signal.signal(number, _end)


def ignore_signals() -> None:
    """Ignore these signals: the process ends by itself, and its exit code is known."""
    for number in StopRequest.SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _end(number: int, frame: FrameType | None) -> None:
    ignore_signals()
    # The signal may have come during an import: nothing is imported here.
    storage = sys.modules.get("kmc_oxy.storage")
    getattr(storage, "remove_unfinished", lambda: None)()
    where = f"rank {rank()}: " if rank() > 0 else ""
    line = f"kmc-oxy: {where}stopped by {signal.Signals(number).name}: run the same line again\n"
    with contextlib.suppress(OSError):
        os.write(2, line.encode())
    os._exit(EXIT_INTERRUPTED)
