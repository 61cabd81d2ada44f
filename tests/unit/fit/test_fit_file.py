"""Fit files: runs that share a device, parameters in the cube, and every fault at its place."""

import numpy as np
import pytest

from kmc_oxy.fit import is_fit_file, load_fit
from kmc_oxy.fit.parameters import Parameter, set_values, values_at
from kmc_oxy.inputs import InputError

DATA = "pulse,conductance (uS)\n1,1.0\n2,1.1\n3,1.15\n"
TRAIN = (
    "train: {voltage: +2 V, duration: 10 ms, count: 3, rest: {voltage: -0.1 V, duration: 50 ms}}"
)
HEAD = """
device: {lattice: {nx: 4, ny: 4}}
conditioning:
  - pulse: {voltage: -4 V, duration: 1 s, read: false}
parameters:
  device.site_energy.oxide_offset: {low: -0.6 eV, high: -400 meV}
  conductance.density_floor: {low: 0.001, high: 0.1, scale: log}
experiments:
"""
ONE = f"""
  first:
    protocol:
      - {TRAIN}
    data: {{file: data.csv, x: {{quantity: pulse}}, y: {{quantity: conductance}}}}
"""


def write(folder, text, data=DATA):
    (folder / "data.csv").write_text(data)
    path = folder / "fit.yaml"
    path.write_text(text)
    return path


def faults_of(folder, text, data=DATA):
    with pytest.raises(InputError) as error:
        load_fit(write(folder, text, data))
    return str(error.value)


def test_experiments_with_the_same_settings_share_a_device(tmp_path):
    text = HEAD + ONE + ONE.replace("first", "second")
    text += ONE.replace("first:", "warm:\n    settings: {device.temperature: 100 K}")
    text += ONE.replace("first:", "alone:\n    device: fresh")
    fit = load_fit(write(tmp_path, text))
    assert [[part.experiment for part in run.parts] for run in fit.runs] == [
        ["first", "second"], ["warm"], ["alone"],
    ]  # fmt: skip
    shared, warm, _ = (run.at({}, 5) for run in fit.runs)
    assert [step.kind for step in shared.protocol] == ["pulse", "train", "train"]
    assert (shared.device.temperature, warm.device.temperature) == (76.0, 100.0)
    assert shared.ensemble.members == 5
    curve = fit.comparisons["second"][0].curves[0]
    assert (curve.leg.step, curve.leg.kind) == (2, "train")


def test_an_input_gives_its_protocol_and_scan(tmp_path):
    (tmp_path / "in.yaml").write_text(
        f"device: {{temperature: 300 K}}\nprotocol:\n  - {TRAIN}\n"
        "scan: {protocol.0.train.duration: [1 ms, 10 ms]}\n"
    )
    two = "".join(f"{number},{label},1\n" for label in "ab" for number in (1, 2, 3))
    text = (
        HEAD
        + """
  scanned:
    input: in.yaml
    data: {file: data.csv, x: {quantity: pulse}, y: {quantity: conductance}, curves: label}
"""
    )
    fit = load_fit(write(tmp_path, text, "pulse,label,conductance (uS)\n" + two))
    curves = fit.comparisons["scanned"][0].curves
    assert [each.leg.point for each in curves] == [0, 1]
    assert fit.runs[0].at({}, 1).device.temperature == 76.0, "the device is that of the fit"


def test_parameters_move_between_the_ends_of_their_ranges(tmp_path):
    fit = load_fit(write(tmp_path, HEAD + ONE))
    offset, floor = fit.parameters
    assert (offset.low, offset.high, offset.unit) == (-0.6, -0.4, "eV")
    assert floor.from_cube(0.5) == pytest.approx(0.01)
    assert values_at(fit.parameters, np.array([0.0, 1.0])) == {
        "device.site_energy.oxide_offset": -0.6, "conductance.density_floor": 0.1,
    }  # fmt: skip
    for each in fit.parameters:
        assert each.to_cube(each.from_cube(0.3)) == pytest.approx(0.3)
    found = fit.runs[0].at(values_at(fit.parameters, np.array([0.5, 0.0])), 1)
    assert found.device.site_energy.oxide_offset == pytest.approx(-0.5)
    assert found.conductance.density_floor == pytest.approx(0.001)


def test_set_values_changes_a_copy():
    data = {"a": {"b": [1, {"c": 2}]}}
    changed = set_values(data, {"a.b.1.c": 3})
    assert changed == {"a": {"b": [1, {"c": 3}]}}
    assert data == {"a": {"b": [1, {"c": 2}]}}


def test_beyond_the_cube_is_the_nearest_end():
    parameter = Parameter("x", "1", 0.1, 10.0, 1.0, is_log=True)
    assert parameter.from_cube(-0.1) == 0.1
    assert parameter.from_cube(1.1) == 10.0


def test_a_fit_file_is_told_from_an_input(tmp_path):
    assert is_fit_file(write(tmp_path, HEAD + ONE))
    (tmp_path / "in.yaml").write_text("protocol: [{read: {}}]\n")
    assert not is_fit_file(tmp_path / "in.yaml")
    assert not is_fit_file(tmp_path / "absent.yaml")


@pytest.mark.parametrize(
    ("old", "new", "place", "fault"),
    [
        ("nx: 4", "nx: 2", "fit.yaml:2:", "device.lattice.nx: must be at least 3"),
        ("experiments:", "experimnts:", "fit.yaml:8:", "did you mean experiments?"),
        ("+2 V", "+2 W", "fit.yaml:12:", "first.protocol.0.train.voltage"),
        ("-0.6 eV", "-0.6 K", "fit.yaml:6:", "oxide_offset.low"),
        ("-0.6 eV", "-0.3 eV", "fit.yaml:6:", "must be larger than low"),
        ("low: 0.001", "low: 0", "fit.yaml:7:", "must be greater than 0"),
        ("-400 meV", "-550 meV", "fit.yaml:6:", "does not contain the start"),
        ("conductance.density_floor", "conductance.densty", "fit.yaml:7:", "no key of an input"),
        ("conductance.density_floor", "engine.tolerance", "fit.yaml:7:", "one of the sections"),
        ("conductance.density_floor", "device.lattice.nx", "fit.yaml:7:", "a real number"),
        ("data.csv", "absent.csv", "absent.csv", "no such file"),
        ("count: 3", "count: 2", "fit.yaml:13:", "pulse 3 (line 4) lies outside"),
        ("quantity: pulse", "quantity: time", "data.csv", "time"),
        ("    data:", "    dat:", "fit.yaml:13:", "unknown key"),
    ],
)
def test_a_fault_is_named_at_its_place(tmp_path, old, new, place, fault):
    found = faults_of(tmp_path, (HEAD + ONE).replace(old, new, 1))
    assert any(place in line and fault in line for line in found.splitlines()), found


def test_all_faults_at_once(tmp_path):
    text = (HEAD + ONE).replace("nx: 4", "nx: 2").replace("+2 V", "+2 W")
    assert len(faults_of(tmp_path, text).splitlines()) >= 2


def test_curves_and_legs_must_be_as_many(tmp_path):
    second = (HEAD + ONE).replace(f"      - {TRAIN}\n", 2 * f"      - {TRAIN}\n")
    assert "has 1 curve(s) against pulse, and the experiment has 2 train(s)" in faults_of(
        tmp_path, second
    )


@pytest.mark.parametrize(
    ("target", "fault"),
    [
        ("{quantity: rnge, at_least: 1}", "unknown quantity 'rnge'"),
        ("{quantity: range}", "must have at_least or at_most"),
        ("{quantity: range, at_least: 2, at_most: 1}", "at_least above its at_most"),
        ("{quantity: range, at_least: 1, of: [3]}", "names leg 3, and the experiment has 1"),
        ("{quantity: range, at_least: -1, logarithmic: true}", "positive ends"),
        ("{quantity: level, at_least: 1 V}", "conductance"),
        ("{quantity: range, at_most: 0}", "needs a positive unit"),
    ],
)
def test_a_target_that_is_none_is_refused(tmp_path, target, fault):
    text = HEAD + f"  first:\n    protocol:\n      - {TRAIN}\n    targets: [{target}]\n"
    assert fault in faults_of(tmp_path, text)


@pytest.mark.parametrize("name", ["''", ".", "a/b"])
def test_names_that_are_no_groups_of_a_file_are_refused(tmp_path, name):
    assert "must be a name without /" in faults_of(
        tmp_path, HEAD + ONE.replace("first:", f"{name}:", 1)
    )


def test_a_budget_smaller_than_a_generation_is_refused(tmp_path):
    assert "at least the 6 sets of one generation" in faults_of(
        tmp_path, HEAD + ONE + "search: {evaluations: 5}\n"
    )


def test_a_criterion_needs_the_protocol_that_it_judges(tmp_path):
    (tmp_path / "in.yaml").write_text(f"protocol:\n  - {TRAIN}\n")
    text = (
        HEAD
        + """
  figure:
    input: in.yaml
    criterion: R
    targets: [{quantity: on/off, at_least: 1}]
"""
    )
    assert "R judges the protocol and the scan of fig_R.yaml" in faults_of(tmp_path, text)


def test_a_deviation_with_a_unit_is_no_factor(tmp_path):
    prior = "scale: log, prior: {mean: 0.01, deviation: 10 uS}}"
    assert "must have a factor" in faults_of(
        tmp_path, (HEAD + ONE).replace("scale: log}", prior, 1)
    )


def test_a_protocol_follows_from_the_data(tmp_path):
    data = "{file: data.csv, x: {quantity: pulse}, y: {quantity: conductance}}"
    before = "[{pulse: {voltage: -4 V, duration: 1 s, read: false}}]"
    text = (
        HEAD
        + f"""
  first:
    before: {before}
    from_data: {{voltage: +2 V, duration: 10 ms}}
    data: {data}
"""
    )
    fit = load_fit(write(tmp_path, text))
    run = fit.runs[0].at({}, 1)
    assert [step.kind for step in run.protocol] == ["pulse", "pulse", "train"]
    train = run.protocol[2].body
    assert (train.voltage, train.duration, train.count, train.rest.duration) == (2, 0.01, 3, 0.05)
    assert "cannot be made: a curve of pulses needs" in faults_of(
        tmp_path, text.replace("voltage: +2 V, ", "")
    )
    assert "must have one of protocol, input and from_data" in faults_of(
        tmp_path, text + f"    protocol: [{{{TRAIN}}}]\n"
    )


def test_an_i_v_loop_follows_from_its_voltages(tmp_path):
    rows = [0, 0.5, 1, 0.5, -0.5, -1, -0.5]
    data = "voltage (V),current (nA)\n" + "".join(f"{volts},{volts}\n" for volts in rows)
    text = (
        HEAD
        + """
  loop:
    from_data: {dwell: 2 ms}
    data: {file: data.csv, x: {quantity: voltage}, y: {quantity: current}}
"""
    )
    fit = load_fit(write(tmp_path, text, data))
    (comparison,) = fit.comparisons["loop"]
    assert comparison.size == len(rows)
