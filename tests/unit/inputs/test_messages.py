"""Faults of an input: their messages and places."""

import pytest
from input_faults import MINIMAL, faults_of, only_fault_of

from kmc_oxy.inputs import InputError
from kmc_oxy.inputs.loading import loads


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
        (
            "device: {field: {lsmo_width: 9.5 nm}}",
            "1:30",
            "device.lattice.organic_thickness, 10 nm",
        ),
        ("device: 5", "1:9", "must be a mapping"),
        ("device: [5]", "1:1", "must be a mapping of keys to values (got a list of 1)"),
        ("conductance: {slab: 11 nm}", "1:21", "at most the 10 nm"),
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
        ("scan: {device.lattice: [1]}", "1:25", "must be a mapping"),
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
        ("{sweep: {amplitude: 100 V, step: 1 uV}}", "pulses and readings"),
        ("{field_sweep: {amplitude: 1 T, step: 40 uT}}", "counted once; at most 3e+04"),
        ("{repeat: {count: 9, steps: [sweep: {amplitude: 9, step: 1 mV}]}}", "about 7.2e+04 diff"),
        ("{sweep: {amplitude: 1e9 V}}", "must not exceed 1000 V in magnitude"),
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


def test_user_text_reaches_the_terminal_escaped():
    fault = only_fault_of(f'{MINIMAL}"a\\e[31m\\nb": 1\n')
    assert fault == "in.yaml:3:1: a\\x1b[31m\\nb: unknown key"


def test_a_misspelt_required_key_is_one_fault():
    with pytest.raises(InputError) as caught:
        loads("protocol:\n  - pulse: {voltge: 2 V, duration: 1 ms}\n", (), "x.yaml")
    assert str(caught.value) == (
        "x.yaml:2:13: protocol.0.pulse.voltge: unknown key; did you mean voltage?"
    )


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("device: {temperature: [76 K, 90 K]}", "goes under scan, as device.temperature"),
        ("device: {barriers: {slow_layers: [1, 2]}}", "goes under scan, as device.barriers.slow"),
        ("crossbar: {scheme: [V/2, V/3]}", "goes under scan, as crossbar.scheme"),
    ],
)
def test_a_list_for_a_key_of_one_value_gets_the_hint_of_a_scan(line, words):
    assert words in only_fault_of(f"{line}\n{MINIMAL}")


def test_a_mapping_or_a_list_elsewhere_gets_no_hint_of_a_scan():
    assert "scan" not in only_fault_of(f"device: [5]\n{MINIMAL}")
    assert "scan" not in only_fault_of("protocol: [{sweep: {to: [[1]]}}]").replace("scan.", "")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("device: {oxygen: {attempt_frequency: 1e300}}", "must not exceed 1e+16 Hz in magnitude"),
        ("device: {site_energy: {oxide_offset: 1.7e308 eV}}", "must not exceed 100 eV"),
        ("device: {temperature: 5e-324}", "at least 0.001 K in magnitude"),
        ("device: {lattice: {spacing: 1e-300}}", "at least 1e-30 m in magnitude"),
        ("conductance: {oxide_growth: 1e300}", "must not exceed 0.001 m"),
        ("conductance: {nonlinearity: 1e-300 V}", "at least 1e-09 V in magnitude"),
        ("spin: {model: julliere, polarisation_lsmo: -1, polarisation_co: 1}", "would not conduct"),
        ("spin: {polarisation_lsmo: 1, polarisation_co: -1}", "would not conduct"),
        ("spin: {relaxation: 1e300}", "must not exceed 1e+06 in magnitude"),
        ("device: {lattice: {organic_layers: 200}}", "0.05 nm apart, organic_thickness over org"),
        ("device: {lattice: {oxide_thickness: 30 nm, oxide_layers: 2}}", "puts the layers 15 nm"),
        ("device: {lattice: {organic_thickness: 2 um}}", "has 2395 layers, organic_thickness"),
    ],
)
def test_values_beyond_physics(line, words):
    assert words in only_fault_of(f"{line}\n{MINIMAL}")


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        ("conductance: {slab: 0.3 nm}\n", "conductance.slab", "device.lattice.organic_thickness"),
        ("device: {lattice: {organic_layers: 4}}\n", "conductance.slab", "organic_layers"),
        ("conductance: {nonlinearity: 0.1 mV}\n", "conductance.nonlinearity", "protocol.0."),
        (
            "conductance: {nonlinearity: 1 mV}\ncrossbar: {read_voltage: 0.6 V}\n",
            "conductance.nonlinearity",
            "0.6 V of crossbar.read_voltage",
        ),
    ],
)
def test_a_rule_between_keys_names_every_one(text, key, words):
    fault = only_fault_of(f"{text}{MINIMAL}")
    assert f": {key}: " in fault and words in fault


def test_the_span_of_the_inputs_of_a_product_counts():
    text = (
        "conductance: {nonlinearity: 15 mV}\ncrossbar: {columns: 2}\n"
        "protocol: [{vector_matrix: {inputs: [4 V, -4 V]}}]\n"
    )
    assert "8 V of protocol.0.vector_matrix" in only_fault_of(text)


def test_a_protocol_without_readings_is_a_fault_of_its_own():
    text = (
        "protocol: [{repeat: {count: 2, steps: [{pulse: {voltage: 1, duration: 1, read: false}}]}}]"
    )
    assert "protocol: must contain a reading" in only_fault_of(text)
    assert "must contain a reading" in only_fault_of("protocol: [{sweep: {to: [0, 0]}}]")


def test_layers_follow_the_thickness():
    def lattice(line):
        return loads(f"device: {{lattice: {{{line}}}}}\n{MINIMAL}").model.device.lattice

    assert (lattice("nx: 5").organic_layers, lattice("nx: 5").oxide_layers) == (12, 2)
    assert lattice("organic_thickness: 20 nm").organic_layers == 24
    assert lattice("organic_thickness: 30 nm, oxide_thickness: 0.3 nm").n_layers == 36 + 1
    assert lattice("organic_thickness: 20 nm, organic_layers: 20").n_organic_layers == 20


def test_layers_at_an_unusual_distance_are_warned_of():
    def doubts(text):
        return [str(doubt) for doubt in loads(text, (), "in.yaml").doubts]

    (doubt,) = doubts(
        f"device: {{lattice: {{organic_thickness: 20 nm, organic_layers: 12}}}}\n{MINIMAL}"
    )
    assert doubt.startswith("in.yaml:1:39: device.lattice.organic_thickness: ")
    assert "20 nm over 12 organic_layers" in doubt and "1.67 nm apart" in doubt
    assert "0.835 nm" in doubt
    assert doubts(MINIMAL) == []
    (doubt,) = doubts(
        f"device: {{lattice: {{organic_layers: 12}}}}\n{MINIMAL}"
        "scan: {device.lattice.organic_thickness: [10 nm, 20 nm]}\n"
    )
    assert doubt.startswith("in.yaml:4:50:") and "scan.device.lattice.organic_thickness.1" in doubt
