"""The event list after many hops is the one that the occupation implies, to the last bit."""

import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "verify" / "total_rate_drift.py"


@pytest.mark.parametrize("tolerance", [None, 1 / 30])
def test_total_rate_does_not_drift(tolerance):
    spec = importlib.util.spec_from_file_location("verify_drift", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    moments = module.drift(2_000_000, tolerance)
    assert moments[-1][0] >= 2_000_000
    assert [difference for _, difference in moments] == [0.0] * 10
