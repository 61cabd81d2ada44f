import os
import signal

import pytest
from run_examples import compute, datasets, plan_of

from kmc_oxy.process import Interrupted, StopRequest
from kmc_oxy.storage import WorkFolder, open_output


@pytest.mark.parametrize("stop_after", [1, 4, 30])
def test_stopped_and_resumed_it_is_the_same(finished, tmp_path, stop_after):
    output = tmp_path / "out.h5"
    sessions = 0
    while not output.exists():
        calls = iter(range(stop_after))
        try:
            compute(plan_of(), output, stop=lambda calls=calls: next(calls, None) is None)
        except Interrupted:
            sessions += 1
        assert sessions < 1000
    assert sessions >= 2
    assert datasets(output) == datasets(finished)


def test_progress_counts_to_the_end(tmp_path):
    seen = []
    compute(plan_of(), tmp_path / "out.h5", report_progress=seen.append)
    assert seen[-1].done == seen[-1].tasks == 8 and seen[-1].fraction == 1
    fractions = [progress.fraction for progress in seen]
    assert fractions == sorted(fractions)
    with open_output(tmp_path / "out.h5") as file:
        hops = file["hops"][:]
        assert seen[-1].hops == hops.max(axis=-1).sum()


def test_a_signal_stops_between_kernel_calls(tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    with StopRequest().active() as stop:

        def send(progress):
            if progress.done == 3:
                os.kill(os.getpid(), signal.SIGTERM)

        with pytest.raises(Interrupted):
            compute(plan_of(), tmp_path / "out.h5", stop=stop, report_progress=send)
        with pytest.raises(Interrupted, match="SIGTERM"):
            stop.raise_if_received()
    assert signal.getsignal(signal.SIGTERM) is before
    assert WorkFolder(tmp_path / "out.h5").finished() >= {0, 1, 2}
