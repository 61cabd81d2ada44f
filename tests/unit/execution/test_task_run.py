import pytest
from run_examples import TEXT, compute, datasets, plan_of

from kmc_oxy.execution import assemble
from kmc_oxy.execution.task_run import RunSession, run_task
from kmc_oxy.process import Interrupted
from kmc_oxy.simulation import CellDistribution, FeedbackError
from kmc_oxy.storage import WorkFolder, begin_or_resume, open_output


def test_checkpoints_at_intervals_do_not_change_anything(finished, tmp_path, monkeypatch):
    saved = []
    save = WorkFolder.save_checkpoint
    monkeypatch.setattr(
        WorkFolder,
        "save_checkpoint",
        lambda self, index, state: (saved.append(index), save(self, index, state)),
    )
    compute(plan_of(), tmp_path / "out.h5", checkpoint_interval_s=0.0)
    assert len(saved) > 50 and set(saved) == set(range(8))
    assert datasets(tmp_path / "out.h5") == datasets(finished)


def test_tasks_may_be_done_in_any_order(finished, tmp_path):
    plan = plan_of()
    work = begin_or_resume(tmp_path / "out.h5", plan.identity)
    session = RunSession(plan, work, seed=11, stop=lambda: False)
    for task in reversed(list(plan.tasks())):
        run_task(session, task)
    assemble(plan, work, mpi_size=3)
    assert datasets(tmp_path / "out.h5") == datasets(finished)
    with open_output(tmp_path / "out.h5") as file:
        assert file.attributes["mpi_size"] == 3


def test_a_damaged_checkpoint_costs_only_time(finished, tmp_path):
    plan, output = plan_of(), tmp_path / "out.h5"
    calls = iter(range(10))
    with pytest.raises(Interrupted):
        compute(plan, output, stop=lambda: next(calls, None) is None)
    (path,) = (WorkFolder(output).path / "checkpoints").iterdir()
    path.write_bytes(b"not a checkpoint")
    compute(plan, output)
    assert datasets(output) == datasets(finished)


class Shared(CellDistribution):
    """As if other ranks ran cells too."""

    is_shared = True


def test_a_failure_is_raised_or_kept_as_the_result(tmp_path):
    plan = plan_of(TEXT, "device.feedback.thermal_resistance=1e18")
    work = begin_or_resume(tmp_path / "out.h5", plan.identity)
    session = RunSession(plan, work, seed=11, stop=lambda: False)
    with pytest.raises(FeedbackError):
        run_task(session, plan.task(0, 0))
    assert not work.finished()
    plan.keeps_failures = True
    run_task(session, plan.task(0, 0))
    assert "K" in work.load_task(0)["failure"]
    # The ranks that share a task wait for each other: the job has to end, and goes on afterwards.
    with pytest.raises(FeedbackError):
        run_task(session, plan.task(0, 1), distribute=Shared)
    assert set(work.finished()) == {0, 1}
    work.release()
