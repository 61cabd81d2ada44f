"""Skips the tests of this folder if MPI is not available."""

from pathlib import Path

import jobs
import pytest


def pytest_collection_modifyitems(items):
    reason = jobs.why_unavailable()
    if reason:
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=reason))
