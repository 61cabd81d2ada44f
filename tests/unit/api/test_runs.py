"""`kmc_oxy.run`: the same files, errors and signals as the command line."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import jobs
import numpy as np
import pytest
import yaml
from jobs import datasets

import kmc_oxy
from kmc_oxy import cli
from kmc_oxy.api import notebook_bar
from kmc_oxy.inputs import loads

TEXT = """
name: a test
device: {lattice: {nx: 4, ny: 4}}
protocol:
  - pulse: {voltage: -4 V, duration: 1 ms}
  - train: {voltage: 1 V, duration: 1 ms, count: 4}
scan: {device.temperature: [76 K, 100 K]}
ensemble: {members: 2, seed: 4}
"""
# Some seconds of hops.
SLOW = """
device: {lattice: {nx: 14, ny: 14}}
protocol:
  - train: {voltage: 1 V, duration: 10 ms, count: 60, rest: {voltage: 0 V, duration: 1 s}}
ensemble: {members: 4, seed: 4}
"""
HIDE_MPI = "import sys\nsys.modules['mpi4py'] = None\n"


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.yaml").write_text(TEXT)
    (tmp_path / "slow.yaml").write_text(SLOW)
    return tmp_path


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return jobs.whole(tmp_path_factory.mktemp("whole"), TEXT)


@pytest.fixture(params=["mpi", "pool"])
def way(request, here, monkeypatch):
    """How a child runs on several processes."""
    if request.param == "mpi" and jobs.why_unavailable():
        pytest.skip(jobs.why_unavailable())
    if request.param == "pool":
        (here / "path").mkdir()
        (here / "path" / "sitecustomize.py").write_text(HIDE_MPI)
        monkeypatch.setenv("PYTHONPATH", str(here / "path"))
    return request.param


@pytest.mark.parametrize("kind", ["path", "name", "text", "mapping", "model"])
def test_any_form_of_an_input_gives_the_datasets_of_the_command_line(here, whole, kind):
    given = {
        "path": Path("in.yaml"),
        "name": "in.yaml",
        "text": TEXT,
        "mapping": yaml.safe_load(TEXT),
        "model": loads(TEXT).model,
    }[kind]
    result = kmc_oxy.run(given, "out.h5", jobs=1, progress=False)
    assert result.path == here / "out.h5" and datasets("out.h5") == whole
    assert result.input.name == "a test"


def test_several_processes_give_the_same(here, whole, way):
    result = kmc_oxy.run("in.yaml", jobs=2, progress=False)
    assert result.path == here / "in.h5" and datasets("in.h5") == whole


def test_settings_and_overrides(here):
    shared = [1e-2, np.float64(2e-2)]
    settings = {"device.temperature": "90 K", "scan": {"engine.tolerance": shared}}
    result = kmc_oxy.run(
        yaml.safe_load(TEXT),
        jobs=1,
        progress=False,
        settings=settings,
        ensemble__members=np.int64(1),
    )
    assert result.input.device.temperature == 90
    assert result.dataset.sizes["member"] == 1 and result.dataset.sizes["tolerance"] == 2
    with pytest.raises(TypeError, match=r"ensemble\.seed has a value that is no number"):
        kmc_oxy.run(TEXT, ensemble__seed=object())


def test_a_result_without_a_name_lives_as_long_as_its_object(here):
    result = kmc_oxy.run(TEXT, jobs=1, progress=False, ensemble__members=1)
    path = result.path
    assert path.exists() and sorted(os.listdir()) == ["in.yaml", "slow.yaml"]
    del result
    assert not path.parent.exists()


def said(capsys, *arguments):
    """What the command line prints on standard error, without the name of the program."""
    capsys.readouterr()
    assert cli.main([*map(str, arguments), "-q"]) in (1, 2)
    return capsys.readouterr().err.replace("kmc-oxy: ", "").rstrip("\n")


def test_errors_have_the_text_of_the_command_line(here, capsys, way):
    (here / "bad.yaml").write_text(TEXT.replace("nx: 4", "nx: four").replace("1 V", "1 K"))
    for call in (kmc_oxy.run, kmc_oxy.validate):
        with pytest.raises(kmc_oxy.InputError) as fault:
            call("bad.yaml")
        assert str(fault.value) == said(capsys, "run", "bad.yaml")
        assert str(fault.value).count("\n") == 1
    kmc_oxy.run("in.yaml", "out.h5", jobs=1, progress=False)
    with pytest.raises(kmc_oxy.RunError) as failed:
        kmc_oxy.run("in.yaml", "out.h5", progress=False, ensemble__seed=5)
    assert str(failed.value) == said(
        capsys, "run", "in.yaml", "-o", "out.h5", "--set", "ensemble.seed=5"
    )
    # In a child: another place that cannot be written.
    with pytest.raises(kmc_oxy.RunError) as failed:
        kmc_oxy.run("in.yaml", "/proc/out.h5", jobs=2, progress=False)
    assert str(failed.value) == said(capsys, "run", "in.yaml", "-o", "/proc/out.h5")
    with pytest.raises(kmc_oxy.RunError, match="whole number from 1"):
        kmc_oxy.run("in.yaml", jobs=0)
    with pytest.raises(Exception, match=r"absent\.h5 does not exist"):
        kmc_oxy.open("absent.h5")


def after_a_while(condition, action):
    """Do something in a thread when a condition holds."""

    def wait():
        jobs.wait_for(condition, 60)
        time.sleep(0.2)
        action()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


@pytest.mark.parametrize("processes", [1, 2])
def test_ctrl_c_keeps_what_is_done(here, processes):
    before = signal.getsignal(signal.SIGINT)
    thread = after_a_while(
        Path("slow.h5.work/ranks").exists, lambda: os.kill(os.getpid(), signal.SIGINT)
    )
    with pytest.raises(KeyboardInterrupt, match="stopped by SIGINT: run the same line again"):
        kmc_oxy.run("slow.yaml", jobs=processes, progress=False)
    thread.join()
    assert signal.getsignal(signal.SIGINT) is before
    assert Path("slow.h5.work/manifest.json").exists() and not Path("slow.h5").exists()
    assert jobs.descendants(os.getpid(), jobs.WORKERS) == []


def test_a_killed_worker_is_named(here, way):
    victims = []

    def kill():
        victims.append(jobs.descendants(os.getpid(), jobs.WORKERS)[-1])
        jobs.kill(victims)

    def are_computing():
        wanted = 2 if way == "mpi" else 3  # with the first process of the pool
        return (
            len(jobs.descendants(os.getpid(), jobs.WORKERS)) == wanted
            and Path("slow.h5.work/manifest.json").exists()
        )

    thread = after_a_while(are_computing, kill)
    with pytest.raises(kmc_oxy.RunError, match="was killed by SIGKILL: no finished task") as failed:
        kmc_oxy.run("slow.yaml", jobs=2, progress=False)
    thread.join()
    assert f"(process {victims[0]})" in str(failed.value) and "\n" not in str(failed.value)
    assert Path("slow.h5.work/manifest.json").exists()


def test_not_in_several_ranks(here, monkeypatch):
    monkeypatch.setenv("PMI_RANK", "1")
    monkeypatch.setenv("PMI_SIZE", "2")
    with pytest.raises(kmc_oxy.RunError, match="in several ranks of an MPI job"):
        kmc_oxy.run("in.yaml")


def test_progress_is_shown_or_not(here, capsys):
    for processes in (1, 2):
        kmc_oxy.run(TEXT, jobs=processes)
        assert "4/4 tasks, 100 %" in capsys.readouterr().err
        kmc_oxy.run(TEXT, jobs=processes, progress=False)
        assert capsys.readouterr().err == ""


def test_a_notebook_gets_a_bar(here, monkeypatch, capsys):
    pytest.importorskip("tqdm")
    assert not notebook_bar.is_wanted()
    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    assert notebook_bar.is_wanted()
    kmc_oxy.run(TEXT, jobs=1)
    text = capsys.readouterr().err
    assert "100%|" in text and "4/4 tasks, 100 %" in text and "\r" in text


def test_validate_and_presets(here):
    cost = kmc_oxy.validate("in.yaml", ensemble__members=8)
    assert (cost.tasks, cost.points, cost.members) == (16, 2, 8)
    assert set(kmc_oxy.presets()) >= {"shumilin2024", "by_hand"}
    assert all(text.endswith(".") for text in kmc_oxy.presets().values())


def test_what_is_imported():
    code = (
        "import sys, kmc_oxy; kmc_oxy.run, kmc_oxy.open; "
        "print({'matplotlib', 'xarray', 'mpi4py', 'tqdm'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "set()\n"
