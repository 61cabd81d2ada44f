"""References that tests compare with, importable everywhere; no trace of a test in the next."""

import logging
import sys
from pathlib import Path

import pytest

ROOMS = ("execution", "inputs", "physics", "simulation", "storage")
for folder in ("mpi", "physics", "unit", *(f"unit/{room}" for room in ROOMS)):
    sys.path.insert(0, str(Path(__file__).parent / folder))


@pytest.fixture(autouse=True)
def default_log_level():
    """The command line sets the package's log level for its process, which here is all tests'."""
    logging.getLogger("kmc_oxy").setLevel(logging.NOTSET)
