"""aihwkit builds its devices from an exported run and replays the run's trains.

Needs ``aihwkit`` and the torch that it was built for; run with ``-m slow``.
"""

import json

import numpy as np
import pytest

from kmc_oxy import cli
from kmc_oxy.analysis import read_trains
from kmc_oxy.export import export
from kmc_oxy.storage import open_output

pytestmark = pytest.mark.slow

PULSES = 30
TEXT = f"""
device: {{lattice: {{nx: 16, ny: 16}}}}
protocol:
  - pulse: {{voltage: -4 V, duration: 1 s, rest: {{voltage: -0.1 V, duration: 1 s}}}}
  - pulse: {{voltage: +4 V, duration: 1 s, rest: {{voltage: -0.1 V, duration: 1 s}}}}
  - train: {{voltage: -3 V, duration: 1 ms, count: {PULSES}, read: false}}
  - repeat:
      count: 3
      steps:
        - train: {{voltage: +3 V, duration: 1 ms, count: {PULSES}}}
        - train: {{voltage: -3 V, duration: 1 ms, count: {PULSES}}}
spin: {{model: none}}
ensemble: {{members: 8, seed: 3}}
output: {{snapshots: none, profile: false}}
"""
#: Devices of aihwkit that are averaged.
COPIES = 2000


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Parameters from the exported file, and the trains they were made of."""
    folder = tmp_path_factory.mktemp("aihwkit")
    (folder / "in.yaml").write_text(TEXT)
    path = folder / "out.h5"
    assert cli.main(["run", str(folder / "in.yaml"), "-o", str(path), "-q"]) == 0
    _, parameters = export(path, "aihwkit", folder / "t.csv")
    with open_output(path) as file:
        return json.loads(parameters.read_text()), read_trains(file)


def tile(name, parameters, copies):
    """A row of devices, every update of which is one pulse of each."""
    torch = pytest.importorskip("torch")
    configs = pytest.importorskip("aihwkit.simulator.configs")
    tiles = pytest.importorskip("aihwkit.simulator.tiles")
    config = configs.SingleRPUConfig(device=getattr(configs, name)(**parameters))
    config.update.desired_bl = 1
    config.update.update_bl_management = False
    config.update.update_management = False
    made = tiles.AnalogTile(1, copies, config)
    made.set_learning_rate(1)
    try:
        made.set_weights(torch.zeros(1, copies))
    except RuntimeError as error:
        pytest.skip(f"aihwkit and torch do not fit together: {error}")
    return made


def replay(made, start, sign, copies):
    """Weights before and after every pulse of a train, shape (pulses + 1, copies)."""
    import torch

    made.set_weights(torch.full((1, copies), float(start)))
    weights = [made.tile.get_weights().numpy().ravel().copy()]
    for _ in range(PULSES):
        made.update(torch.full((copies,), float(sign)), -torch.ones(1))
        weights.append(made.tile.get_weights().numpy().ravel().copy())
    return np.array(weights)


def without_scatter(parameters):
    return {
        key: 0.0 if key.endswith(("std", "dtod")) else value for key, value in parameters.items()
    }


@pytest.mark.parametrize("name", ["PiecewiseStepDevice", "PowStepDevice"])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_train_is_replayed_within_its_scatter(exported, name, sign):
    """The mean of the devices against the mean train; the scatter is that of our members.

    The mean of the devices as exported must stay within one standard deviation over the members
    everywhere. So must a device without any scatter, and within half of it on average.
    """
    found, trains = exported
    low_S, high_S = found["conductance"].values()
    ours = np.concatenate(trains[sign].conductance_S)
    ours = 2 * (ours - low_S) / (high_S - low_S) - 1
    mean, spread = ours.mean(axis=0), ours.std(axis=0, ddof=1)
    theirs = replay(tile(name, found[name], COPIES), mean[0], sign, COPIES)
    assert np.max(np.abs(theirs.mean(axis=1) - mean) / spread) < 1
    alone = replay(tile(name, without_scatter(found[name]), 2), mean[0], sign, 2)[:, 0]
    deviation = np.abs(alone - mean) / spread
    assert deviation.max() < 1 and deviation.mean() < 0.5
    # It moves as far as ours does, in this direction.
    moved = sign * (theirs[-1].mean() - theirs[0].mean())
    assert moved == pytest.approx(sign * (mean[-1] - mean[0]), rel=0.3)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_soft_bound_is_the_one_that_was_fitted(exported, sign):
    """Without scatter the device is the recursion, in its bounds, steps and exponents."""
    found, _ = exported
    quiet = without_scatter(found["PowStepDevice"])
    law = found["soft_bound"]["up" if sign > 0 else "down"]
    gmin_S, gmax_S = found["soft_bound"]["Gmin_S"], found["soft_bound"]["Gmax_S"]
    low_S, high_S = found["conductance"].values()
    g = found["trains"]["up" if sign > 0 else "down"]["first_S"]
    g = (g - gmin_S) / (gmax_S - gmin_S)
    expected = [g]
    for _ in range(PULSES):
        g += law["a"] * (1 - g) ** law["gamma"] if sign > 0 else -law["a"] * g ** law["gamma"]
        expected.append(g)
    weights = 2 * (gmin_S + np.array(expected) * (gmax_S - gmin_S) - low_S) / (high_S - low_S) - 1
    theirs = replay(tile("PowStepDevice", quiet, 2), weights[0], sign, 2)
    np.testing.assert_allclose(theirs[:, 0], weights, rtol=1e-3, atol=1e-3)
