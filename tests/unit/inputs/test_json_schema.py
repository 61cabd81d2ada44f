"""The JSON Schema of inputs and fit files accepts what can be loaded, and marks usual mistakes."""

import pytest
import yaml
from input_faults import INPUTS
from jsonschema import Draft202012Validator

from kmc_oxy.fit import FitFile, is_fit_file
from kmc_oxy.inputs import json_schema, yaml_loader
from kmc_oxy.inputs.schema import Input, shipped_names, shipped_text
from kmc_oxy.units import UNITS

SCHEMAS = {model: Draft202012Validator(json_schema(model)) for model in (Input, FitFile)}
READ = "protocol: [{read: {}}]\n"
TRAIN = "protocol: [{train: {voltage: 2 V, duration: 1 ms, count: 50%s}}]\n"


def errors(text, model=Input):
    return [error.message for error in SCHEMAS[model].iter_errors(yaml_loader.read(text).data)]


@pytest.mark.parametrize("model", SCHEMAS, ids=lambda model: model.__name__)
def test_the_schema_is_one(model):
    Draft202012Validator.check_schema(json_schema(model))


@pytest.mark.parametrize("path", sorted(INPUTS.glob("*.yaml")), ids=lambda path: path.name)
def test_every_shipped_input_is_accepted(path):
    model = FitFile if is_fit_file(path) else Input
    assert errors(path.read_text(encoding="utf-8"), model) == []


@pytest.mark.parametrize("name", shipped_names("templates"))
def test_every_template_is_accepted(name):
    text = shipped_text("templates", name)
    assert errors(text, FitFile if "experiments" in yaml.safe_load(text) else Input) == []


@pytest.mark.parametrize(
    "text",
    [
        READ + "device: {temperature: 25 °C, barriers: {bulk: {low: 0.1 eV}}}\n",
        READ + "device: {barriers: {oxide: [{share: 5 %, high: 1 eV}, {low: 0.1}]}}\n",
        READ + "device: {lattice: }\nconductance: {oxide_decay: 3 1/nm, conductance_scale: 1 µS}\n",
        READ + "scan: {device.temperature: {from: 70 K, to: 80 K, steps: 3, scale: log}}\n",
        READ
        + "scan: {zip: {device.temperature: [70 K], engine.reach: [1]}, engine.tolerance: [1]}\n",
        READ + "ensemble: {members: 1e3}\ninclude: device.yaml\n",
        TRAIN % ", until: conductance > 1 uS",
        "protocol: [{repeat: {for: {v: [1 V]}, steps: [{pulse: {voltage: $v, duration: 1 s}}]}}]\n",
        "protocol: [{waveform: {points: [[0, 1 V], [1 ms, 0]], read_at: [1 ms]}}]\n",
    ],
)
def test_what_can_be_written_is_accepted(text):
    assert errors(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "device: {}\n",
        READ + "devise: {}\n",
        READ + "device: {temperature: 80 V}\n",
        READ + "device: {temperature: -1}\n",
        READ + "device: {lattice: {nx: 8.5}}\n",
        READ + "device: {preset: shumilin}\n",
        READ + "spin: {model: magic}\n",
        READ + "device: {barriers: {oxide: {distribution: gaussian, mean: 1 eV}}}\n",
        READ + "scan: {device.temperature: 80 K}\n",
        READ + "scan: {device.temperature: {from: 70 K, to: 80 K}}\n",
        READ + "scan: {zip: true}\n",
        TRAIN % ", until: voltage > 1 V",
        TRAIN % ", cuont: 3",
        "protocol: [{train: {voltage: 2 V, duration: 1 ms}}]\n",
        "protocol: [{read: {}, map: {}}]\n",
        "protocol: [{repeat: {steps: [{read: {}}]}}]\n",
        "protocol: []\n",
        "protocol: [{waveform: {points: [[0, 1 V, 2], [1 ms, 0]]}}]\n",
    ],
)
def test_usual_mistakes_are_marked(text):
    assert errors(text)


def test_every_unit_is_accepted_where_its_dimension_is():
    keys = {"duration": "read_at", "voltage": "points"}
    for name, (dimension, _) in UNITS.items():
        if dimension in keys:
            points = f"[[0, 1 {name}], [1, 0]]" if dimension == "voltage" else "[[0, 1], [1, 0]]"
            read_at = f", read_at: [1 {name}]" if dimension == "duration" else ""
            assert errors(f"protocol: [{{waveform: {{points: {points}{read_at}}}}}]\n") == [], name
