"""How far a fit is, and what it would cost."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
from fit_examples import copied, write_fit

from kmc_oxy import cli
from kmc_oxy.execution import Progress, run_serial
from kmc_oxy.fit import (
    FitFolder,
    FitSession,
    SessionProgress,
    fit_cost,
    load_fit,
    progress_of_fit,
)
from kmc_oxy.storage import StoreError
from kmc_oxy.units import duration_text


def test_progress_of_a_complete_fit(tiny_fit):
    found = progress_of_fit(tiny_fit)
    assert found.is_complete and found.tasks is None
    assert found.generations == {"search": 2, "slopes": 2, "check": 1}
    assert found.sets["search"] == 8 and found.sets["slopes"] == 10
    assert found.members == 6
    assert np.isfinite([found.cost, found.check_cost]).all()


def test_progress_of_the_first_generation(tiny_fit, tmp_path):
    fit = copied(tiny_fit, tmp_path)
    for path in sorted(fit.iterdir()):
        if path.name not in ("manifest.json", "generation-00000.npz"):
            path.unlink()
    leftover = fit / "generation-00000.h5.work"
    leftover.mkdir()
    found = progress_of_fit(fit)
    assert not found.is_complete and found.sets["search"] == 4 and found.check_cost == np.inf
    # Another process may be busy in the folder: nothing in it is changed.
    assert leftover.exists()
    (fit / "generation-00000.npz").unlink()
    leftover.rmdir()
    found = progress_of_fit(fit)
    assert found.members == 0 and found.cost == np.inf and found.library == ""


def test_no_fit(tmp_path):
    with pytest.raises(StoreError, match="is no folder of a fit"):
        progress_of_fit(tmp_path)


def test_cost_grows_with_sets_and_members(tmp_path):
    path = write_fit(tmp_path)
    fit = load_fit(path)
    cost = fit_cost(fit)
    assert cost.tasks_of_set == 1  # both experiments share a device
    # 8 sets of 3 members, of which half may have only 2; 2 x 5 sets for the slopes and 2 for the
    # check of 6 members.
    assert cost.tasks == (8 * 3 - 4 + 12 * 6, 8 * 6 + 12 * 6)
    for screen in ("null", "3"):
        assert fit_cost(load_fit(path, (f"search.screen={screen}",))).tasks[0] == 8 * 3 + 12 * 6
    assert 0 < cost.hops[0] < cost.hops[1] and 0 < cost.core_time_s[0] < cost.core_time_s[1]
    more = fit_cost(load_fit(path, ("search.evaluations=80", "search.intervals=false")))
    assert more.tasks == (80 * 3 - 40 + 2 * 6, 80 * 6 + 2 * 6)
    fresh = fit_cost(load_fit(path, ("experiments.findings.device=fresh",)))
    assert fresh.tasks_of_set == 2


def test_the_line_of_a_session_is_of_the_whole_fit(tmp_path, monkeypatch):
    fit = load_fit(write_fit(tmp_path))
    clock = SimpleNamespace(now_s=0.0)
    monkeypatch.setattr(
        "kmc_oxy.fit.session_progress.time", SimpleNamespace(monotonic=lambda: clock.now_s)
    )
    with FitFolder(tmp_path / "out") as folder:
        folder.begin_or_resume(fit, fresh=False)
        session = FitSession(fit, folder)
        line = SessionProgress(session)
        plan, work = session.next_generation()
        clock.now_s = 3.0
        # 3 of 4 sets of 2 devices; ahead are their third ones, 4 sets of 3, and 12 sets of 6.
        text = line(Progress(8, 3, 3 / 8, 1000, 1.0, 0.0, 1.0))
        assert text.startswith("search, generation 1, look 1 of 2: 0 of 8 sets, 3/8 tasks, ")
        assert text.endswith(f"about {duration_text(5 + 4 + 12 + 72)} left")
        run_serial(plan, work)
        session.finish(plan, work)
        plan, work = session.next_generation()
        kept = plan.n_tasks
        assert 2 <= kept <= 4
        clock.now_s = 9.0
        text = line(Progress(kept, 1, 1 / kept, 1000, 1.0, 0.0, 1.0))
        assert text.startswith(f"search, generation 1, look 2 of 2: 0 of 8 sets, 1/{kept} tasks, ")
        assert text.endswith(f"about {duration_text(kept - 1 + 12 + 72)} left")
        run_serial(plan, work)
        session.finish(plan, work)
        plan, work = session.next_generation()
        clock.now_s = 8.0 + kept + 4
        text = line(Progress(8, 4, 0.5, 1000, 1.0, 0.0, 1.0))
        assert text.startswith("search, generation 2, look 1 of 2: 4 of 8 sets, 4/8 tasks, ")
        assert text.endswith(f"about {duration_text(4 + 4 + 72)} left")
        work.release()


def test_lines_of_generations_keep_the_lowest_cost_of_their_stage(tmp_path, capsys):
    path = write_fit(tmp_path)
    assert cli.main(["fit", str(path), "-o", str(tmp_path / "out"), "-j", "1"]) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if "cost best" in line]
    found = [re.search(r"(\w+), generation \d: (.*), . devices each[^;]*; cost best ([^,]*)", line)
             for line in lines]  # fmt: skip
    assert [each[1] for each in found] == 2 * ["search"] + 2 * ["slopes"] + ["check"]
    assert [each[2] for each in found[:3]] == ["4 of 8 sets", "8 of 8 sets", "5 sets"]
    so_far = [line.rpartition("so far ")[2] for line in lines[:4]]
    assert so_far[2] == found[2][3]
    assert float(so_far[3]) == min(float(found[2][3]), float(found[3][3]))
    assert "so far" not in lines[4]
