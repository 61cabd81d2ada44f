"""Branches of a path: where it turns, and whom the turning point belongs to."""

import numpy as np
import pytest

from kmc_oxy.analysis import branches


@pytest.mark.parametrize(
    ("path", "apart", "joined"),
    [
        ([0, 1, 2, 1, 0, -1, 0], [[0, 1, 2], [1, 0, -1], [0]], [[0, 1, 2], [2, 1, 0, -1], [-1, 0]]),
        ([3, 2, 1], [[3, 2, 1]], [[3, 2, 1]]),
        ([0, 1, 1, 0], [[0, 1, 1], [0]], [[0, 1, 1], [1, 0]]),
        ([0, 1, 1, 2], [[0, 1, 1, 2]], [[0, 1, 1, 2]]),
        ([2, 2, 1, 1], [[2, 2, 1, 1]], [[2, 2, 1, 1]]),
        ([5], [[5]], [[5]]),
    ],
)
def test_branches(path, apart, joined):
    path = np.array(path, float)
    assert [path[part].tolist() for part in branches(path, share_turns=False)] == apart
    assert [path[part].tolist() for part in branches(path, share_turns=True)] == joined
