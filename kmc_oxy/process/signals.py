"""Signals that ask a run to stop; the run checks for them between two kernel calls."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class Interrupted(Exception):
    """The run was asked to stop and can be resumed."""


class StopRequest:
    """Whether a signal has asked the run to stop; calling the object returns it.

    While `active`, SIGUSR1, SIGTERM and SIGINT only set a flag. A SIGINT after the first signal
    raises KeyboardInterrupt.

    Attributes
    ----------
    received : signal.Signals or None
        The last signal received.
    """

    SIGNALS = (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT)

    def __init__(self) -> None:
        self.received: signal.Signals | None = None

    def __call__(self) -> bool:
        return self.received is not None

    def raise_if_received(self) -> None:
        """Stop the run here if a signal was received.

        Raises
        ------
        Interrupted
            If a signal was received.
        """
        if self.received is not None:
            raise Interrupted(f"stopped by {self.received.name}")

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self.received is not None:
            raise KeyboardInterrupt
        self.received = signal.Signals(number)

    @contextlib.contextmanager
    def active(self) -> Iterator[StopRequest]:
        """Install the signal handlers during the block and restore the earlier ones after it.

        In a thread that is not the main one no handler can be installed, and none is.

        Yields
        ------
        StopRequest
            This object.
        """
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        before = {number: signal.signal(number, self._receive) for number in self.SIGNALS}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
