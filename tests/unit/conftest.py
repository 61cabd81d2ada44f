"""What tests of several rooms share."""

import fit_examples
import pytest


@pytest.fixture(scope="session")
def tiny_fit(tmp_path_factory):
    """Folder of a complete fit of two parameters; a test that changes it copies it first."""
    return fit_examples.finished_fit(tmp_path_factory.mktemp("tiny_fit"))
