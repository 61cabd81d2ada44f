"""Distributions of barriers: every entry of the table draws what it says."""

import numpy as np
import pytest

from kmc_oxy.inputs.schema import DISTRIBUTIONS, Barriers

COUNT = 200_000
MEAN_EV, WIDTH_EV = 0.4, 0.05


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_barriers_have_the_mean_and_width_that_are_asked_for(distribution):
    """Mean within five standard errors, width within 2 %; no barrier is negative."""
    found = distribution.of(MEAN_EV, WIDTH_EV)
    mean, width = found.mean_and_width
    drawn = found.draw(np.random.default_rng(5), COUNT)
    assert drawn.shape == (COUNT,) and drawn.min() >= 0
    assert mean == pytest.approx(MEAN_EV)
    assert drawn.mean() == pytest.approx(mean, abs=5 * max(width, 1e-12) / np.sqrt(COUNT))
    assert drawn.std() == pytest.approx(width, rel=0.02, abs=1e-12)


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_every_distribution_can_be_imposed_and_written(distribution):
    name = distribution.model_fields["distribution"].default
    imposed = Barriers.model_validate({"distribution": name})
    assert isinstance(imposed.effective("oxide"), distribution)
    own = {"bulk": distribution.of(MEAN_EV, WIDTH_EV).model_dump()}
    assert isinstance(Barriers.model_validate(own).bulk, distribution)
    assert "eV" in distribution.of(MEAN_EV, WIDTH_EV).text()
