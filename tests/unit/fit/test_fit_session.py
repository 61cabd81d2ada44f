"""A fit that goes on: other budgets, damaged files, folders that are no fit."""

from collections import Counter

import fit_examples
import h5py
import numpy as np
import pytest

from kmc_oxy import cli
from kmc_oxy.execution import run_serial, serial_run
from kmc_oxy.fit import FitFolder, FitSession, fit_session, load_fit, progress_of_fit
from kmc_oxy.storage import StoreError, WorkFolder, read_tree, write_tree


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


def test_records_are_read_once_by_each_look(tmp_path, monkeypatch):
    read = []
    load = WorkFolder.load_task

    def counted(work, index):
        read.append((work.path.name, index))
        return load(work, index)

    monkeypatch.setattr(WorkFolder, "load_task", counted)
    fit_examples.write_fit(tmp_path)
    assert fit(tmp_path) == 0
    again = {name for (name, _), times in Counter(read).items() if times > 1}
    assert max(Counter(read).values()) == 2
    assert again == {f"generation-0000{number}.h5.work" for number in (0, 1)}  # of two looks


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
    with FitFolder(tmp_path / "out") as folder:
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


@pytest.fixture
def screened(tmp_path):
    """A session of a screened fit, with one point a set."""
    path = fit_examples.write_fit(tmp_path)
    loaded = load_fit(path, tuple(option.removeprefix("--set=") for option in SCREENED))
    with FitFolder(tmp_path / "out") as folder:
        folder.begin_or_resume(loaded, fresh=False)
        yield FitSession(loaded, folder)


def run_look(session, failing):
    """Run a look in which the last device of some sets fails; return its sets."""
    plan, work = session.next_generation()
    run_serial(plan, work)
    for index in failing:
        (point,) = plan.part(index, 0)
        work.save_task(plan.task(point, plan.members - 1).index, {"failure": "too hot"})
    session.finish(plan, work)
    work.release()
    return plan.feasible


def warned(caplog):
    return sum("no result of the set" in line and "too hot" in line for line in caplog.messages)


def test_a_set_that_fails_in_the_first_look_gets_no_second_one(screened, caplog):
    assert run_look(screened, [0, 3]) == [0, 1, 2, 3, 4]
    kept = run_look(screened, [])
    assert kept and not {0, 3} & set(kept)
    (generation,) = screened.generations
    assert np.isinf(generation.costs[[0, 3]]).all() and np.isfinite(generation.costs[kept]).all()
    assert generation.devices[[0, 3]].tolist() == [1, 1]
    assert warned(caplog) == 2


def test_a_set_that_fails_in_the_second_look_has_an_infinite_cost(screened, caplog):
    run_look(screened, [])
    assert not warned(caplog)
    plan, work = screened.next_generation()
    work.release()
    failing, *others = plan.feasible
    assert run_look(screened, [failing]) == [failing, *others]
    (generation,) = screened.generations
    assert np.isinf(generation.costs[failing]) and generation.devices[failing] == 3
    assert np.isfinite(np.delete(generation.costs, failing)).all()
    is_left_out = generation.devices == 1
    assert generation.costs[is_left_out].min() > generation.costs[others].max()
    assert warned(caplog) == 1


def test_without_a_set_that_runs_there_is_no_second_look(screened, caplog):
    run_look(screened, range(5))
    assert not screened.generations
    plan, work = screened.next_generation()
    work.release()
    (generation,) = screened.generations
    assert np.isinf(generation.costs).all() and warned(caplog) == 5
    assert plan.feasible == [0, 1, 2, 3, 4] and plan.devices == range(1)
    assert not list(screened.folder.path.glob("generation-00000*.work"))
