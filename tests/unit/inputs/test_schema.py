"""The models of the input: defaults, empty sections, steps."""

import json

import pytest
from input_faults import INPUTS, MINIMAL, TRAIN

from kmc_oxy.inputs import load
from kmc_oxy.inputs.loading import loads


def test_defaults_are_the_published_starting_set():
    resolved = json.loads(loads(MINIMAL).resolved)

    def flat(high):
        return {"distribution": "flat", "low": 0.0, "high": high}

    assert resolved["device"] == {
        "preset": None,
        "temperature": 76.0,
        "lattice": {
            "nx": 28, "ny": 28, "spacing": 0.835e-9, "organic_layers": 12,
            "organic_thickness": 10e-9, "oxide_layers": 2, "oxide_thickness": 2e-9,
        },
        "oxygen": {
            "filling": 0.075, "charge_number": 2, "attempt_frequency": 1e13, "start": "random",
        },
        "barriers": {
            "distribution": None, "bulk": flat(0.2), "first_layer_exit": flat(0.38),
            "first_layer_lateral": flat(1.0), "oxide": flat(1.0), "interface": flat(0.25),
            "slow": flat(1.0), "slow_share": 0.6, "slow_layers": 2, "tunnel_floor": 0.0,
        },
        "site_energy": {"oxide_offset": -0.495, "first_layer_binding": 0.468, "disorder": 0.03},
        "field": {
            "profile": "interfacial", "lsmo_share": 0.4, "lsmo_width": 2.5e-9, "oxide_share": 0.4,
            "oxide_margin": 0.8e-9, "permittivity_organic": 3.2, "permittivity_oxide": 9.0,
        },
        "feedback": {
            "potential": "prescribed", "link_nonlinearity": 0.1, "screening_length": None,
            "thermal_resistance": 0.0,
        },
    }  # fmt: skip
    published = {
        "electrode_prefactor": 1e-3, "decay_length": 0.5e-9, "cutoff": 3e-9, "background": 0.08,
        "barrier_height": 1.2, "level_width": 0.1, "effective_mass": 1.0, "permittivity": 3.2,
        "slab": 1e-9, "smoothing": 2.5e-9, "density_floor": 0.003, "oxide_decay": 3e9,
        "weak_points": 0.15e-9, "leak": 1e-9, "tolerance": 1e-6,
    }  # fmt: skip
    assert published.items() <= resolved["conductance"].items()
    assert resolved["protocol"] == [{"read": {"voltage": -0.1, "duration": 0.05}}]
    assert resolved["engine"]["algorithm"] == "capped"
    assert resolved["engine"]["tolerance"] == 1 / 30
    assert resolved["ensemble"] == {"members": 1, "seed": None}


def test_each_pulse_is_followed_by_a_rest_unless_told_otherwise():
    train = loads(TRAIN).model.protocol[0].body
    assert (train.rest.voltage, train.rest.duration, train.read) == (-0.1, 0.05, True)
    changed = "protocol: [train: {voltage: 2, duration: 1e-3, count: 5, rest: {duration: 1 s}}]"
    assert loads(changed).model.protocol[0].body.rest.voltage == -0.1
    assert loads(changed.replace("{duration: 1 s}", "null")).model.protocol[0].body.rest is None


def test_empty_sections_are_defaults():
    text = "device:\n  lattice:\n  barriers:\n    bulk:\nspin:\nprotocol:\n  - read:\n"
    assert loads(text).model == loads(MINIMAL).model


def test_steps_know_their_kind():
    text = """
protocol:
  - repeat:
      count: 3
      steps:
        - pulse: {voltage: -4 V, duration: 1 s, read: false}
        - relax: {duration: 1 h, first: 1 us}
  - sweep: {to: [1 V, -1 V, 0], dwell: 1 ms}
  - sweep: {amplitude: 2 V}
"""
    protocol = loads(text).model.protocol
    assert [step.kind for step in protocol] == ["repeat", "sweep", "sweep"]
    assert [step.kind for step in protocol[0].body.steps] == ["pulse", "relax"]
    assert protocol[0].body.steps[1].body.duration == 3600.0
    assert protocol[1].body.turning_voltages == (1.0, -1.0, 0.0)
    assert protocol[2].body.turning_voltages == (2.0, -2.0, 0.0)


def test_models_cannot_be_changed():
    model = loads(MINIMAL).model
    with pytest.raises(ValueError, match="frozen"):
        model.device.temperature = 4.0


def test_quickstart_is_the_potentiation_train_after_a_reset():
    model = load(INPUTS / "quickstart.yaml").model
    *conditioning, train = (step.body for step in model.protocol)
    assert [(p.voltage, p.duration) for p in conditioning] == [(-4, 1), (4, 1), (-4, 1)]
    assert all((p.rest.voltage, p.rest.duration) == (-0.1, 1) for p in conditioning)
    assert (train.voltage, train.duration, train.count) == (2.0, 1e-3, 50)
    assert (train.rest.voltage, train.rest.duration) == (-0.1, 0.05)
