"""Texts of small inputs, and the faults of an input as lines."""

from pathlib import Path

import pytest

from kmc_oxy.inputs import InputError
from kmc_oxy.inputs.loading import loads

INPUTS = Path(__file__).parents[3] / "inputs"
MINIMAL = "protocol:\n  - read: {}\n"
TRAIN = "protocol:\n  - train: {voltage: 2 V, duration: 1 ms, count: 50}\n"


def faults_of(text, *overrides):
    """Lines of the error that this text gives."""
    with pytest.raises(InputError) as caught:
        loads(text, overrides, "in.yaml")
    lines = str(caught.value).split("\n")
    assert len(lines) == len(caught.value.faults)
    return lines


def only_fault_of(text, *overrides):
    (line,) = faults_of(text, *overrides)
    return line
