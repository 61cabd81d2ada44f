"""Reading an input: files, overrides, the resolved input."""

import json

import pytest
from input_faults import INPUTS, MINIMAL, TRAIN, only_fault_of

from kmc_oxy.inputs import InputError, load
from kmc_oxy.inputs.loading import loads
from kmc_oxy.inputs.schema import Input


@pytest.mark.parametrize(
    "path",
    sorted({*INPUTS.glob("*.yaml")} - {*INPUTS.glob("fit_*.yaml")}),
    ids=lambda path: path.name,
)
def test_shipped_inputs_are_in_order_and_survive_a_round_trip(path):
    loaded = load(path)
    assert loaded.text == path.read_text(encoding="utf-8")
    assert loaded.source == str(path)
    assert Input.model_validate(json.loads(loaded.resolved)) == loaded.model
    assert loads(loaded.text).model == loaded.model
    # JSON is YAML: the resolved input of one run is a valid input of the next.
    assert loads(loaded.resolved).model == loaded.model


def test_files_that_cannot_be_read(tmp_path):
    def fault(path, *overrides):
        with pytest.raises(InputError) as caught:
            load(path, overrides)
        return str(caught.value)

    assert fault(tmp_path / "no.yaml").endswith(": cannot be read: no such file or directory")
    assert fault(tmp_path).endswith("cannot be read: is a directory")
    assert "cannot be read" in fault("nul\0byte")
    assert "cannot be read" in fault("x" * 5000)
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"name: x\n\xff\xfe\x00")
    assert fault(binary).endswith("is not UTF-8 text (byte 0xff in line 2)")
    binary.write_bytes(MINIMAL.encode("utf-16"))
    assert "is not UTF-8 text" in fault(binary)
    binary.write_bytes(b"#" * 1_000_000)
    assert fault(binary).endswith("is longer than 250000 bytes")


def test_overrides():
    overrides = (
        "device.temperature=100 K",
        "protocol.0.train.count=20",
        "protocol.0.train.rest=null",
        "scan.device.oxygen.filling=[0.05, 5 %]",
        "name=a=b",
        "ensemble.seed=1",
        "ensemble.seed=2",
    )
    loaded = loads(TRAIN, overrides)
    model = loaded.model
    assert loaded.text == TRAIN
    assert loaded.overrides == overrides
    assert model.device.temperature == 100.0
    assert (model.protocol[0].body.count, model.protocol[0].body.rest) == (20, None)
    assert model.scan == {"device.oxygen.filling": (0.05, "5 %")}
    assert (model.name, model.ensemble.seed) == ("a=b", 2)


@pytest.mark.parametrize(
    ("override", "fault"),
    [
        ("device.temperature", "--set device.temperature: must be of the form a.b=c"),
        ("=5", "--set : must be of the form a.b=c"),
        ("a..b=5", "--set a..b: must be of the form a.b=c"),
        ("name=[1", "--set name: the value is wrong"),
        ("name={a: 1, a: 2}", "--set name: the value is wrong: given twice"),
        ("device.temperature=-4", "--set device.temperature: device.temperature: must be greater "
         "than 0 K (got -4)"),
        ("device.temprature=4", "--set device.temprature: device.temprature: unknown key; did you "
         "mean temperature?"),
        ("device.temperature.x=4", "--set device.temperature.x: device.temperature: must be a "),
        ("protocol.3.read.voltage=1", "--set protocol.3.read.voltage: protocol has 1 items"),
        ("protocol.0.train.rest.voltage=x", "--set protocol.0.train.rest.voltage: protocol.0.train."
         "rest.voltage: must be a voltage"),
        ("scan.device.temperature=[1, x]", "--set scan.device.temperature: scan.device.temperature."
         "1: device.temperature must be a temperature"),
        ("protocol=5", "--set protocol: protocol: must be a list (got 5)"),
    ],
)  # fmt: skip
def test_faults_of_overrides(override, fault):
    assert only_fault_of(TRAIN, override).startswith(fault)


def test_an_override_cures_a_fault_of_the_file():
    assert loads("device: {temperature: -4}\n" + MINIMAL, ["device.temperature=4"])
