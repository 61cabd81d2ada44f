"""A run on several processes, started from Python: the command line as a child process.

The child becomes ranks of the installed MPI or the first process of a pool, as on a terminal. This
process may be a notebook or a script without ``if __name__ == "__main__"``: neither could be the
parent of a pool.
"""

from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

from kmc_oxy.execution import Progress
from kmc_oxy.inputs import LoadedInput
from kmc_oxy.process import Interrupted, StopRequest

PREFIX = "kmc-oxy: "


class ChildError(Exception):
    """The command line failed; the message is for the user."""


def run_in_child(
    loaded: LoadedInput,
    output: Path,
    processes: int,
    fresh: bool,
    memory_check: bool,
    report_progress: Callable[[Progress], None],
) -> None:
    """Run ``kmc-oxy run -j`` and wait for it.

    Parameters
    ----------
    loaded : LoadedInput
        Checked.
    output : Path
    processes : int
    fresh, memory_check : bool
        As in `run`.
    report_progress : callable
        Called with the `Progress`.

    Raises
    ------
    Interrupted
        If a signal to this process or a child stopped it.
    ChildError
        If it fails.
    """
    with tempfile.TemporaryDirectory(prefix="kmc_oxy-") as folder:
        file = Path(folder, "input.yaml")
        file.write_text(loaded.text, encoding="utf-8")
        line = [sys.executable, "-m", "kmc_oxy", "run", str(file), "-o", str(output)]
        line += ["-j", str(processes), "-q", "--progress", "json"]
        line += ["--fresh"] * fresh + ["--no-memory-check"] * (not memory_check)
        line += [word for setting in loaded.overrides for word in ("--set", setting)]
        child = subprocess.Popen(
            line,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,  # this process passes signals on, once
        )
        with child, _signals_passed_on(child) as signals:
            said = _messages(child, report_progress)
            code = child.wait()
    if code == 0:
        return
    own = [text.removeprefix(PREFIX) for text in said if text.startswith(PREFIX)]
    stopped = [text for text in own if "run the same line again to go on" in text]
    if code == 75 or (signals and not own):
        name = signal.Signals(signals[0]).name if signals else "a signal"
        raise Interrupted(stopped[0].partition(":")[0] if stopped else f"stopped by {name}")
    raise ChildError("\n".join(own) or _end_of_launcher("\n".join(said), code))


def _messages(
    child: subprocess.Popen[str], report_progress: Callable[[Progress], None]
) -> list[str]:
    """What the child says beside its progress, until it ends."""
    said = []
    assert child.stdout is not None
    for text in child.stdout:
        if text.startswith("{"):
            report_progress(Progress(**json.loads(text)))
        else:
            said.append(text.rstrip("\n"))
    return said


def _end_of_launcher(said: str, code: int) -> str:
    """What happened, from the words of mpiexec about a rank that ended it."""
    process = re.search(r"PID (\d+)", said)
    number = re.search(r"signal (\d+)", said)
    who = f"a rank (process {process[1]})" if process else "the processes of the run"
    how = f"ended with code {code}"
    if number and int(number[1]) in set(signal.Signals):
        how = f"was killed by {signal.Signals(int(number[1])).name}"
    return (
        f"{who} {how}: no finished task is lost; run the same line again, with fewer processes "
        "(jobs) if the memory was not enough"
    )


@contextlib.contextmanager
def _signals_passed_on(child: subprocess.Popen[str]) -> Iterator[list[int]]:
    """Pass the signals that stop a run on to the child; yields those received."""
    received: list[int] = []

    def pass_on(number: int, frame: FrameType | None) -> None:
        received.append(number)
        child.send_signal(number)

    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    before = {number: signal.signal(number, pass_on) for number in StopRequest.SIGNALS}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
