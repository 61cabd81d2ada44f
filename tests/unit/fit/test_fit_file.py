"""Fit files: runs that share a device, parameters in the cube, and every fault at its place."""

import numpy as np
import pytest

from kmc_oxy.fit import is_fit_file, load_fit
from kmc_oxy.fit.parameters import Parameter, values_at
from kmc_oxy.inputs import InputError, with_values

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


def test_all_faults_of_an_input_are_named(tmp_path):
    (tmp_path / "in.yaml").write_text("devce: {}\nprotocol: [{reed: {}}]\n")
    target = "    targets: [{quantity: level, at_least: 1 nS}]\n"
    found = faults_of(tmp_path, HEAD + f"  one:\n    input: in.yaml\n{target}")
    assert "in.yaml:1:1: devce: unknown key; did you mean device?" in found
    assert "in.yaml:2:13: protocol.0.reed: unknown key" in found
    assert "experiments.one.input: names an input with faults" in found


def test_values_are_set_in_a_copy():
    data = {"a": {"b": [1, {"c": 2}]}}
    changed = with_values(data, {"a.b.1.c": 3})
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
        ("conductance.density_floor", "conductance.densty_floor", "fit.yaml:7:",
         "unknown key; did you mean density_floor?"),
        ("conductance.density_floor", "device.level_width", "fit.yaml:7:",
         "unknown key; did you mean conductance.level_width?"),
        ("conductance.density_floor", "conductanc.density_floor", "fit.yaml:7:",
         "one of the sections device, conductance, spin, crossbar; did you mean "
         "conductance.density_floor?"),
        ("conductance.density_floor", "density_floor", "fit.yaml:7:",
         "did you mean conductance.density_floor?"),
        ("conductance.density_floor", "engine.tolerance", "fit.yaml:7:", "one of the sections"),
        ("conductance.density_floor", "device.lattice.nx", "fit.yaml:7:",
         "is a whole number, and only real numbers can be free"),
        ("conductance.density_floor", "device.lattice.organic_layers", "fit.yaml:7:",
         "is a whole number"),
        ("conductance.density_floor", "spin.model", "fit.yaml:7:",
         "is a choice (impurity_exchange, julliere, none)"),
        ("conductance.density_floor", "device.preset", "fit.yaml:7:", "is text"),
        ("conductance.density_floor", "device.oxygen", "fit.yaml:7:",
         "is a section: name one of its real numbers, such as filling"),
        ("conductance.density_floor", "device.feedback.screening_length", "fit.yaml:7:",
         "is null: give it the value"),
        ("conductance.density_floor", "conductance.slab.0", "fit.yaml:7:",
         "is no key: conductance.slab holds one value"),
        ("first:", "first:\n    settings: {device.temperatur: 1 K}", "fit.yaml:11:",
         "unknown key; did you mean temperature?"),
        ("first:", "first:\n    settings: {device.temperature: -1 K}", "fit.yaml:11:",
         "settings.device.temperature: must be greater than 0 K"),
        ("first:", "first:\n    settings: {conductance.slab: 1 um}", "fit.yaml:11:",
         "settings.conductance.slab: must be at most"),
        ("data.csv", "absent.csv", "absent.csv", "no such file"),
        ("count: 3", "count: 2", "fit.yaml:13:", "pulse 3 (line 4) lies outside"),
        ("quantity: pulse", "quantity: time", "data.csv", "time"),
        ("    data:", "    dat:", "fit.yaml:13:", "unknown key"),
    ],
)  # fmt: skip
def test_a_fault_is_named_at_its_place(tmp_path, old, new, place, fault):
    found = faults_of(tmp_path, (HEAD + ONE).replace(old, new, 1))
    assert any(place in line and fault in line for line in found.splitlines()), found


def test_all_faults_at_once(tmp_path):
    text = HEAD + ONE + ONE.replace("first", "second") + ONE.replace("first", "third")
    for old, new in (
        ("nx: 4", "nx: 2"),
        ("-4 V", "-4 W"),
        ("device.site_energy.oxide_offset", "device.site_energy.oxide_ofset"),
        ("high: 0.1,", "high: 0.0001,"),
        ("+2 V", "+2 W"),
        ("{quantity: conductance}", "{quantity: conductance, column: G}"),
        ("second:", "second:\n    colour: red\n    settings: {device.temprature: 1 K}"),
        ("third:", "third:\n    targets: [{quantity: levl, at_least: 1 nS}]"),
    ):
        text = text.replace(old, new, 1)
    text += "search: {evaluations: 5}\nserch: {}\n"
    found = faults_of(tmp_path, text).splitlines()
    for part in (
        "fit.yaml:2: ", "conditioning.0.pulse.voltage", "did you mean oxide_offset?",
        "density_floor.high: must be larger", "first.protocol.0.train.voltage", "the name 'G'",
        "second.colour: unknown key", "did you mean temperature?", "did you mean level?",
        "at least the 6 sets", "did you mean search?",
    ):  # fmt: skip
        assert sum(part.replace("2: ", "2:") in line for line in found) == 1, (part, found)
    assert len(found) == 11, found


@pytest.mark.parametrize("section", ["parameters", "experiments"])
def test_a_section_that_is_missing_hides_no_other_fault(tmp_path, section):
    text = (HEAD + ONE).replace("nx: 4", "nx: 2").replace("count: 3", "count: 2")
    text = text.replace("low: 0.001", "low: 0.2")
    found = faults_of(tmp_path, text.replace(f"\n{section}:", f"\nunknown_{section}:"))
    assert "device.lattice.nx" in found
    expected = "pulse 3" if section == "parameters" else "larger than low"
    assert expected in found
    assert "none" not in found
    assert len(found.splitlines()) == 3, found


def test_a_value_of_a_loop_is_placed_in_its_for(tmp_path):
    loop = f"repeat: {{for: {{v: [1 V, 2 W]}}, steps: [{TRAIN.replace('+2 V', '$v')}]}}"
    text = (HEAD + ONE).replace(
        TRAIN, loop.replace("[train: {", "[{train: {").replace("}}]", "}}}]")
    )
    assert "experiments.first.protocol.0.repeat.for.v.1: has an unknown unit" in faults_of(
        tmp_path, text
    )


def with_targets(target):
    return HEAD + f"  first:\n    protocol:\n      - {TRAIN}\n    targets: [{target}]\n"


def with_free(key, low, high):
    parameter = f"  {key}: {{low: {low}, high: {high}}}\n"
    return lambda text: text.replace("experiments:\n", parameter + "experiments:\n", 1)


def test_a_parameter_that_all_settings_fix_is_refused(tmp_path):
    settings = "first:\n    settings: {conductance.density_floor: 0.02}"
    text = HEAD + ONE.replace("first:", settings)
    assert "density_floor: is fixed by the `settings` of every experiment" in faults_of(
        tmp_path, text
    )
    other = ONE.replace("first", "second")
    assert len(load_fit(write(tmp_path, text + other)).parameters) == 2


@pytest.mark.parametrize(
    ("change", "is_idle"),
    [
        (lambda text: text, False),
        (lambda text: text.replace("conductance}}", "conductance}, scale: free}"), True),
        (lambda text: text.replace("conductance}}", "conductance}, scale: free}").replace(
            "ny: 4", "ny: 4}, feedback: {thermal_resistance: 1 K/W"), False),
    ],
)  # fmt: skip
def test_a_scale_of_values_that_are_known_up_to_a_factor_is_refused(tmp_path, change, is_idle):
    text = change(with_free("conductance.conductance_scale", "1 uS", "1 mS")(HEAD + ONE))
    if is_idle:
        assert "conductance_scale: changes nothing that is compared" in faults_of(tmp_path, text)
        level = "\n    targets: [{quantity: level, at_least: 1 nS}]\n"
        text = text.rstrip() + level
    assert len(load_fit(write(tmp_path, text)).parameters) == 3


def test_a_nonlinearity_needs_currents(tmp_path):
    text = with_free("conductance.nonlinearity", "0.2 V", "1 V")(HEAD + ONE)
    assert "nonlinearity: changes currents only" in faults_of(tmp_path, text)
    currents = DATA.replace("conductance (uS)", "current (nA)")
    text = text.replace("{quantity: conductance}", "{quantity: current}")
    assert len(load_fit(write(tmp_path, text, currents)).parameters) == 3


def test_a_parameter_of_the_spin_needs_a_model_and_a_field(tmp_path):
    none = "spin: {model: none}\n"
    relaxation = with_free("spin.relaxation", 1e-6, 1e-3)(HEAD + ONE)
    assert len(load_fit(write(tmp_path, relaxation)).parameters) == 3
    assert "relaxation: changes nothing with spin.model: none" in faults_of(
        tmp_path, none + relaxation
    )
    coercive = with_free("spin.coercive_co", "10 mT", "30 mT")(HEAD + ONE)
    assert "coercive_co: changes field sweeps only" in faults_of(tmp_path, coercive)


@pytest.mark.parametrize("quantity", ["magnetoresistance", "magnetoresistance ratio"])
def test_targets_of_the_magnetoresistance_need_a_spin_model(tmp_path, quantity):
    text = with_targets(f"{{quantity: {quantity}, at_least: 1 %}}")
    assert load_fit(write(tmp_path, text)).comparisons["first"]
    found = faults_of(tmp_path, "spin: {model: none}\n" + text)
    assert "targets.0: is of the magnetoresistance" in found


def test_a_field_sweep_needs_a_spin_model(tmp_path):
    text = HEAD + (
        "  loop:\n    protocol:\n      - field_sweep: {amplitude: 50 mT, step: 10 mT}\n"
        "    data: {file: data.csv, x: {quantity: field}, y: {quantity: conductance}}\n"
    )
    data = "field (mT),conductance (nS)\n50,1\n0,1\n-50,1\n0,1\n50,1\n"
    assert load_fit(write(tmp_path, text, data)).comparisons["loop"]
    assert "loop.data: are a field sweep" in faults_of(
        tmp_path, "spin: {model: none}\n" + text, data
    )


def test_the_mean_of_a_prior_lies_in_the_range(tmp_path):
    prior = "scale: log, prior: {mean: 0.2, deviation: 1.5}}"
    found = faults_of(tmp_path, (HEAD + ONE).replace("scale: log}", prior, 1))
    assert "density_floor.prior.mean: lies outside the range" in found and "(got 0.2)" in found


def test_curves_and_legs_must_be_as_many(tmp_path):
    second = (HEAD + ONE).replace(f"      - {TRAIN}\n", 2 * f"      - {TRAIN}\n")
    assert "has 1 curve(s) against pulse, and the experiment has 2 train(s)" in faults_of(
        tmp_path, second
    )


@pytest.mark.parametrize(
    ("target", "fault"),
    [
        ("{quantity: rnge, at_least: 1}", "unknown quantity 'rnge'; did you mean range?"),
        ("{quantity: x, at_least: 1}", "unknown quantity 'x': one of range, level"),
        ("{quantity: range}", "must have at_least or at_most"),
        ("{quantity: range, at_least: 2, at_most: 1}", "at_least above its at_most"),
        ("{quantity: range, at_least: 1, of: [3]}", "names leg 3, and the experiment has 1"),
        ("{quantity: range, at_least: -1, logarithmic: true}", "positive ends"),
        ("{quantity: level, at_least: 1 V}", "conductance"),
        ("{quantity: range, at_most: 0}", "needs a positive unit"),
    ],
)
def test_a_target_that_is_none_is_refused(tmp_path, target, fault):
    assert fault in faults_of(tmp_path, with_targets(target))


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
    assert "prior.deviation: must be a factor" in faults_of(
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
    zeros = "voltage (V),current (nA)\n" + "".join(f"{volts},0\n" for volts in rows)
    assert "loop.data: have a curve of which all currents are 0 A" in faults_of(
        tmp_path, text, zeros
    )
    relative = text.replace("current}}", "current}, error: {relative: 5 %}}")
    found = faults_of(tmp_path, relative, data)
    assert "data.csv:2: column 'current (nA)'" in found and "name a column of errors" in found
