"""A law is fitted to a train only if its conductance changes."""

import numpy as np
import pytest
from whole_runs import compute

from kmc_oxy.analysis import conductance_averages, leg_notes, legs, train_laws
from kmc_oxy.analysis.laws import fit_laws
from kmc_oxy.analysis.result_notes import preference_text
from kmc_oxy.analysis.train_laws import TrainLaws, why_unchanged
from kmc_oxy.figures.run_figure import draw
from kmc_oxy.storage import open_output

TOLERANCE = 1e-6
CONSTANT = """
device: {lattice: {nx: 4, ny: 4, organic_layers: 5, organic_thickness: 4 nm}}
protocol:
  - read: {duration: 1e5 s}
  - train: {voltage: 2 V, duration: 10 ps, count: 10, rest: null}
ensemble: {members: 2, seed: 1}
engine: {tolerance: 0.2}
"""
SCANNED = """
device: {lattice: {nx: 8, ny: 8}}
protocol:
  - pulse: {voltage: -4 V, duration: 1 s}
  - train: {voltage: 2 V, duration: 10 ms, count: 12}
scan: {device.temperature: [100, 110 K]}
ensemble: {members: 1, seed: 1}
engine: {tolerance: 0.2}
"""


def series(members, change, scatter, pulses=20, seed=1):
    """Members with a change over the train, each with a factor of its own and a random walk."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(change / pulses, scatter / np.sqrt(pulses), (members, pulses))
    return 1e-9 * rng.uniform(0.5, 2, (members, 1)) * np.exp(np.cumsum(steps, axis=1))


def fitted_lines(axes):
    """Values of the lines that have no marks."""
    plain = [line for line in axes.lines if line.get_marker() in ("", "None", None)]
    return [line.get_ydata() for line in plain if len(line.get_xdata()) > 2]


@pytest.mark.parametrize("members", [1, 2, 8])
def test_rounding_is_no_change(members):
    constant = np.full((members, 12), 3e-9)
    noise = 1 + 1e-6 * np.random.default_rng(2).uniform(0, 1, constant.shape)
    for values_S in (constant, constant * noise, constant * (1 + 1e-7 * np.arange(12))):
        assert "rounding" in why_unchanged(values_S, TOLERANCE)
    assert why_unchanged(constant * (1 + 1e-4 * np.arange(12)), TOLERANCE) == ""


def test_scatter_is_no_change():
    """Without a change at most a tenth of the ensembles pass: two comparisons at 5 %."""
    passed = sum(why_unchanged(series(8, 0.0, 0.3, seed=s), TOLERANCE) == "" for s in range(400))
    assert passed <= 55
    assert all(why_unchanged(series(8, 1.0, 0.3, seed=s), TOLERANCE) == "" for s in range(100))
    assert "scatter of the 8 members" in why_unchanged(series(8, 0.0, 0.3), TOLERANCE)


def test_a_constant_train_has_no_law_in_text_or_picture(tmp_path):
    with open_output(compute(tmp_path, CONSTANT)) as file:
        (train,) = (leg for leg in legs(file, 0) if leg.kind == "train")
        averages = conductance_averages(file)
        assert train_laws(file, train, averages).best is None
        assert leg_notes(file, train, averages) == [
            "leg 1: no law: the conductance does not change beyond rounding"
        ]
        (axes,) = draw(file).axes
        assert "law" not in axes.get_xlabel()
        assert fitted_lines(axes) == []


def test_the_law_drawn_is_the_one_named_and_notes_name_their_point(tmp_path):
    with open_output(compute(tmp_path, SCANNED)) as file:
        trains = [leg for point in (0, 1) for leg in legs(file, point) if leg.kind == "train"]
        averages = conductance_averages(file)
        notes = [leg_notes(file, leg, averages)[0] for leg in trains]
        best = [train_laws(file, leg, averages).best for leg in trains]
        axes = draw(file).axes[0]
        drawn = fitted_lines(axes)
    assert notes[0].startswith("device.temperature = 100: leg 1: ")
    assert notes[1].startswith("device.temperature = 110 K: leg 1: ")
    for note, law, values_S in zip(notes, best, drawn, strict=True):
        assert note.split("lowest AICc: ")[1].startswith(law.law)
        expected = law(np.arange(1, 13))
        np.testing.assert_allclose(values_S[expected > 0], expected[expected > 0])
        assert np.isnan(values_S[expected <= 0]).all()
        assert law.law in axes.get_xlabel()


def laws_of(curve, members, scatter, seed=1):
    """Laws of an ensemble that follows a curve with noise that accumulates from pulse to pulse."""
    rng = np.random.default_rng(seed)
    walk = np.cumsum(rng.normal(0, scatter, (members, curve.size)), axis=1)
    values_S = 1e-9 * (curve + walk)
    number = np.arange(1, curve.size + 1)
    fits = fit_laws(number, values_S.mean(axis=0))
    return TrainLaws("mean", number, values_S, fits, "")


def test_members_decide_between_log_and_exponential():
    number = np.arange(1, 51)
    log, exponential = 1 + 0.2 * np.log(number), 2 - np.exp(-number / 8)
    assert preference_text(laws_of(log, 64, 0.01)).startswith("log over exponential: ")
    assert preference_text(laws_of(exponential, 64, 0.01)).startswith("exponential over log: ")
    assert preference_text(laws_of(log, 16, 0.3)).startswith("16 members do not decide")
    few = preference_text(laws_of(exponential, 8, 1e-3))
    assert few == "8 members do not decide between log and exponential (16 or more may)"
