"""Named parameter sets: what an input leaves out, and what it gives itself."""

import pytest

from kmc_oxy.cli import main
from kmc_oxy.inputs import InputError, loads
from kmc_oxy.inputs.schema import preset_names, preset_text

READ = "protocol: [{read: {}}]\n"


def model(text, *overrides):
    return loads(text + READ, overrides).model


@pytest.mark.parametrize("name", preset_names())
def test_every_set_is_valid_and_names_its_source(name):
    found = model(f"device: {{preset: {name}}}\n")
    assert found.device.preset == name
    assert "# Source: " in preset_text(name)
    again = type(found).model_validate(found.model_dump(mode="json"))
    assert again == found


def test_keys_beside_the_set_come_first():
    own = "device: {preset: held_by_barriers, temperature: 90 K, site_energy: {disorder: 2 meV}}\n"
    found = model(own + "conductance: {slab: 0.7 nm}\n")
    assert (found.device.temperature, found.device.site_energy.disorder) == (90.0, 0.002)
    assert found.device.site_energy.oxide_offset == -0.478
    assert (found.conductance.slab, found.conductance.level_width) == (0.7e-9, 0.101)


def test_a_flat_barrier_is_completed_and_another_distribution_is_not():
    text = "device: {{preset: held_by_binding, barriers: {{interface: {}}}}}\n"
    flat = model(text.format("{high: 0.5 eV}")).device.barriers
    assert (flat.interface.low, flat.interface.high, flat.oxide.high) == (0.0, 0.5, 0.6)
    gaussian = model(text.format("{distribution: gaussian, mean: 0.3, sigma: 0.1}")).device
    assert gaussian.barriers.interface.mean == 0.3
    shares = model(text.format("[{share: 0.1, high: 0.2}, {}]")).device
    assert len(shares.barriers.interface) == 2


def test_the_set_of_hand_is_that_of_the_defaults():
    found = model("device: {preset: by_hand}\n")
    default = model("")
    assert found.model_copy(update={"device": default.device}) == default
    assert found.device.model_copy(update={"preset": None}) == default.device


def test_a_set_may_be_chosen_on_the_command_line():
    assert model("", "device.preset=held_by_barriers").device.oxygen.start == "oxide"


def test_unknown_sets_and_scans_of_sets_are_refused():
    with pytest.raises(InputError, match=r"did you mean shumilin2024\?"):
        model("device: {preset: shumilin}\n")
    with pytest.raises(InputError, match="cannot be scanned: device"):
        model("scan: {device.preset: [by_hand]}\n")


def test_the_command_lists_and_prints_the_sets(capsys):
    assert main(["presets"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in listed] == list(preset_names())
    assert main(["presets", "shumilin2024"]) == 0
    assert model(capsys.readouterr().out).device.oxygen.filling == 0.137
    assert main(["presets", "shumilin"]) == 2
    assert "did you mean shumilin2024?" in capsys.readouterr().err
