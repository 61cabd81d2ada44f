"""A fit on several ranks: the same results as in one process, also after a signal."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jobs
import numpy as np
import pytest

from kmc_oxy.storage import read_tree

pytestmark = pytest.mark.skipif(bool(jobs.why_unavailable()), reason=jobs.why_unavailable())

TEXT = """
device: {lattice: {nx: 6, ny: 6}}
engine: {tolerance: 0.3, reach: 1}
parameters:
  device.site_energy.oxide_offset: {low: -0.6 eV, high: -0.4 eV}
  conductance.density_floor: {low: 0.001, high: 0.1, scale: log}
experiments:
  train:
    protocol:
      - pulse: {voltage: -4 V, duration: 1 s, read: false}
      - train: {voltage: +3 V, duration: 10 ms, count: 6, rest: {voltage: -0.1 V, duration: 50 ms}}
    targets: [{quantity: range, at_least: 0.5, at_most: 1}]
search: {evaluations: 12, screen: 1, members: 3, most_members: 4, seed: 2}
"""


def results(folder):
    generations = []
    for path in sorted(Path(folder).glob("generation-*.npz")):
        content = read_tree(path)
        del content["run_id"]
        generations.append(content)
    return generations, Path(folder, "best.yaml").read_text()


def assert_same(one, other):
    assert one[1] == other[1]
    assert len(one[0]) == len(other[0]) >= 4
    assert any((each["devices"] < each["members"]).any() for each in one[0])
    for first, second in zip(one[0], other[0], strict=True):
        for key in ("points", "devices", "costs", "errors", "member_residuals"):
            np.testing.assert_array_equal(first[key], second[key])


def test_ranks_do_not_change_a_fit(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("fit.yaml").write_text(TEXT)
    for ranks in (0, 2):
        code, _, err = jobs.run(ranks, "fit", "fit.yaml", "-o", f"on{ranks}", "-j", "1", "-q")
        assert code == 0, err
    assert_same(results("on0"), results("on2"))


def test_sets_whose_devices_fail_are_the_same_on_ranks(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    hot = TEXT.replace("ny: 6}", "ny: 6}, feedback: {thermal_resistance: 1e5 K/W}")
    free = "  device.feedback.thermal_resistance: {low: 1 K/W, high: 1e18 K/W, scale: log}\n"
    Path("fit.yaml").write_text(hot.replace("experiments:", f"{free}experiments:"))
    for ranks in (0, 2):
        code, _, err = jobs.run(ranks, "fit", "fit.yaml", "-o", f"on{ranks}", "-j", "1")
        assert code == 0, err
        assert "no result of the set" in err and "device.feedback.thermal_resistance = " in err
    assert_same(results("on0"), results("on2"))
    assert any(np.isinf(each["costs"]).any() for each in results("on0")[0])


@pytest.mark.parametrize(
    ("reached", "stop"),
    [
        ("generation-00000.npz", lambda job: job.process.send_signal(signal.SIGTERM)),
        # In the second look at the sets of the first generation.
        ("generation-00000-rest.h5.work/tasks",
         lambda job: jobs.kill([job.process.pid, *job.ranks()])),
    ],
    ids=["signal", "kill"],
)  # fmt: skip
def test_a_fit_goes_on_with_another_number_of_ranks(tmp_path, monkeypatch, reached, stop):
    monkeypatch.chdir(tmp_path)
    Path("fit.yaml").write_text(TEXT)
    code, _, err = jobs.run(0, "fit", "fit.yaml", "-o", "whole", "-j", "1", "-q")
    assert code == 0, err
    job = jobs.Job(2, "fit", "fit.yaml", "-o", "stopped")
    jobs.wait_for(Path("stopped", reached).exists)
    stop(job)
    code, _, err = job.end()
    assert code in (0, 75, 143, -signal.SIGKILL), err
    code, _, err = jobs.run(0, "fit", "fit.yaml", "-o", "stopped", "-j", "1", "-q")
    assert code == 0, err
    assert_same(results("whole"), results("stopped"))


def test_all_cores_are_used_by_replacing_the_process(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("fit.yaml").write_text(TEXT)
    line = [sys.executable, "-m", "kmc_oxy", "fit", "fit.yaml", "-o", "out", "-j", "2"]
    done = subprocess.run(line, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    assert "2 ranks" in done.stderr


def test_a_signal_after_the_result_does_not_change_the_exit_code(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("fit.yaml").write_text(TEXT)
    job = jobs.Job(2, "fit", "fit.yaml", "-o", "out")
    jobs.wait_for(Path("out/evaluations.h5").exists)
    time.sleep(0.3)  # now the first rank draws the page, and the other one has nothing left to do
    for rank in job.ranks():
        os.kill(rank, signal.SIGINT)
    code, out, err = job.end()
    assert code == 0, err
    assert "sets searched" in out and Path("out/report.html").exists()
