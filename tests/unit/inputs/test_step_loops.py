"""Loops of steps over values: the same protocol as the steps written out."""

import pytest

from kmc_oxy.inputs import InputError, loads

LOOP = """protocol:
  - repeat:
      count: 3
      for: {voltage: [3 V, 4 V], duration: [1 ms, 5 ms]}
      steps:
        - pulse: {voltage: -4 V, duration: 1 s}
        - train: {voltage: $voltage, duration: $duration, count: 5}
"""


def written_out(pairs):
    steps = "".join(
        "        - pulse: {voltage: -4 V, duration: 1 s}\n"
        f"        - train: {{voltage: {voltage}, duration: {duration}, count: 5}}\n"
        for voltage, duration in pairs
    )
    return f"protocol:\n  - repeat:\n      count: 3\n      steps:\n{steps}"


def test_a_nested_loop_is_the_steps_written_out():
    pairs = [(v, d) for v in ("3 V", "4 V") for d in ("1 ms", "5 ms")]
    assert loads(LOOP).resolved == loads(written_out(pairs)).resolved


def test_a_zipped_loop_takes_values_together():
    zipped = LOOP.replace("      steps", "      zip: true\n      steps")
    assert loads(zipped).resolved == loads(written_out([("3 V", "1 ms"), ("4 V", "5 ms")])).resolved


def test_an_inner_loop_sees_the_names_of_the_outer_one():
    text = """protocol:
  - repeat:
      for: {voltage: [1 V, 2 V]}
      steps:
        - repeat:
            for: {duration: [1 ms, 2 ms]}
            steps: [{pulse: {voltage: $voltage, duration: $duration}}]
"""
    (outer,) = loads(text).model.protocol
    pulses = [step.body for inner in outer.body.steps for step in inner.body.steps]
    assert [(pulse.voltage, pulse.duration) for pulse in pulses] == [
        (1, 1e-3), (1, 2e-3), (2, 1e-3), (2, 2e-3),
    ]  # fmt: skip
    assert outer.body.count == 1


def test_an_override_changes_the_step_as_written():
    model = loads(LOOP, ["protocol.0.repeat.steps.1.train.count=7"]).model
    counts = [step.body.count for step in model.protocol[0].body.steps if step.kind == "train"]
    assert counts == [7, 7, 7, 7]


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("$voltage", "$volts", "in.yaml:4:13: protocol.0.repeat.for.voltage: is used by no step"),
        ("1 ms, 5 ms", "1 ms, 5 W",
         "in.yaml:4:51: protocol.0.repeat.for.duration.1: has an unknown unit"),
        ("[1 ms, 5 ms]", "1 ms", "repeat.for.duration: must have a list of values"),
        ("[1 ms, 5 ms]", "[]", "repeat.for.duration: must have a list of values"),
        ("$duration", "0 s", "repeat.for.duration: is used by no step: write $duration where"),
        ("      steps", "      zip: 1\n      steps", "must have true or false for `zip`"),
        ("[3 V, 4 V]", "[3 V]", ""),
        ("voltage: [3", "a b: [3", "for.a b: must be a name of letters"),
        ("      for: {voltage: [3 V, 4 V], duration: [1 ms, 5 ms]}", "      zip: true",
         "must have a `for` if it has a `zip`"),
        ("{voltage: [3 V, 4 V], duration: [1 ms, 5 ms]}", "3", "must have a mapping of names"),
    ],
)  # fmt: skip
def test_faults_are_placed_where_they_are_written(old, new, fault):
    text = LOOP.replace(old, new, 1)
    if not fault:
        text = text.replace("      steps", "      zip: true\n      steps")
        fault = "must have equally many values"
    with pytest.raises(InputError) as error:
        loads(text, source="in.yaml")
    assert fault in str(error.value)
    assert len(str(error.value).splitlines()) == 1, "a fault of all rounds is one fault"


def fault_of(text):
    with pytest.raises(InputError) as error:
        loads(text, source="in.yaml")
    return str(error.value)


def test_a_value_of_an_outer_loop_is_placed_in_that_loop():
    text = """protocol:
  - repeat:
      for: {voltage: [1 V, 2 V], shortest: [1 ms, 3 W]}
      steps:
        - repeat:
            for: {duration: [$shortest, 2 ms]}
            steps: [{read: {}}, {pulse: {voltage: $voltage, duration: $duration}}]
"""
    assert fault_of(text).startswith("in.yaml:3:51: protocol.0.repeat.for.shortest.1: has an unk")


def test_a_value_of_a_zipped_loop_is_placed_by_its_round():
    text = LOOP.replace("5 ms]", "-5 ms]").replace("      steps", "      zip: true\n      steps")
    found = fault_of(text)
    assert "protocol.0.repeat.for.duration.1: must be greater than 0 s (got '-5 ms')" in found


def test_a_value_that_is_a_list_is_placed_at_its_item():
    text = """protocol:
  - repeat:
      for: {voltages: [[1 V, 2 V], [1 V, 2 W]]}
      steps: [{sweep: {to: $voltages, dwell: 1 ms}}]
"""
    assert "repeat.for.voltages.1.1" in fault_of(text)


def test_all_names_without_use_are_named_at_once():
    found = fault_of(LOOP.replace("$voltage", "3 V").replace("$duration", "1 ms"))
    assert len(found.splitlines()) == 2


def test_a_name_that_stands_for_itself_is_a_fault_and_no_endless_search():
    assert "for.voltage.0" in fault_of(LOOP.replace("[3 V", "[$voltage"))


def test_a_loop_too_long_is_refused_before_it_is_written_out():
    numbers = ", ".join(map(str, range(200)))
    text = LOOP.replace("[3 V, 4 V]", f"[{numbers}]").replace("[1 ms, 5 ms]", f"[{numbers}]")
    with pytest.raises(InputError, match="at most 30,000 steps"):
        loads(text)
