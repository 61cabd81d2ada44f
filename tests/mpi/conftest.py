"""Makes the jobs of this folder importable, and skips the tests where MPI cannot be had."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import jobs


def pytest_collection_modifyitems(items):
    reason = jobs.why_not()
    if reason:
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=reason))
