"""The same bytes for any number of ranks and any interruption, by real MPI jobs."""

import contextlib
import os
import random
import signal
import time

import h5py
import jobs
import pytest
from jobs import TASKS, TEXT, Job, datasets, messages, run


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.yaml").write_text(TEXT)
    return tmp_path


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Datasets of the serial run without any interruption."""
    return jobs.whole(tmp_path_factory.mktemp("whole"), TEXT)


@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
def test_any_number_of_ranks_gives_the_same(here, whole, ranks):
    code, out, err = run(ranks, "run", "in.yaml", "-o", "out.h5", "-v")
    assert code == 0, err
    assert datasets("out.h5") == whole
    assert sorted(os.listdir()) == ["in.yaml", "out.h5"]
    with h5py.File("out.h5") as file:
        assert file.attrs["mpi_size"] == ranks
    # Only one rank prints.
    assert out.count("mean over 6 members") == 1
    assert err.count(f"{TASKS}/{TASKS} tasks, 100 %") == 1 and not messages(err)


def test_a_complete_run_is_left_alone(here):
    line = ("run", "in.yaml", "-o", "out.h5", "--set", "ensemble.members=1")
    assert run(0, *line)[0] == 0
    before = os.stat("out.h5")
    code, _, err = run(2, *line)
    assert code == 0 and err.count("complete already") == 1
    assert os.stat("out.h5") == before


@pytest.mark.parametrize("receiver", ["mpiexec", "rank 0", "rank 1"])
def test_a_signal_stops_all_ranks_with_75(here, whole, receiver):
    number = {"mpiexec": signal.SIGUSR1, "rank 0": signal.SIGTERM, "rank 1": signal.SIGUSR1}[
        receiver
    ]
    # Tasks of several seconds: both ranks are inside one, and each has to keep a checkpoint.
    long = ("--set", "scan.protocol.0.train.count=[300, 301]")
    job = Job(2, "run", "in.yaml", "-o", "out.h5", *(() if receiver == "mpiexec" else long))
    assert job.wait_until_computing()
    time.sleep(0.3)
    pid = job.process.pid if receiver == "mpiexec" else job.ranks()[int(receiver[-1])]
    os.kill(pid, number)
    code, _, err = job.end()
    assert code == 75, err
    assert messages(err) == [f"kmc-oxy: stopped by {number.name}: run the same line again to go on"]
    assert not os.path.exists("out.h5")
    if receiver != "mpiexec":
        assert len(os.listdir("out.h5.work/checkpoints")) == 2
    else:
        assert run(3, "run", "in.yaml", "-o", "out.h5", "-q")[0] == 0
        assert datasets("out.h5") == whole


def test_interrupted_again_and_again_by_other_numbers_of_ranks(here, whole):
    interruptions = 0
    for ranks in (2, 3, 0, 1):
        job = Job(ranks, "run", "in.yaml", "-o", "out.h5")
        assert job.wait_until_computing()
        time.sleep(random.uniform(0, 0.4))
        job.process.send_signal(signal.SIGTERM)
        code, _, err = job.end()
        assert code in (0, 75), err
        interruptions += code == 75
    assert interruptions > 0
    assert run(2, "run", "in.yaml", "-o", "out.h5", "-q")[0] == 0
    assert datasets("out.h5") == whole


def test_killed_at_random_moments_nothing_finished_is_lost(here, whole):
    """A longer series is in scripts/verify/kills.py."""
    finished = set()
    for victims in ("one", "all"):
        job = Job(2, "run", "in.yaml", "-o", "out.h5")
        job.wait_until_computing()
        time.sleep(random.uniform(0, 0.5))
        pids = job.ranks()
        jobs.kill(pids if victims == "all" else pids[-1:])
        code, _, _ = job.end()
        if os.path.exists("out.h5"):
            break
        assert code != 0
        now = {name for name in os.listdir("out.h5.work/tasks") if name.endswith(".npz")}
        assert now >= finished
        finished = now
    code, _, err = run(3, "run", "in.yaml", "-o", "out.h5", "-q")
    assert code == 0, err
    assert datasets("out.h5") == whole
    assert sorted(os.listdir()) == ["in.yaml", "out.h5"]


def test_no_run_begins_while_a_rank_of_a_killed_run_computes(here, whole):
    """mpiexec and rank 0 are killed, rank 1 continues for a while."""
    from kmc_oxy.storage import StoreError, WorkFolder

    job = Job(2, "run", "in.yaml", "-o", "out.h5")
    assert job.wait_until_computing()
    jobs.wait_for(lambda: os.path.exists("out.h5.work/ranks"))
    time.sleep(0.3)
    first, second = job.ranks()
    os.kill(second, signal.SIGSTOP)
    jobs.kill([job.process.pid, first])
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("kmc_oxy.storage.work_folder.ORPHANED_RANKS_TIMEOUT_S", 0.3)
            with pytest.raises(StoreError, match="another run is writing"):
                WorkFolder(here / "out.h5").acquire()
    finally:
        jobs.kill([second])
        job.end()
    assert run(0, "run", "in.yaml", "-o", "out.h5", "-q")[0] == 0
    assert datasets("out.h5") == whole


def test_a_second_run_is_refused(here):
    line = ("run", "in.yaml", "-o", "out.h5", "--set", "ensemble.members=1000")
    job = Job(2, *line)
    try:
        assert job.wait_until_computing()
        code, _, err = run(2, *line)
        assert code == 1 and len(messages(err)) == 1 and "another run is writing" in err
    finally:
        job.process.send_signal(signal.SIGTERM)
        assert job.end()[0] == 75


FEW_FILES = """
import sys
import kmc_oxy.execution.mpi.parallel_run as parallel
parallel.max_single_files = lambda tasks, processes: 2
from kmc_oxy.cli import main
sys.exit(main())
"""


def test_the_number_of_files_is_bounded(here, whole):
    (here / "few.py").write_text(FEW_FILES)
    job = Job(2, "run", "in.yaml", "-o", "out.h5", script=here / "few.py")
    singles, archives = 0, 0
    while job.process.poll() is None and not archives:
        time.sleep(0.002)
        with contextlib.suppress(FileNotFoundError):
            names = os.listdir("out.h5.work/tasks")
            singles = max(singles, sum(name.endswith(".npz") for name in names))
            archives = sum(name.endswith(".zip") for name in names)
    job.process.send_signal(signal.SIGUSR1)
    code, _, err = job.end()
    assert code == 75, err
    # One more than the limit on each rank, until the archive is written.
    assert 2 <= singles <= 2 * 3
    # A run without that limit reads the archive.
    finished = int(run(0, "info", "out.h5")[1].split(" of 12 tasks finished")[0].split()[-1])
    assert finished >= 3
    code, _, err = run(3, "run", "in.yaml", "-o", "out.h5")
    assert code == 0 and f"{finished} of them finished before" in err
    assert datasets("out.h5") == whole
