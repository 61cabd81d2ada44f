"""How far a fit is, and what it would cost."""

import numpy as np
import pytest
from fit_examples import copied, write_fit

from kmc_oxy.fit import fit_cost, load_fit, progress_of_fit
from kmc_oxy.storage import StoreError


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
