import pytest
from run_examples import TEXT, plan_of

from kmc_oxy.execution.tasks import CHECK_FACTOR, CHECKED_MEMBERS, Task


def test_tasks_are_numbered_in_order():
    plan = plan_of(TEXT, "engine.check_tolerance=true", "ensemble.members=6")
    tasks = list(plan.tasks())
    assert [task.index for task in tasks] == list(range(plan.n_tasks))
    assert plan.n_tasks == 4 * (6 + CHECKED_MEMBERS)
    assert tasks[7] == plan.task(1, 1) == Task(7, 1, 1)
    assert tasks[-1] == plan.task(3, CHECKED_MEMBERS - 1, coarse=True)
    assert plan.tolerance(tasks[0]) == 0.1
    assert plan.tolerance(tasks[-1]) == pytest.approx(CHECK_FACTOR * 0.1)


def test_exact_runs_have_no_tolerance_to_check():
    plan = plan_of(TEXT, "engine.algorithm=exact", "engine.check_tolerance=true")
    assert plan.n_tasks == 8 and plan.tolerance(plan.task(0, 0)) is None


def test_comments_do_not_make_another_input():
    first = plan_of()
    same = plan_of("# a comment\n" + TEXT.replace("10 ms", "0.01"))
    assert same.identity.input_hash == first.identity.input_hash
    assert same.identity.input_yaml != first.identity.input_yaml
    assert plan_of(TEXT, "ensemble.seed=12").identity.input_hash == first.identity.input_hash
    assert plan_of(TEXT, "ensemble.seed=12").identity.seed == 12
    for change in ("ensemble.members=3", "device.lattice.nx=7", "scan.device.temperature=[76]"):
        assert plan_of(TEXT, change).identity.input_hash != first.identity.input_hash
