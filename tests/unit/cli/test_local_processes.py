"""`-j N`: ranks of the installed MPI or a pool of workers, with the bytes of one process."""

import argparse
import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import jobs
import pytest
from jobs import datasets, kill, wait_for

from kmc_oxy.cli import local_processes as module
from kmc_oxy.cli.local_processes import local_processes
from kmc_oxy.process import THREAD_VARIABLES, is_terminal, launcher, replace_by_ranks

# Some seconds of hops: longer than it takes to kill a worker of it.
TEXT = """
device: {lattice: {nx: 14, ny: 14}}
protocol:
  - train: {voltage: 1 V, duration: 10 ms, count: 60, rest: {voltage: 0 V, duration: 1 s}}
scan: {protocol.0.train.count: [50, 60]}
ensemble: {members: 2, seed: 4}
"""
LINE = ("run", "in.yaml", "-o", "out.h5", "-j", "2")
NO_MPI = """
import sys
sys.modules["mpi4py"] = None
from kmc_oxy.cli import main
if __name__ == "__main__":
    sys.exit(main())
"""
VARIABLES = (
    *launcher.RANK_VARIABLES,
    *launcher.SIZE_VARIABLES,
    "SLURM_STEP_ID",
    "SLURM_CPUS_PER_TASK",
    "KMC_OXY_SERIAL",
)
WAYS = ("mpi", "pool")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.yaml").write_text(TEXT)
    (tmp_path / "no_mpi.py").write_text(NO_MPI)
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return jobs.whole(tmp_path_factory.mktemp("whole"), TEXT)


def started(way, *arguments):
    """A command in a session of its own, as in a terminal."""
    if way == "mpi" and jobs.why_unavailable():
        pytest.skip(jobs.why_unavailable())
    program = ["no_mpi.py"] if way == "pool" else ["-m", "kmc_oxy"]
    return subprocess.Popen(
        [sys.executable, *program, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def ended(process):
    """Exit code, standard output and standard error; nothing is left running."""
    try:
        out, err = process.communicate(timeout=120)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, out, err


def workers(process):
    """Process numbers of the ranks or workers."""
    return jobs.descendants(process.pid, jobs.WORKERS)


def computing(way):
    """A command that computes, and its first lines on standard error."""
    process, log = started(way, *LINE), ""
    while " tasks, " not in log.rpartition("results in")[2]:
        line = process.stderr.readline()
        assert line, log
        log += line
    wait_for(lambda: len(workers(process)) == 2)
    return process, log


@pytest.mark.parametrize("way", WAYS)
def test_two_processes_give_the_bytes_of_one(here, whole, way):
    code, out, err = ended(started(way, *LINE, "--watch"))
    assert code == 0, err
    assert datasets("out.h5") == whole
    page = Path("out.live.html").read_text(encoding="utf-8")
    assert "4 of 4 finished" in page and page.count("<polyline") == 4
    assert ("2 ranks" if way == "mpi" else "2 processes") in err
    assert "mean over 2 members" in out and err.count("4/4 tasks, 100 %") == 1
    assert sorted(os.listdir()) == ["in.yaml", "no_mpi.py", "out.h5", "out.live.html"]


@pytest.mark.parametrize("way", WAYS)
def test_ctrl_c_stops_all_and_the_same_line_resumes(here, whole, way):
    process, log = computing(way)
    os.killpg(process.pid, signal.SIGINT)
    code, _, err = ended(process)
    assert code == 75, log + err
    assert err.count("stopped by SIGINT: run the same line again") == 1 and "Traceback" not in err
    assert not os.path.exists("out.h5") and os.path.exists("out.h5.work/manifest.json")
    code, _, err = ended(started(way, *LINE, "-q"))
    assert (code, err) == (0, "")
    assert datasets("out.h5") == whole


@pytest.mark.parametrize("way", WAYS)
def test_a_killed_worker_is_named_and_the_same_line_resumes(here, whole, way):
    process, log = computing(way)
    victim = workers(process)[-1]
    kill([victim])
    code, out, err = ended(process)
    assert code not in (0, 75), log + err
    if way == "pool":
        named = (
            rf"^kmc-oxy: worker \d of 2 \(process {victim}\) was killed by SIGKILL: .* same line"
        )
        assert len(re.findall(named, err, re.M)) == 1 and "Traceback" not in err
    else:
        assert f"PID {victim} " in out
    assert not os.path.exists("out.h5")
    code, _, err = ended(started(way, *LINE, "-q"))
    assert (code, err) == (0, "")
    assert datasets("out.h5") == whole


def test_an_error_of_a_worker_is_that_of_the_run(here):
    """A full or foreign folder, for instance: one line, and nothing finished is lost."""
    (here / "no_mpi.py").write_text(
        NO_MPI.replace(
            "from kmc_oxy.cli",
            "import kmc_oxy.execution.pool_run as pool\n"
            "from kmc_oxy.storage import StoreError\n"
            "def fail(*arguments, **options): raise StoreError('the disk is full')\n"
            "pool.run_task = fail\n"
            "from kmc_oxy.cli",
        )
    )
    code, _, err = ended(started("pool", *LINE))
    assert code == 1
    assert [line for line in err.splitlines() if "disk" in line] == ["kmc-oxy: the disk is full"]
    assert "Traceback" not in err


def test_the_first_process_gone_its_workers_stop(here):
    process, _ = computing("pool")
    left = workers(process)
    process.kill()
    process.wait()
    wait_for(lambda: not any(Path(f"/proc/{number}").exists() for number in left), 30)


def test_a_shell_of_slurm_is_one_process_and_says_how_to_use_more(here, monkeypatch):
    """As `srun --pty bash` sets the variables."""
    for name, value in (("ID", "3"), ("NUM_TASKS", "1")):
        monkeypatch.setenv(f"SLURM_STEP_{name}", value)
    monkeypatch.setenv("SLURM_PROCID", "0")
    monkeypatch.setenv("PMI_RANK", "0")
    monkeypatch.setenv("PMI_SIZE", "1")
    short = ("--set", "scan.protocol.0.train.count=[1, 2]", "--set", "device.lattice.nx=4")
    code, _, err = ended(started("mpi", *LINE[:-2], *short))
    assert code == 0
    if (os.cpu_count() or 1) > 1:
        assert err.startswith("kmc-oxy: one process, as in a step of Slurm") and "srun -n N" in err
    serial = datasets("out.h5")
    code, _, err = ended(started("mpi", *LINE, *short, "--fresh"))
    assert code == 0 and "2 processes" in err and "2 ranks" not in err
    assert datasets("out.h5") == serial


def test_not_under_mpi4py_which_may_have_initialised_mpi(replaced, monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py.run", sys)
    assert decide() == decide(jobs=3) == 1 and replaced == []


@pytest.fixture
def replaced(here, monkeypatch):
    """What the process would be replaced by."""
    calls = []
    monkeypatch.setattr(module, "local_launcher", lambda: "mpiexec")
    monkeypatch.setattr(module, "replace_by_ranks", lambda *line: calls.append(line[:2]))
    return calls


def decide(jobs=None, useful=4, alone=True):
    return local_processes(argparse.Namespace(jobs=jobs, alone=alone), lambda: useful)


def test_the_default_is_what_is_useful_and_j_overrides_it(replaced):
    decide()
    decide(jobs=7)
    assert replaced == [("mpiexec", 4), ("mpiexec", 7)]
    assert decide(useful=1) == 1 and decide(jobs=1) == 1
    # A process that does other things too is not replaced.
    assert decide(alone=False) == 1 and decide(jobs=3, alone=False) == 3
    assert len(replaced) == 2


@pytest.mark.parametrize(
    "environment",
    [
        {"PMI_RANK": "0", "PMI_SIZE": "2"},
        {"PMI_RANK": "0", "PMI_SIZE": "1"},
        {"PMIX_RANK": "0"},
        {"SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "1"},
        {"KMC_OXY_SERIAL": "1"},
        {"KMC_OXY_SERIAL": "1", "SLURM_STEP_ID": "0"},
    ],
)
def test_never_inside_a_job(replaced, monkeypatch, environment):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert decide() == decide(jobs=3) == 1 and replaced == []


def test_a_run_uses_no_more_than_it_has_tasks_memory_and_cores(here, monkeypatch):
    from kmc_oxy.execution import Plan, useful_processes, whole_run
    from kmc_oxy.inputs import load

    plan = Plan(load("in.yaml"))
    monkeypatch.setattr(whole_run, "usable_cores", lambda: 64)
    assert useful_processes(plan, here / "out.h5") == 4
    monkeypatch.setattr(whole_run, "usable_cores", lambda: 3)
    assert useful_processes(plan, here / "out.h5") == 3
    monkeypatch.setattr(
        whole_run, "available_memory_bytes", lambda: 2.5 * whole_run.memory_bytes(plan)
    )
    assert useful_processes(plan, here / "out.h5") == 2
    Path("out.h5").touch()
    assert useful_processes(plan, here / "out.h5") == 1
    assert useful_processes(plan, here / "out.h5", fresh=True) == 2


def test_ranks_have_one_thread_and_know_the_terminal(monkeypatch):
    seen = {}
    monkeypatch.setattr(os, "execve", lambda path, line, environment: seen.update(environment))
    monkeypatch.setenv(THREAD_VARIABLES[0], "2")
    for name in THREAD_VARIABLES[1:]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    replace_by_ranks("mpiexec", 2, ["run"])
    assert [seen[name] for name in THREAD_VARIABLES] == ["2", "1", "1"]
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False)
    assert not is_terminal(sys.stderr)
    monkeypatch.setenv("KMC_OXY_TERMINAL", seen["KMC_OXY_TERMINAL"])
    assert is_terminal(sys.stderr) and not is_terminal(sys.stdout)
