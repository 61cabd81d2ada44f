"""A finished run that several modules compare with."""

import pytest
from run_examples import compute, plan_of


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    return compute(plan_of(), tmp_path_factory.mktemp("run") / "out.h5")
