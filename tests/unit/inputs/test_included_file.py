"""The key `include`: which keys it gives, and where their faults are."""

import json

import pytest
from input_faults import MINIMAL

from kmc_oxy.inputs import InputError, load

DEVICE = """\
device:
  temperature: 100 K
  lattice: {nx: 8, ny: 9}
  barriers: {bulk: {low: 0.1 eV, high: 0.3 eV}}
conductance: {nonlinearity: 0.3 V, leak: 1e-8}
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts/device.yaml").write_text(DEVICE)
    return tmp_path


def loaded(folder, text, *overrides):
    (folder / "in.yaml").write_text(text + MINIMAL)
    return load(folder / "in.yaml", overrides)


def faults(folder, text, *overrides):
    with pytest.raises(InputError) as caught:
        loaded(folder, text, *overrides)
    return str(caught.value).replace(f"{folder}/", "").split("\n")


def test_keys_given_beside_come_first(folder):
    text = (
        "include: parts/device.yaml\n"
        "device: {lattice: {nx: 10}}\n"
        "conductance: {nonlinearity: null}\n"
    )
    found = loaded(folder, text, "device.lattice.ny=11")
    device, conductance = found.model.device, found.model.conductance
    assert (device.temperature, device.lattice.nx, device.lattice.ny) == (100, 10, 11)
    assert device.barriers.bulk.high == 0.3
    assert conductance.nonlinearity is None and conductance.leak == 1e-8
    assert found.text == text + MINIMAL
    resolved = json.loads(found.resolved)
    assert resolved["include"] == "parts/device.yaml"
    assert resolved["device"]["temperature"] == 100


def test_the_file_can_be_named_on_the_command_line(folder):
    found = loaded(folder, "", "device.lattice.nx=12", "include=parts/device.yaml")
    assert (found.model.device.lattice.nx, found.model.device.lattice.ny) == (12, 9)


def test_faults_are_placed_in_the_file_that_has_them(folder):
    wrong = DEVICE.replace("100 K", "-1 K").replace("leak", "lek") + "protocol: [read: {}]\n"
    (folder / "parts/device.yaml").write_text(wrong)
    text = "include: parts/device.yaml\ndevice: {lattice: {nx: 1}}\n"
    found = faults(folder, text)
    expected = (
        "parts/device.yaml:2:16: device.temperature: must be greater than 0 K (got '-1 K')",
        "parts/device.yaml:5:36: conductance.lek: unknown key; did you mean leak?",
        "parts/device.yaml:6:1: protocol: cannot be in an included file, which may have",
        "in.yaml:2:24: device.lattice.nx: must be at least 3",
    )
    assert len(found) == len(expected)
    for line, beginning in zip(found, expected, strict=True):
        assert line.startswith(beginning), line


def test_a_file_that_cannot_be_read(folder):
    (line,) = faults(folder, "include: other.yaml\n")
    assert line.startswith("in.yaml:1:10: include: other.yaml cannot be read: no such file")
    (folder / "list.yaml").write_text("- 1\n")
    (line,) = faults(folder, "include: list.yaml\n")
    assert line.startswith("list.yaml:1:1: must be a mapping with device, conductance, spin and")
    (folder / "broken.yaml").write_text("device: {\n")
    assert faults(folder, "include: broken.yaml\n")[0].startswith("broken.yaml:2:1: ")
