"""The words of a tolerance check follow from the difference, its interval and the tolerance."""

import h5py
import numpy as np
import pytest
from whole_runs import compute

from kmc_oxy.analysis.tolerance_check import ToleranceCheck, tolerance_check
from kmc_oxy.storage import open_output

TEXT = """
device: {lattice: {nx: 4, ny: 4}}
engine: {tolerance: 0.2, check_tolerance: true}
protocol: [{read: {}}, {read: {}}]
"""


@pytest.mark.parametrize(
    ("difference", "half_width", "words"),
    [
        (0.2, 0.1, "use a smaller engine.tolerance"),
        (-0.2, 0.1, "use a smaller engine.tolerance"),
        (0.05, 0.1, "is not resolved by these members"),
        (0.2, 0.3, "is not resolved by these members"),
        (0.01, 0.02, "as it should be"),
        (0.025, 0.02, "as it should be"),
    ],
)
def test_three_results(difference, half_width, words):
    assert words in ToleranceCheck(3, difference, half_width, 0.09, 4).text


def test_the_clearest_difference_is_found_with_its_interval(tmp_path):
    path = compute(tmp_path, TEXT + "ensemble: {members: 4, seed: 1}\n")
    with h5py.File(path, "r+") as file:
        file["conductance"][...] = [[[[[2e-9, 4e-9]]]]]
        file["tolerance_error_conductance"][...] = [[[[2e-10, 8e-10]]]]
        file["tolerance_error_conductance_deviation"][...] = [[[[2e-10, 1.6e-10]]]]
    with open_output(path) as file:
        found = tolerance_check(file, 0)
    assert found.leg == 1 and found.difference == pytest.approx(0.2)
    # Student's quantile with 3 degrees of freedom at 1 - 0.025/2.
    assert found.half_width == pytest.approx(4.1765 * 0.04 / 2, rel=1e-4)
    assert "use a smaller" in found.text


def test_one_member_is_not_judged(tmp_path):
    with open_output(compute(tmp_path, TEXT)) as file:
        assert np.isnan(file["tolerance_error_conductance_deviation"][:]).all()
        assert tolerance_check(file, 0) is None
