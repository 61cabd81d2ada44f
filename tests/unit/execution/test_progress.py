import io

import pytest

from kmc_oxy.execution import Progress, ProgressDisplay
from kmc_oxy.execution import progress as module
from kmc_oxy.execution.progress import progress_line
from kmc_oxy.units import count_text, duration_text


def at(done, fraction, hops=5_000_000, elapsed_s=10.0):
    return Progress(
        tasks=4,
        done=done,
        fraction=fraction,
        hops=hops,
        elapsed_s=elapsed_s,
        time_s=0.25,
        duration_s=4e5,
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"), (2e-6, "2 us"), (0.0015, "1.5 ms"), (1, "1 s"), (90, "90 s"), (600, "10 min"),
        (7200, "2 h"), (4e5, "4.63 d"),
    ],
)  # fmt: skip
def test_durations(seconds, text):
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 "), (999, "999 "), (999.9, "1 k"), (1234, "1.23 k"), (5e6, "5 M"), (2e10, "20 G"),
     (3e14, "3e+14 ")],
)  # fmt: skip
def test_counts(count, text):
    assert count_text(count) == text


def test_a_line_of_progress():
    text = progress_line(at(1, 0.25))
    assert text == "1/4 tasks, 25 %, 250 ms of 4.63 d, 5 Mhops, 500 khops/s, 30 s left"
    assert "left" not in progress_line(at(0, 0.0)) and "left" not in progress_line(at(4, 1.0))


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_log_gets_lines_at_intervals(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    stream = io.StringIO()
    display = ProgressDisplay(stream)
    for tick in range(300):
        clock[0] = 0.1 * tick
        display(at(1, tick / 300))
    display(at(4, 1.0))
    display.close()
    lines = stream.getvalue().splitlines()
    # The first after one second, then every ten seconds, and the end.
    assert len(lines) == 4 and "\r" not in stream.getvalue()
    assert lines[-1].startswith("4/4 tasks, 100 %")


def test_a_terminal_gets_one_line():
    stream = Terminal()
    display = ProgressDisplay(stream)
    display(at(4, 1.0))
    display(at(4, 1.0, hops=1))
    display.close()
    display.close()
    text = stream.getvalue()
    assert text.count("\n") == 1 and text.endswith("\n") and text.count("\r") == 2
    first, second = text.rstrip("\n").split("\r")[1:]
    # A shorter text covers all of a longer one.
    assert len(second) >= len(first)


def test_quiet_shows_nothing():
    stream = io.StringIO()
    display = ProgressDisplay(stream, quiet=True)
    display(at(4, 1.0))
    display.close()
    assert stream.getvalue() == ""
