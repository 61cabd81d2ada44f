"""Which sets are left out after a first look, and how they are ranked."""

import numpy as np
import pytest

from kmc_oxy.fit.evaluation import costs_and_errors
from kmc_oxy.fit.screening import kept_sets, ranked_behind
from kmc_oxy.fit.search import SEARCHES, SearchSettings


def test_clearly_worse_sets_are_left_out():
    costs = np.array([5.0, 1.0, 9.0, 2.0, 6.0, 7.0])
    errors = np.array([1.0, 0.0, 1.0, 1.0, 3.0, 1.0])
    # The better half 1, 3, 0 and, of the others, 4: 5 above the lowest is 1.7 of its errors.
    assert kept_sets(costs, errors, members=3) == [0, 1, 3, 4]


def test_few_members_call_less_clear():
    costs, errors = np.array([0.0, 0.1, 5.0]), np.array([0.0, 1.0, 2.0])
    assert kept_sets(costs, errors, members=2) == [0, 1, 2]  # 2.5 errors, 3.1 are needed
    assert kept_sets(costs, errors, members=3) == [0, 1]  # 1.9 are needed


def test_one_member_keeps_the_better_half_rounded_up():
    assert kept_sets(np.array([4.0, 2.0, 3.0, 1.0, 5.0]), np.full(5, np.nan), 1) == [1, 2, 3]


def test_what_gives_no_number_is_left_out_if_another_set_gives_one():
    costs = np.array([np.inf, np.inf, 2.0, 300.0, np.inf, np.inf])
    errors = np.where(np.isfinite(costs), 0.1, np.nan)
    assert kept_sets(costs, errors, members=2) == [2, 3]
    assert kept_sets(np.full(3, np.inf), np.full(3, np.nan), members=2) == [0, 1, 2]


def test_the_better_half_is_always_kept():
    random = np.random.default_rng(0)
    for sets in range(1, 12):
        members = random.normal(size=(sets, 2, 5)) + 10 * random.random((sets, 1, 1))
        costs, errors = costs_and_errors(members, np.zeros(sets))
        kept = kept_sets(costs, errors, members=2)
        better = np.argsort(costs)[: (sets + 1) // 2]
        assert set(better.tolist()) <= set(kept) and kept == sorted(kept)


def test_sets_left_out_come_last_in_the_order_of_the_first_look():
    first = np.array([3.0, 1.0, 4.0, 2.5, 9.0])
    costs = np.array([np.inf, 5.0, 4.5, np.inf, np.inf])
    ranked = ranked_behind(costs, first, np.array([True, False, False, True, True]))
    assert ranked[[1, 2]].tolist() == [5.0, 4.5]
    assert 5.0 < ranked[3] < ranked[0] < 5.0 + 1e-9  # raised, in their order
    assert ranked[4] == 9.0  # as it was


def test_without_a_full_cost_there_is_no_rank():
    left_out = np.array([False, True])
    assert np.isinf(ranked_behind(np.full(2, np.inf), np.array([np.inf, 2.0]), left_out)).all()
    nothing = np.zeros(2, dtype=bool)
    np.testing.assert_array_equal(ranked_behind(np.array([1.0, np.inf]), first_costs=np.ones(2),
                                                is_left_out=nothing), [1.0, np.inf])  # fmt: skip


@pytest.mark.parametrize("method", SEARCHES)
def test_a_set_left_out_is_never_the_best(method):
    """A first look that is lower than every full cost has no effect on the best set."""
    random = np.random.default_rng(1)
    search = SEARCHES[method]([0.5, 0.5], 1, SearchSettings(60, population=6, members=6,
                                                           most_members=6))  # fmt: skip
    whole = []
    while not search.finished:
        points = search.ask()
        full, first = 1 + random.random((2, 6))
        kept = kept_sets(first, np.full(6, np.nan), 1)
        is_left_out = ~np.isin(np.arange(6), kept)
        costs = ranked_behind(full, np.where(is_left_out, 1e-6, first), is_left_out)
        search.tell(points, costs)
        whole += [tuple(point) for point in points[kept]]
        assert not is_left_out[np.argmin(costs)]
    assert tuple(search.best[0]) in whole and search.best[1] >= 1
