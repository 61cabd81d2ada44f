"""The job scripts, with stand-ins for srun and scontrol that do what Slurm's would do here."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jobs
import pytest
from jobs import MPIEXEC, TEXT, datasets, wait_for

SCRIPTS = Path(__file__).parents[2] / "scripts" / "slurm"


@pytest.fixture
def here(tmp_path, monkeypatch):
    if shutil.which("bash") is None:
        pytest.skip("there is no bash")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.yaml").write_text(TEXT)
    tools = tmp_path / "bin"
    tools.mkdir()
    launcher = " ".join(MPIEXEC)
    for name, text in {
        # srun passes signals on and gives the ranks' exit code, as mpiexec does.
        "srun": f'exec {launcher} -n 2 "$@"',
        "scontrol": 'echo "$@" >> requeued',
        "python": f'exec {sys.executable} "$@"',
    }.items():
        (tools / name).write_text(f"#!/bin/sh\n{text}\n")
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setenv("MPIEXEC", launcher)
    monkeypatch.setenv("SLURM_NTASKS", "2")
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    return tmp_path


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return jobs.whole(tmp_path_factory.mktemp("whole"), TEXT, "--set", "ensemble.members=4")


def submit(script, *arguments):
    return subprocess.Popen(
        ["bash", str(SCRIPTS / script), *arguments], start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.mark.parametrize("script", ["run.sh", "run_mpiexec.sh", "job_array.sh"])
def test_interrupted_requeued_and_finished(here, whole, monkeypatch, script):
    arguments = ["in.yaml", "out.h5", "--set", "ensemble.members=4"]
    if script == "job_array.sh":
        (here / "runs.txt").write_text("a.h5 other.yaml\nout.h5 in.yaml --set ensemble.members=4\n")
        monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "2")
        arguments = ["runs.txt"]
    job = submit(script, *arguments)
    wait_for(lambda: (here / "out.h5.work" / "ranks").exists())
    time.sleep(0.3)
    if script == "run_mpiexec.sh":
        os.kill(job.pid, signal.SIGUSR1)
    else:
        # Slurm signals the steps of the job and not its script.
        children = Path(f"/proc/{job.pid}/task/{job.pid}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGUSR1)
    assert job.wait(60) == 75
    assert (here / "requeued").read_text() == "requeue 17\n"
    assert submit(script, *arguments).wait(60) == 0
    assert (here / "requeued").read_text() == "requeue 17\n"
    assert datasets("out.h5") == whole


def test_usage(here):
    for script in ("run.sh", "run_mpiexec.sh", "job_array.sh"):
        assert submit(script).wait(10) == 2
