"""Random inputs are refused with a place, or run to a complete file."""

import collections
import importlib.util
import random
from pathlib import Path

import pytest

PATH = Path(__file__).parents[3] / "scripts" / "verify" / "random_inputs.py"
SEEDS = range(1, 121)


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("random_inputs", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("part", range(4))
def test_random_inputs_are_refused_or_complete(script, tmp_path, part):
    counts = collections.Counter()
    for seed in SEEDS[part::4]:
        folder = tmp_path / str(seed)
        folder.mkdir()
        outcome, text = script.outcome_of(script.random_input(random.Random(seed)), folder, 1.0)
        counts[outcome] += 1
        assert outcome != "wrong", f"seed {seed}: {text}"
    assert counts["complete"] > 3 and counts["refused"] > 3


def test_every_key_step_distribution_and_kind_of_scan_is_drawn(script):
    drawn = set()
    for seed in range(3000):
        drawn.update(script.drawn(script.random_input(random.Random(seed))))
    assert not script.all_to_draw() - drawn


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (2, "kmc-oxy: something"),
        (1, "kmc-oxy: ValueError: no (run again with --debug for the traceback)"),
        (1, "kmc-oxy: not foreseen"),
        (0, "Traceback (most recent call last):"),
        (139, ""),
    ],
)
def test_what_counts_as_wrong(script, tmp_path, code, said):
    outcome, _ = script._judged(code, said, "", tmp_path / "out.h5")
    assert outcome == "wrong"
