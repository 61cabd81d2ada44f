"""Real MPI jobs of the command line: starting, reading, signalling and killing them."""

import contextlib
import importlib.util
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py

#: The mpiexec of the environment that Python runs in, unless MPIEXEC says otherwise.
MPIEXEC = shlex.split(os.environ.get("MPIEXEC", str(Path(sys.executable).parent / "mpiexec")))

# Some seconds of hops, in tasks of unequal length: longer than the tests let it run before they
# send a signal.
TEXT = """
name: a job
device: {lattice: {nx: 12, ny: 12}}
protocol:
  - train: {voltage: 1 V, duration: 10 ms, count: 4, rest: {voltage: 0 V, duration: 100 ms}}
scan: {protocol.0.train.count: [4, 64]}
ensemble: {members: 6, seed: 4}
"""
TASKS = 12
LINE = ("run", "in.yaml", "-o", "out.h5")


def why_unavailable():
    """Reason why no MPI job can be run here; empty if one can."""
    if importlib.util.find_spec("mpi4py") is None:
        return "mpi4py is not installed"
    if shutil.which(MPIEXEC[0]) is None:
        return f"there is no {MPIEXEC[0]} (set MPIEXEC)"
    return ""


class Job:
    """A job in progress.

    Parameters
    ----------
    ranks : int
        0 runs in one process, without mpiexec.
    arguments : str
        Of the command line.
    script : path, optional
        Run in place of the package.
    """

    def __init__(self, ranks, *arguments, script=None):
        program = [str(script)] if script else ["-m", "kmc_oxy"]
        python = [sys.executable, "-m", "mpi4py"] if ranks else [sys.executable]
        launcher = [*MPIEXEC, "-n", str(ranks)] if ranks else []
        self._log = ""
        self.process = subprocess.Popen(
            [*launcher, *python, *program, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ if ranks else {**os.environ, "KMC_OXY_SERIAL": "1"},
        )

    def wait_until_computing(self):
        """Wait for the first line with the number of tasks; False if the job ended before."""
        while line := self.process.stderr.readline():
            self._log += line
            if " tasks, " in line:
                return True
        return False

    def ranks(self):
        """Process numbers of the ranks."""
        return descendants(self.process.pid)

    def end(self, timeout_s=120):
        """Wait for the end: exit code, standard output, standard error."""
        try:
            out, err = self.process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            kill([self.process.pid, *self.ranks()])
            raise
        return self.process.returncode, out, self._log + err


def descendants(pid, pattern=""):
    """Process numbers of the Pythons below a process, whose command lines have a pattern."""
    parents, names = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status = (folder / "stat").read_text()
            names[int(folder.name)] = (folder / "cmdline").read_text()
        except OSError:
            continue
        parents[int(folder.name)] = int(status.rpartition(")")[2].split()[1])
    found, level = [], {pid}
    while level:
        level = {number for number, parent in parents.items() if parent in level}
        found += [number for number in level if names[number].startswith(sys.executable)]
    return sorted(number for number in found if re.search(pattern, names[number]))


#: Command lines of ranks of `kmc-oxy`, and of workers of its pool.
WORKERS = "-m\0kmc_oxy|spawn_main"


def run(ranks, *arguments, script=None):
    """Run a job to its end: exit code, standard output, standard error."""
    return Job(ranks, *arguments, script=script).end()


def whole(folder, text, *options):
    """Datasets of an uninterrupted serial run of an input."""
    (folder / "in.yaml").write_text(text)
    code, _, err = run(0, "run", folder / "in.yaml", "-o", folder / "out.h5", "-q", *options)
    assert (code, err) == (0, "")
    return datasets(folder / "out.h5")


def fails_once(script, ranks, rank, message):
    """Check that a job of `script`, in which one rank raises, ends soon and prints one error."""
    began = time.monotonic()
    code, _, err = run(ranks, *LINE, script=script)
    assert time.monotonic() - began < 20
    assert code == 1
    prefix = f"rank {rank}: " if rank else ""
    assert messages(err) == [
        f"kmc-oxy: {prefix}RuntimeError: {message} (run again with --debug for the traceback)"
    ]


def kill(pids):
    """Send SIGKILL to processes, ignoring those that have ended."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def wait_for(condition, timeout_s=20):
    """Wait until a condition holds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def datasets(path):
    """Bytes of all datasets but wall times."""
    with h5py.File(path, "r") as file:
        return {
            name: (item.shape, str(item.dtype), item.chunks, item[()].tobytes())
            for name, item in file.items()
            if "wall" not in name
        }


def messages(text):
    """Lines of a log that are not about progress."""
    return [line for line in text.splitlines() if " tasks, " not in line and " ranks" not in line]
