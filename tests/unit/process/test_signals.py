import os
import signal

import pytest

from kmc_oxy.process import Interrupted, StopRequest


def test_handlers_are_installed_and_restored():
    before = {number: signal.getsignal(number) for number in StopRequest.SIGNALS}
    stop = StopRequest()
    with stop.active():
        assert not stop()
        stop.raise_if_received()
        os.kill(os.getpid(), signal.SIGUSR1)
        assert stop() and stop.received is signal.SIGUSR1
        with pytest.raises(Interrupted, match="stopped by SIGUSR1"):
            stop.raise_if_received()
    assert {number: signal.getsignal(number) for number in StopRequest.SIGNALS} == before


def test_a_second_interrupt_ends_at_once():
    with StopRequest().active() as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop.received is signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
