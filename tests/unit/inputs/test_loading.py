"""The input file: what it means, and every fault of it with its place."""

import json
from pathlib import Path

import pytest

from kmc_oxy.inputs import InputError, at_point, load, n_points
from kmc_oxy.inputs.loading import loads
from kmc_oxy.inputs.reference_page import reference_markdown
from kmc_oxy.inputs.scan import point_values
from kmc_oxy.inputs.schema import FlatBarrier, GaussianBarrier, Input, Step, sections_in
from kmc_oxy.inputs.schema.barriers import ConstantBarrier, ExponentialBarrier

INPUTS = Path(__file__).parents[3] / "inputs"
MINIMAL = "protocol:\n  - read: {}\n"
TRAIN = "protocol:\n  - train: {voltage: 2 V, duration: 1 ms, count: 50}\n"


def faults_of(text, *overrides):
    """Lines of the error that this text gives."""
    with pytest.raises(InputError) as caught:
        loads(text, overrides, "in.yaml")
    lines = str(caught.value).split("\n")
    assert len(lines) == len(caught.value.faults)
    return lines


def only_fault_of(text, *overrides):
    (line,) = faults_of(text, *overrides)
    return line


# --- what an input means


def test_defaults_are_the_published_starting_set():
    resolved = json.loads(loads(MINIMAL).resolved)

    def flat(high):
        return {"distribution": "flat", "low": 0.0, "high": high}

    assert resolved["device"] == {
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


def test_scalars_follow_yaml_1_2():
    text = MINIMAL + "name: yes\nensemble: {members: 012, seed: 0x1F}\n"
    model = loads(text).model
    assert (model.name, model.ensemble.members, model.ensemble.seed) == ("yes", 12, 31)
    assert loads("protocol: [relax: {duration: 1e5}]").model.protocol[0].body.duration == 1e5


def test_a_given_bound_leaves_the_other_of_its_class():
    text = MINIMAL + "device: {barriers: {first_layer_exit: {low: 0.1 eV}}}\n"
    assert loads(text).model.device.barriers.first_layer_exit == FlatBarrier(low=0.1, high=0.38)


def test_an_imposed_shape_keeps_mean_and_width():
    def shape(name, *overrides):
        text = MINIMAL + f"device: {{barriers: {{distribution: {name}}}}}\n"
        return loads(text, overrides).model.device.barriers.effective("first_layer_exit")

    assert shape("null") == FlatBarrier(low=0.0, high=0.38)
    assert shape("constant") == ConstantBarrier(value=0.19)
    assert shape("exponential") == ExponentialBarrier(scale=0.19)
    gaussian = shape("gaussian")
    assert isinstance(gaussian, GaussianBarrier)
    assert gaussian.mean == 0.19
    assert gaussian.sigma == pytest.approx(0.38 / 12**0.5, rel=1e-15)
    back = shape(
        "flat",
        "device.barriers.first_layer_exit={distribution: gaussian, mean: 0.5, sigma: 0.1}",
    )
    assert back.mean_and_width == pytest.approx((0.5, 0.1), rel=1e-12)


def test_models_cannot_be_changed():
    model = loads(MINIMAL).model
    with pytest.raises(ValueError, match="frozen"):
        model.device.temperature = 4.0


@pytest.mark.parametrize("path", sorted(INPUTS.glob("*.yaml")), ids=lambda path: path.name)
def test_shipped_inputs_are_in_order_and_survive_a_round_trip(path):
    loaded = load(path)
    assert loaded.text == path.read_text(encoding="utf-8")
    assert loaded.source == str(path)
    assert Input.model_validate(json.loads(loaded.resolved)) == loaded.model
    assert loads(loaded.text).model == loaded.model
    # JSON is YAML: the resolved input of one run is a valid input of the next.
    assert loads(loaded.resolved).model == loaded.model


def test_quickstart_is_the_potentiation_train_after_a_reset():
    model = load(INPUTS / "quickstart.yaml").model
    *conditioning, train = (step.body for step in model.protocol)
    assert [(p.voltage, p.duration) for p in conditioning] == [(-4, 1), (4, 1), (-4, 1)]
    assert all((p.rest.voltage, p.rest.duration) == (-0.1, 1) for p in conditioning)
    assert (train.voltage, train.duration, train.count) == (2.0, 1e-3, 50)
    assert (train.rest.voltage, train.rest.duration) == (-0.1, 0.05)


# --- faults


def test_five_faults_give_five_lines_with_their_places():
    text = """\
name: five faults
device:
  temprature: 76 K
  lattice: {spacing: 5 V}
  oxygen:
    filling: 1.2
protocol:
  - train:
      voltage: 2 V
      duration: 1 ms
  - program: {cell: [3, 0], voltage: 3}
"""
    lines = faults_of(text)
    assert lines == [
        "in.yaml:3:3: device.temprature: unknown key; did you mean temperature?",
        "in.yaml:4:22: device.lattice.spacing: is a voltage, not a length: must be a length, "
        "a number in m or text with a unit (m, cm, mm, um, nm, pm, angstrom) (got '5 V')",
        "in.yaml:6:14: device.oxygen.filling: must be less than 1 (got 1.2)",
        "in.yaml:8:5: protocol.0.train.count: is required",
        "in.yaml:11:15: protocol.1.program.cell: must lie in the array of 1 rows and 1 columns, "
        "counted from 0 (see crossbar)",
    ]


def test_checks_between_sections_wait_for_sections_that_are_not_in_order():
    text = "crossbar: {rows: four}\nprotocol: [program: {cell: [3, 0], voltage: 3}]\n"
    assert "crossbar.rows: must be a whole number" in only_fault_of(text)


@pytest.mark.parametrize(
    ("line", "place", "words"),
    [
        ("device: {temperature: 0}", "1:23", "must be greater than 0 K (got 0)"),
        ("device: {temperature: yes}", "1:23", "must be a temperature"),
        ("device: {temperature: true}", "1:23", "must be a temperature"),
        ("device: {temperature: .nan}", "1:23", "must be a finite number (got .nan)"),
        ("device: {temperature: 1e999}", "1:23", "must be a finite number"),
        ("device: {lattice: {nx: 28.5}}", "1:24", "must be a whole number (got 28.5)"),
        ("device: {lattice: {nx: '28'}}", "1:24", "must be a whole number (got '28')"),
        ("device: {lattice: {nx: 2}}", "1:24", "must be at least 3 (got 2)"),
        ("device: {lattice: {nx: 90000, ny: 90000}}", "1:10", "at most 100000000"),
        ("device: {oxygen: {start: oxyde}}", "1:26", "must be one of 'random', 'oxide'"),
        ("device: {oxygen: {start: oxide, filling: 0.2}}", "1:42", "puts 2195 oxygens on 1568"),
        ("device: {barriers: {bulk: {distribution: fat}}}", "1:42", "'flat', 'gaussian'"),
        ("device: {barriers: {bulk: {distribution: [1]}}}", "1:28", "'flat', 'gaussian'"),
        ("device: {barriers: {bulk: {flat: 1}}}", "1:28", "bulk.flat: unknown key"),
        (
            "device: {barriers: {bulk: {distribution: gaussian, low: 0, mean: 1, sigma: 1}}}",
            "1:52",
            "low: unknown key",
        ),
        ("device: {barriers: {bulk: {distribution: gaussian, mean: 1}}}", "1:21", "sigma: is requ"),
        ("device: {barriers: {bulk: {low: 0.4}}}", "1:21", "low (0.4 eV) above high (0.2 eV)"),
        ("device: {barriers: {slow_layers: 12}}", "1:34", "at most 11"),
        ("device: {field: {lsmo_share: 0.7}}", "1:10", "lsmo_share + oxide_share is 1.1"),
        ("device: {field: {lsmo_width: 9.5 nm}}", "1:30", "inside the 10 nm"),
        ("device: 5", "1:9", "must be a mapping"),
        ("device: [5]", "1:1", "must be a mapping of keys to values (got a list of 1)"),
        ("conductance: {slab: 11 nm}", "1:21", "within the 10 nm"),
        ("crossbar: {scheme: V/4}", "1:20", "'V/2', 'V/3'"),
        ("ensemble: {members: 0}", "1:21", "must be at least 1"),
        ("ensemble: {seed: -1}", "1:18", "must be at least 0"),
        ("ensemble: {seed: 99999999999999999999}", "1:18", "below 2^63"),
        ("ensemble: {seed: 1.5}", "1:18", "whole number"),
        ("engine: {tolerance: 1}", "1:21", "must be less than 1"),
        ("engine: {check_tolerance: yes}", "1:27", "must be true or false (got 'yes')"),
        ("name: 5", "1:7", "must be text"),
        ('name: "a\\nb"', "1:7", "one line"),
        ("nx: 5", "1:1", "did you mean device.lattice.nx?"),
        ("ensmble: {}", "1:1", "did you mean ensemble?"),
        ("zzz: {}", "1:1", "zzz: unknown key"),
        ("scan: {device.temperature: 5}", "1:28", "must be a list"),
        ("scan: {device.temperature: []}", "1:8", "at least 1"),
        ("scan: {device.temperature: [76, 0]}", "1:33", "must be greater than 0 K (got 0)"),
        ("scan: {device.temprature: [76]}", "1:8", "did you mean temperature?"),
        ("scan: {ensemble.members: [1, 2]}", "1:8", "cannot be scanned"),
        ("scan: {device.lattice: [1]}", "1:8", "device.lattice.organic_layers is common"),
        ("scan: {device.field: [1]}", "1:23", "must be a mapping"),
        ("scan: {device.field: [{}], device.field.profile: [uniform]}", "1:28", "inside the other"),
        ("scan: {protocol.00.read.voltage: [1]}", "1:8", "'00' is not a place in it"),
        ("scan: {protocol.7.read.voltage: [1]}", "1:8", "has 1 items"),
        ("scan: {protocol.x.read.voltage: [1]}", "1:8", "'x' is not a place in it"),
        ("scan: {protocol.0.train.voltage: [1]}", "1:35", "with one key"),
        ("scan: {device.temperature.x: [1]}", "1:8", "one value, not a mapping"),
        ("scan: {device.barriers.bulk.low: [0, 0.3]}", "1:38", "above high"),
        ("scan: {'': [1]}", "1:8", "unknown key"),
    ],
)
def test_one_fault_at_its_place(line, place, words):
    fault = only_fault_of(f"{line}\n{MINIMAL}")
    assert fault.startswith(f"in.yaml:{place}: ")
    assert words in fault


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ("{trian: {}}", "protocol.0.trian: unknown key; did you mean train?"),
        ("{}", "mapping with one key, the name of the step (has none)"),
        ("{train: , voltage: 2}", "(has train, voltage)"),
        ("read", "protocol.0: must be a mapping"),
        ("{relax: {duration: 1 us}}", "first reading (0.001 s) before its duration (1e-06 s)"),
        ("{sweep: {}}", "must have either amplitude or to"),
        ("{sweep: {amplitude: 1, to: [1]}}", "must have either amplitude or to"),
        ("{sweep: {to: [1, 2 s]}}", "protocol.0.sweep.to.1: is a duration, not a voltage"),
        ("{sweep: {amplitude: 1e9 V, step: 1 uV}}", "pulses and readings"),
        ("{repeat: {count: 1e7, steps: [repeat: {count: 1e7, steps: [read: ]}]}}", "at most 1e+07"),
        ("{repeat: {count: 2, steps: []}}", "at least 1"),
        ("{repeat: {count: 2, steps: [{raed: }]}}", "steps.0.raed: unknown key; did you mean read"),
        ("{program: {cell: [0], voltage: 1}}", "protocol.0.program.cell"),
        ("{program: {cell: [0, 0], voltage: 1, target: 1 uS, reverse: 2}}", "opposite signs"),
        ("{vector_matrix: {inputs: [1, 2]}}", "each of the 1 columns"),
    ],
)
def test_one_fault_in_a_step(step, words):
    assert words in only_fault_of(f"protocol: [{step}]")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "in.yaml:1:1: the text is empty"),
        ("# nothing\n", "in.yaml:1:1: the text is empty"),
        ("---\n...\n", "in.yaml:2:1: must be a mapping of keys to values"),
        ("5", "in.yaml:1:1: must be a mapping of keys to values"),
        ("- protocol", "in.yaml:1:1: must be a mapping of keys to values"),
        ("name: x", "in.yaml:1:1: protocol: is required"),
        ("{", "while parsing a flow node"),
        ("name: [1\nx", "in.yaml:2:2: "),
        ("a:\n\tb: 1", "in.yaml:2:1: a tab; indent with spaces"),
        (f"{MINIMAL}---\n{MINIMAL}", "in.yaml:3:1: a second document (---)"),
        ("a: &x 1\nb: *x", "in.yaml:1:4: anchors and aliases"),
        ("b: *x", "in.yaml:1:4: anchors and aliases"),
        ("a: !!python/object/apply:os.system [ls]", "in.yaml:1:4: tags (!) are not accepted"),
        ("a: " + "[" * 100, "in.yaml:1:63: nested more than 60 levels deep"),
        ("a: " + "[" * 100_000, "nested more than 60 levels deep"),
        ("- " * 10_000, "nested more than 60 levels deep"),
        ("? " * 10_000, "nested more than 60 levels deep"),
        (f"{MINIMAL}name: a\u2028b", "in.yaml:3:8: a line break other than a newline (U+2028)"),
        ("name: \x07", "in.yaml:1:7: a character that YAML does not allow (U+0007)"),
        ('name: "\\uD800"\n' + MINIMAL, "in.yaml:1:7: name: half a character"),
        ('"\\uD800": 1\n' + MINIMAL, "in.yaml:1:1: a key with half a character in it"),
        ('name: "\\UFFFFFFFF"\n', "not YAML"),
        ("a" * 300_000, "longer than 250000 characters"),
        (f"{MINIMAL}<<: {{name: x}}", "in.yaml:3:1: merge keys (<<) are not accepted"),
        (f"{MINIMAL}1: x", "in.yaml:3:1: a key must be text (got 1)"),
        (f"{MINIMAL}null: x", "in.yaml:3:1: a key must be text (got null)"),
        (f"{MINIMAL}? [a]\n: x", "in.yaml:3:3: a key must be text, not a list"),
        (f"{MINIMAL}name: x\nname: y", "in.yaml:4:1: name: given twice (first in line 3)"),
        (f"{MINIMAL}engine: {{tolerance: {'1' * 5000}}}", "a number of 5000 characters"),
        (f"{MINIMAL}name: 2024-01-01", None),
        (f"\ufeff{MINIMAL}", None),
        (MINIMAL.replace("\n", "\r\n"), None),
    ],
)  # fmt: skip
def test_text_that_is_not_an_input(text, fault):
    if fault is None:
        assert loads(text).text == text
        return
    lines = faults_of(text)
    assert fault in lines[0]
    assert all(len(line) < 300 for line in lines)


def test_user_text_reaches_the_terminal_escaped():
    fault = only_fault_of(f'{MINIMAL}"a\\e[31m\\nb": 1\n')
    assert fault == "in.yaml:3:1: a\\x1b[31m\\nb: unknown key"


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


# --- overrides


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


# --- scans


def test_a_scan_is_a_grid_whose_last_key_is_fastest():
    text = TRAIN + "scan: {device.temperature: [70, 80 K], protocol.0.train.voltage: [1, 2, 3]}\n"
    model = loads(text).model
    assert n_points(model) == 6
    points = [at_point(model, point) for point in range(6)]
    assert [(p.device.temperature, p.protocol[0].body.voltage) for p in points] == [
        (70, 1), (70, 2), (70, 3), (80, 1), (80, 2), (80, 3),
    ]  # fmt: skip
    assert point_values(model, 4) == {"device.temperature": "80 K", "protocol.0.train.voltage": 2}
    assert all(point.scan == {} for point in points)
    assert points[0].protocol[0].body.count == 50
    for outside in (-1, 6):
        with pytest.raises(IndexError):
            at_point(model, outside)


def test_without_a_scan_there_is_one_point():
    model = loads(MINIMAL).model
    assert n_points(model) == 1
    assert at_point(model, 0) == model


def test_a_point_survives_the_resolved_input():
    text = TRAIN + "scan: {device.barriers.distribution: [flat, gaussian]}\n"
    loaded = loads(text)
    again = Input.model_validate(json.loads(loaded.resolved))
    assert at_point(again, 1) == at_point(loaded.model, 1)
    assert at_point(again, 1).device.barriers.distribution == "gaussian"


def test_values_of_a_grid_must_go_together():
    text = MINIMAL + (
        "scan:\n  device.barriers.bulk.low: [0.3, 0.5]\n  device.barriers.bulk.high: [0.6, 0.4]\n"
    )
    assert "low (0.5 eV) above high (0.4 eV)" in only_fault_of(text)
    assert n_points(loads(text.replace("0.5]", "0.4]")).model) == 4


def test_scan_and_other_faults_are_reported_together():
    text = "scan: {device.temperature: [1, -1]}\ndevice: {oxygen: {filling: 2}}\n" + MINIMAL
    first, second = faults_of(text)
    assert first.startswith("in.yaml:1:32: scan.device.temperature.1: ")
    assert second.startswith("in.yaml:2:28: device.oxygen.filling: ")


# --- the reference page


def test_reference_names_every_key():
    page = reference_markdown()

    def visit(model, seen):
        for name, field in model.model_fields.items():
            assert f"`{name}`" in page
            assert field.description, f"{model.__name__}.{name} is not described"
            assert field.description.replace("|", "\\|") in page
            for inner in sections_in(field.annotation):
                if inner not in seen:
                    visit(inner, seen | {inner})

    visit(Input, {Input})
    assert "| `spacing` | length | m | 0.835 nm | > 0 m |" in page
    assert all(f"## `{name}`" in page for name in Step.model_fields)


def test_a_misspelt_required_key_is_one_fault():
    with pytest.raises(InputError) as caught:
        loads("protocol:\n  - pulse: {voltge: 2 V, duration: 1 ms}\n", (), "x.yaml")
    assert str(caught.value) == (
        "x.yaml:2:13: protocol.0.pulse.voltge: unknown key; did you mean voltage?"
    )
