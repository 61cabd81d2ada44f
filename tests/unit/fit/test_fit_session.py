"""A fit that goes on: other budgets, damaged files, folders that are no fit."""

import fit_examples
import h5py
import numpy as np
import pytest

from kmc_oxy import cli
from kmc_oxy.execution import run_serial, serial_run
from kmc_oxy.fit import FitFolder, FitSession, fit_session, load_fit, progress_of_fit
from kmc_oxy.storage import StoreError, read_tree, write_tree


def fit(folder, *options):
    line = ["fit", str(folder / "tiny.yaml"), "-o", str(folder / "out"), "-j", "1", "-q"]
    return cli.main([*line, *options])


def generations(folder):
    return [read_tree(path) for path in sorted((folder / "out").glob("generation-*.npz"))]


def stages(folder):
    return [each["stage"] for each in generations(folder)]


@pytest.fixture
def begun(tmp_path):
    fit_examples.write_fit(tmp_path)
    assert fit(tmp_path) == 0
    assert stages(tmp_path) == 2 * ["search"] + 2 * ["slopes"] + ["check"]
    return tmp_path


def test_a_larger_budget_repeats_slopes_and_check(begun):
    assert fit(begun, "--set=search.evaluations=16") == 0
    assert stages(begun)[5:] == 2 * ["search"] + 2 * ["slopes"] + ["check"]
    last = [each for each in generations(begun) if each["stage"] == "search"]
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


def test_another_fit_file_is_refused(begun, capsys):
    fit_examples.write_fit(begun, fit_examples.FIT.replace("1 ms, first", "2 ms, first"))
    assert fit(begun) == 1
    assert "was computed from another input" in capsys.readouterr().err


#: A search in which the worse half of each generation is left out after one device.
SCREENED = [
    f"--set=search.{key}"
    for key in ("screen=1", "members=3", "most_members=3", "population=5", "evaluations=15",
                "intervals=false")
]  # fmt: skip


def assert_same(one, other):
    for first, second in zip(one, other, strict=True):
        for key in first.keys() - {"run_id", "simulated"}:
            np.testing.assert_array_equal(first[key], second[key])


def test_sets_left_out_have_fewer_devices_and_no_task_runs_twice(tmp_path, monkeypatch):
    fit_examples.write_fit(tmp_path)
    ran = []
    run_task = serial_run.run_task

    def counted(session, task, **options):
        ran.append((task.member, session.plan.identity.resolved))
        run_task(session, task, **options)

    monkeypatch.setattr(serial_run, "run_task", counted)
    assert fit(tmp_path, *SCREENED) == 0
    *searched, check = generations(tmp_path)
    for each in searched:
        is_left_out = each["devices"] == 1
        assert is_left_out.sum() == 2 and (each["devices"][~is_left_out] == 3).all()
        assert each["costs"][is_left_out].min() > each["costs"][~is_left_out].max()
        has_value = np.isfinite(each["member_residuals"]).all(axis=2)
        np.testing.assert_array_equal(has_value.sum(axis=1), each["devices"])
    assert len(ran) == sum(each["devices"].sum() for each in [*searched, check])
    assert {member for member, _ in ran} == {0, 1, 2}
    assert not list((tmp_path / "out").glob("*.work"))
    with h5py.File(tmp_path / "out" / "evaluations.h5") as file:
        assert file["members"][()].tolist().count(1) == 6
        assert np.isfinite(file["x"]).all()


def test_a_set_with_both_looks_costs_what_it_costs_without_screening(tmp_path, monkeypatch):
    """Records are joined: the free scale and the targets are of all members."""
    fit_examples.write_fit(tmp_path)
    options = [*SCREENED, "--set=search.evaluations=5"]
    assert fit(tmp_path, *options, "--set=search.screen=null") == 0
    whole = generations(tmp_path)
    monkeypatch.setattr(fit_session, "kept_sets", lambda costs, errors, members: [0, 1, 2, 3, 4])
    assert fit(tmp_path, *options, "--fresh") == 0
    assert_same(whole, generations(tmp_path))


def test_a_fit_goes_on_between_two_looks(tmp_path, capsys):
    path = fit_examples.write_fit(tmp_path)
    assert fit(tmp_path, *SCREENED) == 0
    whole = generations(tmp_path)
    (tmp_path / "out").rename(tmp_path / "whole")
    loaded = load_fit(path, tuple(option.removeprefix("--set=") for option in SCREENED))
    folder = FitFolder(tmp_path / "out")
    folder.begin_or_resume(loaded, fresh=False)
    session = FitSession(loaded, folder)
    for look, tasks in enumerate((5, 6)):
        plan, work = session.next_generation()
        assert plan.n_tasks == tasks and not session.generations
        if look == 0:
            run_serial(plan, work)
            session.finish(plan, work)
        assert progress_of_fit(folder.path).tasks == (0 if look else tasks, tasks)
        work.release()
    assert fit(tmp_path, *SCREENED) == 0
    assert_same(whole, generations(tmp_path))
    best = [(tmp_path / name / "best.yaml").read_bytes() for name in ("whole", "out")]
    assert best[0] == best[1]
    assert fit(tmp_path, *SCREENED, "--set=search.screen=2") == 1
    assert "search.screen 1 there, 2 now" in capsys.readouterr().err


def test_generations_of_another_version_are_refused(begun, capsys):
    path = begun / "out" / "generation-00000.npz"
    content = read_tree(path)
    del content["devices"]
    with open(path, "wb") as file:
        write_tree(file, content)
    assert fit(begun) == 1
    assert "was written by another version of kmc_oxy: begin again" in capsys.readouterr().err
    with pytest.raises(StoreError, match="another version"):
        progress_of_fit(begun / "out")
