"""Stop conditions decide the same on any number of ranks and after a kill."""

import time

import jobs
import pytest
from jobs import Job, datasets, run

TEXT = """
device: {lattice: {nx: 12, ny: 12}}
crossbar: {rows: 2, columns: 1}
protocol:
  - repeat:
      count: 6
      steps:
        - program: {cell: [1, 0], voltage: 3 V, count: 20, until: conductance > 50 nS}
        - program: {cell: [1, 0], voltage: -3 V, count: 20, until: conductance < 20 nS}
  - map: {}
ensemble: {members: 2, seed: 4}
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.yaml").write_text(TEXT)
    return tmp_path


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return jobs.whole(tmp_path_factory.mktemp("whole"), TEXT)


@pytest.mark.parametrize("ranks", [2, 4])
def test_ranks_that_share_an_array_stop_at_the_same_pulse(here, whole, ranks):
    code, _, err = run(ranks, "run", "in.yaml", "-o", "out.h5")
    assert code == 0, err
    assert datasets("out.h5") == whole


def test_a_killed_run_goes_on_to_the_same_end(here, whole):
    job = Job(0, "run", "in.yaml", "-o", "out.h5", "-v")
    assert job.wait_until_computing()
    time.sleep(0.5)
    job.process.kill()
    job.process.wait()
    code, _, err = run(2, "run", "in.yaml", "-o", "out.h5")
    assert code == 0, err
    assert datasets("out.h5") == whole
