"""``kmc-oxy plot --data``: measured points from the command line."""

import pytest
import whole_runs
from matplotlib.image import imread

from kmc_oxy import cli

RUN = """
device: {lattice: {nx: 4, ny: 4}}
protocol: [train: {voltage: 2 V, duration: 1 us, count: 5}]
ensemble: {members: 2, seed: 1}
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    whole_runs.compute(tmp_path, RUN)
    (tmp_path / "my.csv").write_text("pulse,conductance (nS),a b\n1,2,3\n4,5,6\n")
    return tmp_path


def line(*options):
    return ["plot", "out.h5", "-o", "fig.png", "-q", *options]


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--data-scale", "free"],
        ["--data-x", "pulse"],
        ["--data-x", "pulse:pulse", "--data-y", "conductance:conductance (nS):nS"],
        ["--data-y", "resistance:a b:Mohm"],
        ["--data-curves", "a b"],
    ],
)
def test_measured_points_change_the_figure(here, options):
    assert cli.main(line()) == 0
    before = imread("fig.png")
    assert cli.main(line("--data", "my.csv", *options)) == 0
    after = imread("fig.png")
    assert before.shape != after.shape or (before != after).any()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--data", "absent.csv"], "absent.csv: cannot be read: no such file"),
        (["--data", "my.csv", "--data-x", "time:a b"], "my.csv: has values against time, but the"),
        (["--data", "my.csv", "--data-x", "tim"], "--data-x: must begin with one of pulse, time"),
        (["--data", "my.csv", "--data-y", "current:a b:nA"], "my.csv: has currents against pulse"),
        (["--data", "my.csv", "--data-y", "resistance:c"], "my.csv:1: no column has the name 'c'"),
        (["--data-x", "pulse"], "--data: is required by the other options"),
        (["--data-scale", "free"], "--data: is required by the other options"),
    ],
)
def test_one_line_and_exit_code_2(here, capsys, options, words):
    assert cli.main(line(*options)) == 2
    text = capsys.readouterr().err
    assert text.count("\n") == 1 and words in text
    assert not (here / "fig.png").exists()
