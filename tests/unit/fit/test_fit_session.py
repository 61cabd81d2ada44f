"""A fit that goes on: other budgets, damaged files, folders that are no fit."""

import fit_examples
import numpy as np
import pytest

from kmc_oxy import cli
from kmc_oxy.fit import FitFolder, load_fit
from kmc_oxy.storage import WorkFolder, read_tree


def fit(folder, *options):
    line = ["fit", str(folder / "tiny.yaml"), "-o", str(folder / "out"), "-j", "1", "-q"]
    return cli.main([*line, *options])


def stages(folder):
    paths = sorted((folder / "out").glob("generation-*.npz"))
    return [read_tree(path)["stage"] for path in paths]


@pytest.fixture
def begun(tmp_path):
    fit_examples.write_fit(tmp_path)
    assert fit(tmp_path) == 0
    assert stages(tmp_path) == 2 * ["search"] + 2 * ["slopes"] + ["check"]
    return tmp_path


def test_a_larger_budget_repeats_slopes_and_check(begun):
    assert fit(begun, "--set=search.evaluations=16") == 0
    assert stages(begun)[5:] == 2 * ["search"] + 2 * ["slopes"] + ["check"]
    generations = [read_tree(path) for path in sorted((begun / "out").glob("generation-*.npz"))]
    last = [each for each in generations if each["stage"] == "search"]
    points = np.concatenate([each["points"] for each in last])
    most = [each for each in last if each["members"] == max(e["members"] for e in last)]
    best = min((cost, tuple(point)) for each in most
               for cost, point in zip(each["costs"], each["points"], strict=True))  # fmt: skip
    # The slopes of the second round are around an optimum of all sets, not of the first ones.
    assert len(points) == 16 and np.isfinite(best[0])


def test_a_smaller_budget_changes_nothing(begun):
    assert fit(begun, "--set=search.evaluations=16") == 0
    before = (begun / "out" / "best.yaml").read_bytes()
    assert fit(begun) == 0
    assert (begun / "out" / "best.yaml").read_bytes() == before
    assert len(stages(begun)) == 10


def test_a_folder_that_is_no_fit_is_left_alone(tmp_path, capsys):
    fit_examples.write_fit(tmp_path)
    (tmp_path / "out").mkdir()
    names = ("report.html", "best.yaml", "evaluations.h5", "generation-00001.npz", "notes")
    for name in names:
        (tmp_path / "out" / name).write_text("mine")
    for options in ((), ("--fresh",)):
        assert fit(tmp_path, *options) == 1
        assert "no manifest.json of a fit" in capsys.readouterr().err
        assert {path.name for path in (tmp_path / "out").iterdir()} == set(names)


def test_a_damaged_generation_is_named_with_a_remedy(begun, capsys):
    path = begun / "out" / "generation-00001.npz"
    path.write_bytes(path.read_bytes()[:-30])
    assert fit(begun) == 1
    assert "remove that file and those after it" in capsys.readouterr().err


HOT = (
    ("nx: 4, ny: 4}", "nx: 4, ny: 4}, feedback: {thermal_resistance: 1e5 K/W}"),
    ("  conductance.conductance_scale: {low: 10 uS",
     "  device.feedback.thermal_resistance: {low: 1 K/W, high: 1e18 K/W, scale: log}\n"
     "  conductance.conductance_scale: {low: 10 uS"),
)  # fmt: skip


def test_a_set_whose_device_fails_has_no_result_and_the_fit_goes_on(tmp_path, capsys):
    text = fit_examples.FIT
    for old, new in HOT:
        text = text.replace(old, new)
    fit_examples.write_fit(tmp_path, text.replace("population: 4", "population: 8"))
    line = ["fit", str(tmp_path / "tiny.yaml"), "-o", str(tmp_path / "out"), "-j", "1"]
    assert cli.main(line) == 0
    warned = [line for line in capsys.readouterr().err.splitlines() if "no result of the" in line]
    paths = sorted((tmp_path / "out").glob("generation-*.npz"))
    costs = np.concatenate([read_tree(path)["costs"] for path in paths])
    assert 0 < len(warned) == np.isinf(costs).sum() < len(costs)
    assert "device.feedback.thermal_resistance = " in warned[0]
    assert "conductance.conductance_scale = " in warned[0] and "set of" not in warned[0]


def test_records_of_the_check_are_read_once(tmp_path, monkeypatch):
    read = []
    load = WorkFolder.load_task

    def counted(work, index):
        read.append((work.path.name, index))
        return load(work, index)

    monkeypatch.setattr(WorkFolder, "load_task", counted)
    fit_examples.write_fit(tmp_path)
    assert fit(tmp_path) == 0
    assert len(read) == len(set(read)) > 0


def test_another_fit_file_is_refused(begun, capsys):
    fit_examples.write_fit(begun, fit_examples.FIT.replace("1 ms, first", "2 ms, first"))
    assert fit(begun) == 1
    assert "was computed from another input" in capsys.readouterr().err


def test_a_second_fit_in_the_folder_is_refused_until_the_first_ends(begun, capsys):
    with FitFolder(begun / "out") as held:
        held.begin_or_resume(load_fit(begun / "tiny.yaml"), fresh=False)
        for options in ((), ("--fresh",)):
            assert fit(begun, *options) == 1
            (line,) = capsys.readouterr().err.splitlines()
            assert "another fit is writing in" in line and "wait for it" in line
    assert not (begun / "out" / "lock").exists()
    assert len(stages(begun)) == 5, "nothing was removed"
    (begun / "out" / "lock").write_text("")  # of a process that was killed
    assert fit(begun) == 0
