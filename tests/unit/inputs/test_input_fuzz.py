"""Any text gives a checked input or an InputError with one line per fault."""

import json
import string
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from kmc_oxy.inputs import InputError, at_point, load, n_points
from kmc_oxy.inputs.loading import loads
from kmc_oxy.inputs.schema import Input, Section, sections_in

QUICKSTART = (Path(__file__).parents[3] / "inputs" / "quickstart.yaml").read_text(encoding="utf-8")
EVERYTHING = """\
name: everything
device:
  temperature: 100 K
  lattice: {nx: 10, ny: 10, organic_layers: 6}
  oxygen: {filling: 5 %, start: oxide}
  barriers: {slow: {distribution: gaussian, mean: 0.5 eV, sigma: 0.1}, slow_layers: 3}
  field: {profile: dielectric}
conductance: {decay_length: 0.3 nm, nonlinearity: null}
spin: {model: julliere, coercive_co: 25 mT}
crossbar: {rows: 4, columns: 3, line_resistance: 2 ohm, scheme: floating}
protocol:
  - pulse: {voltage: -4 V, duration: 1 s, rest: null}
  - repeat:
      count: 5
      steps:
        - program: {cell: [1, 2], voltage: 3 V, target: 1 uS, reverse: -2.8 V}
        - map:
        - relax: {duration: 1 h, first: 1 us}
  - sweep: {to: [1 V, -1 V], step: 50 mV}
  - field_sweep: {amplitude: 60 mT}
  - vector_matrix: {inputs: [0.1, 0, -100 mV]}
scan:
  device.temperature: [76, 100 K]
  protocol.0.pulse.voltage: [-4 V, -3.5]
ensemble: {members: 8, seed: 7}
engine: {algorithm: exact, check_tolerance: true}
"""
FUZZ = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


def keys_of(model, seen=frozenset()):
    """Every key of the schema, of all sections."""
    for name, field in model.model_fields.items():
        yield name
        for inner in sections_in(field.annotation):
            if inner not in seen:
                yield from keys_of(inner, seen | {inner})


KEYS = sorted(set(keys_of(Input)))


def check(text, overrides=()):
    """The model, or None after a check of the faults; any other exception fails the test."""
    try:
        loaded = loads(text, overrides, "in.yaml")
    except InputError as error:
        assert error.faults
        assert error.faults == sorted(error.faults)
        n_lines = text.count("\n") + text.count("\r") + 2
        for fault in error.faults:
            line = str(fault)
            assert line.isprintable()
            assert line.startswith(("in.yaml:", "--set "))
            assert fault.message
            assert fault.rank > 0 or 1 <= fault.line <= n_lines
        assert str(error).count("\n") == min(len(error.faults), 101) - 1
        return None
    assert isinstance(loaded.model, Input)
    assert Input.model_validate(json.loads(loaded.resolved)) == loaded.model
    for point in range(min(n_points(loaded.model), 3)):
        at_point(loaded.model, point)
    return loaded.model


def test_the_texts_that_are_mutated_are_in_order():
    assert check(QUICKSTART) is not None
    assert check(EVERYTHING) is not None


@FUZZ
@given(st.text(max_size=200))
def test_any_text(text):
    check(text)


@FUZZ
@given(st.text(alphabet=" \n\t-:,[]{}#&*!|>'\"%@`?ab01.e~<=\\\ufeff\x85\u2028", max_size=80))
@example("%YAML 1.1\n--- a")
@example("%TAG ! tag:x,2000:\n--- !a b")
@example("? ? ? a")
@example("!<")
@example('"\\x')
def test_text_of_yaml_marks(text):
    check(text)


@FUZZ
@given(st.binary(max_size=200))
def test_any_bytes(tmp_path_factory, raw):
    path = tmp_path_factory.getbasetemp() / "fuzz.yaml"
    path.write_bytes(raw)
    try:
        load(path)
    except InputError as error:
        assert str(error)


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 5),
    st.integers(),
    st.floats(),
    st.sampled_from(
        ["5 V", "50 ms", "0.3 eV", "1 nm", "flat", "gaussian", "exact", "2024-01-01", "0x1F", "1e3"]
    ),
    st.text(string.printable, max_size=8),
)
structures = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
        st.dictionaries(st.text(string.ascii_letters + ".", max_size=6), inner, max_size=2),
    ),
    max_leaves=12,
)


@FUZZ
@given(st.dictionaries(st.sampled_from(sorted(Input.model_fields)), structures, max_size=6))
def test_random_structures(data):
    check(yaml.safe_dump(data, allow_unicode=True))
    check(json.dumps(data))


def places(data, at=()):
    """Every path into nested mappings and lists."""
    items = data.items() if isinstance(data, dict) else enumerate(data)
    for key, value in items:
        yield (*at, key)
        if isinstance(value, (dict, list)):
            yield from places(value, (*at, key))


RESOLVED = json.loads(loads(EVERYTHING).resolved)
PLACES = sorted(places(RESOLVED), key=str)


@FUZZ
@given(st.lists(st.tuples(st.sampled_from(PLACES), structures), min_size=1, max_size=4))
def test_valid_structures_with_parts_exchanged(changes):
    data = json.loads(json.dumps(RESOLVED))
    for path, value in changes:
        container = data
        try:
            for part in path[:-1]:
                container = container[part]
            container[path[-1]] = value
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took this place away
    check(json.dumps(data, indent=1))


@FUZZ
@given(
    st.sampled_from([QUICKSTART, EVERYTHING]),
    st.lists(
        st.tuples(
            st.floats(0, 1, exclude_max=True),
            st.integers(0, 6),
            st.one_of(
                st.text(" \n\t:-,{}[]'\"&*!#%|>?.e0123456789abV", max_size=4),
                st.sampled_from(["\n  - ", "\n---\n", "<<: ", "&a ", "*a", "!!str ", *KEYS]),
            ),
        ),
        min_size=1,
        max_size=5,
    ),
)
def test_mutated_texts(text, edits):
    for share, cut, inserted in edits:
        at = int(share * len(text))
        text = text[:at] + inserted + text[at + cut :]
    check(text)


@FUZZ
@given(
    st.one_of(
        st.text(max_size=30),
        st.builds(
            lambda path, text: f"{'.'.join(map(str, path))}={text}",
            st.sampled_from(PLACES),
            st.one_of(structures.map(json.dumps), st.text(max_size=10)),
        ),
    )
)
def test_any_override(override):
    check(EVERYTHING, [override])


@pytest.mark.parametrize("key", ["scan", "protocol", "device"])
@FUZZ
@given(data=structures)
def test_a_section_of_anything(key, data):
    check(json.dumps({"protocol": [{"read": {}}], key: data}))


@FUZZ
@given(
    st.dictionaries(
        st.one_of(
            st.sampled_from(PLACES).map(lambda path: ".".join(map(str, path))),
            st.text(string.ascii_letters + ".0", max_size=8),
        ),
        st.one_of(st.lists(structures, max_size=3), structures),
        max_size=3,
    )
)
def test_any_scan(scan):
    check(json.dumps({**RESOLVED, "scan": scan}))


def test_a_number_out_of_range_is_refused_wherever_it_stands():
    """Each numeric leaf set to NaN: one fault, on the line of that leaf."""
    lines = json.dumps(RESOLVED, indent=1).split("\n")
    tried = 0
    for number, line in enumerate(lines):
        key, _, value = line.strip().rstrip(",").partition(": ")
        if not value or not value.lstrip("-")[:1].isdigit():
            continue
        changed = [*lines]
        changed[number] = line.replace(f": {value}", ": .nan")
        with pytest.raises(InputError) as caught:
            loads("\n".join(changed))
        assert [fault.line for fault in caught.value.faults] == [number + 1], key
        tried += 1
    assert tried > 60


def test_every_section_refuses_unknown_keys():
    def visit(model):
        assert model.model_config["extra"] == "forbid"
        assert model.model_config["frozen"]
        return 1 + sum(visit(inner) for inner in model.__subclasses__())

    assert visit(Section) > 30


def test_a_long_input_is_read_in_bounded_time():
    steps = "\n".join("  - pulse: {voltage: 1 V, duration: 1 ms}" for _ in range(2000))
    assert len(loads(f"protocol:\n{steps}\n").model.protocol) == 2000
    wrong = "\n".join("  - pulse: {voltage: 1 s, duration: 1 ms}" for _ in range(2000))
    with pytest.raises(InputError) as caught:
        loads(f"protocol:\n{wrong}\n")
    assert len(caught.value.faults) == 2000
    assert str(caught.value).count("\n") == 100
