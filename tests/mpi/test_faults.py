"""Failures under MPI: each is reported once, and no result is lost."""

import json
import os
import subprocess
import sys
import time

import jobs
import pytest
from jobs import LINE, TASKS, TEXT, Job, datasets, messages, run

from kmc_oxy.storage.manifest import digest_of

# Tasks of a few hundredths of a second.
SMALL = TEXT.replace("[4, 64]", "[1, 2]").replace("nx: 12", "nx: 6")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.yaml").write_text(SMALL)
    return tmp_path


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return jobs.whole(tmp_path_factory.mktemp("whole"), SMALL)


# A run in which a rank fails before it runs a task.
SCRIPT = """
import sys, time
from mpi4py import MPI
import kmc_oxy.execution.mpi.parallel_run as parallel
from kmc_oxy.cli import main
rank, run_task, tasks = MPI.COMM_WORLD.rank, parallel.run_task, []

def faulty(session, task, *arguments, **options):
    {fault}
    run_task(session, task, *arguments, **options)
    tasks.append(task)

parallel.run_task = faulty
sys.exit(main())
"""


def script(here, fault, before=""):
    path = here / "faulty.py"
    path.write_text(SCRIPT.format(fault=fault).replace("rank,", before + "\nrank,", 1))
    return path


def started(here):
    """A run that has stopped with most tasks finished."""
    fault = "if task.index == 5: raise RuntimeError('enough')"
    code, _, _ = run(2, *LINE, script=script(here, fault))
    assert code == 1 and not os.path.exists("out.h5")
    return here / "out.h5.work"


@pytest.mark.parametrize("rank", [0, 1])
def test_an_exception_on_one_rank_ends_the_job(here, whole, rank):
    fault = f"if rank == {rank} and tasks: raise RuntimeError('two\\nlines')"
    jobs.fails_once(script(here, fault), 2, rank, "two lines")
    if rank:
        code, _, err = run(2, *LINE, "--debug", script=here / "faulty.py")
        assert code == 1 and err.count("Traceback") == 1 and "in faulty" in err
        assert run(2, *LINE, "-q")[0] == 0
        assert datasets("out.h5") == whole


def test_a_job_is_aborted_if_a_rank_does_not_end(here, whole):
    fault = "time.sleep(60) if rank == 0 else 1 / 0"
    before = "import kmc_oxy.execution.mpi.job_control as control\ncontrol.ABORT_TIMEOUT_S = 0.2"
    path = script(here, fault, before=before)
    began = time.monotonic()
    code, _, err = run(2, *LINE, script=path)
    assert time.monotonic() - began < 20
    assert code == 1 and "rank 1: ZeroDivisionError" in err
    assert run(2, *LINE, "-q")[0] == 0
    assert datasets("out.h5") == whole


def test_errors_of_the_input_are_reported_once(here):
    (here / "bad.yaml").write_text("device: {temperatur: 76}\nprotocol: []\n")
    code, out, err = run(2, "run", "bad.yaml", "-o", "out.h5")
    assert code == 2 and out == ""
    assert [line.split(":")[1] for line in messages(err)] == ["1", "2"]
    code, _, err = run(2, "run")
    assert code == 2 and err.count("usage") == 1
    code, out, _ = run(2, "validate", "in.yaml")
    assert code == 0 and out.count("hops") >= 1 and out.count("tasks") == 1
    assert sorted(os.listdir()) == ["bad.yaml", "in.yaml"]


def test_another_input_schema_or_kernel_is_refused(here):
    work = started(here)
    before = {path: path.read_bytes() for path in sorted(work.rglob("*")) if path.is_file()}
    code, _, err = run(2, *LINE, "--set", "device.temperature=80")
    assert code == 1 and len(messages(err)) == 1 and "another input" in err

    manifest = work / "manifest.json"
    content = json.loads(manifest.read_text())
    for change, message in (
        ({"schema_version": 0}, "schema version 0"),
        ({"kernel_source": "other"}, "another compiled kernel (source other"),
    ):
        changed = {key: value for key, value in (content | change).items() if key != "digest"}
        manifest.write_text(json.dumps(changed | {"digest": digest_of(changed)}))
        code, _, err = run(2, *LINE)
        assert code == 1 and len(messages(err)) == 1 and message in err
    manifest.write_bytes(before[manifest])
    assert {p: p.read_bytes() for p in sorted(work.rglob("*")) if p.is_file()} == before
    assert run(2, *LINE, "-q")[0] == 0


def test_a_corrupted_checkpoint_costs_only_time(here, whole):
    work = started(here)
    (work / "checkpoints" / "0000005.npz").write_bytes(b"PK not a checkpoint")
    code, _, err = run(2, *LINE)
    assert code == 0
    (warning,) = messages(err)
    assert "0000005.npz is damaged" in warning and "task 5 starts again" in warning
    assert datasets("out.h5") == whole


def test_a_truncated_task_file_is_named(here, whole):
    work = started(here)
    path = min((work / "tasks").glob("*.npz"))
    path.write_bytes(path.read_bytes()[:-100])
    code, _, err = run(2, *LINE)
    assert code == 1 and not os.path.exists("out.h5")
    (line,) = messages(err)
    assert path.name in line and "delete that file" in line
    path.unlink()
    assert run(2, *LINE, "-q")[0] == 0
    assert datasets("out.h5") == whole


@pytest.fixture
def tmpfs(tmp_path):
    """A file system of one megabyte."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no privilege to mount a small file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_one_error_and_can_be_resumed(here, whole, tmpfs):
    line = ("run", "in.yaml", "-o", tmpfs / "out.h5")
    ballast = tmpfs / "ballast"
    ballast.write_bytes(bytes(2**20 - 16 * 4096))
    code, _, err = run(2, *line)
    assert code == 1, err
    (message,) = messages(err)
    assert "disk is full" in message and "run the same line again" in message
    assert not (tmpfs / "out.h5").exists() and (tmpfs / "out.h5.work").exists()
    ballast.unlink()
    code, _, err = run(2, *line, "-q")
    assert (code, err) == (0, "")
    assert datasets(tmpfs / "out.h5") == whole


def test_a_place_that_cannot_be_written(here, tmpfs):
    subprocess.run(["mount", "-o", "remount,ro", str(tmpfs)], check=True)
    code, _, err = run(2, "run", "in.yaml", "-o", tmpfs / "out.h5")
    assert code == 1
    (message,) = messages(err)
    assert "cannot write in" in message and "no permission" in message


def test_processes_that_mpi_does_not_connect_are_refused(here):
    """As srun starts them without the right PMI: each would do the whole run."""
    texts = []
    for rank in ("0", "1"):
        done = subprocess.run(
            [sys.executable, "-m", "kmc_oxy", *LINE],
            env={**os.environ, "SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": rank},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        texts.append(done.stderr)
    assert texts[1] == "" and texts[0].count("\n") == 1
    assert "started as 2 ranks, but MPI sees 1" in texts[0]
    assert os.listdir() == ["in.yaml"]


def test_a_serial_run_needs_no_mpi(here):
    code = "import sys; sys.modules['mpi4py'] = None; from kmc_oxy.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code, *LINE, "-q"], check=False)
    assert done.returncode == 0 and os.path.exists("out.h5")


def test_progress_counts_all_ranks(here):
    job = Job(2, *LINE)
    _, _, err = job.end()
    last = [line for line in err.splitlines() if "/" in line and " tasks, " in line][-1]
    assert last.startswith(f"{TASKS}/{TASKS} tasks, 100 %") and "hops/s" in last
