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
        ("$voltage", "$volts", "in.yaml:7:28: protocol.0.repeat.steps.1.train.voltage: must be a"),
        ("1 ms, 5 ms", "1 ms, 5 W", "repeat.steps.1.train.duration: has an unknown unit"),
        ("[1 ms, 5 ms]", "1 ms", "must have a list of values for duration in `for`"),
        ("[1 ms, 5 ms]", "[]", "must have a list of values for duration in `for`"),
        ("      steps", "      zip: 1\n      steps", "must have true or false for `zip`"),
        ("[3 V, 4 V]", "[3 V]", ""),
        ("voltage: [3", "a b: [3", "must have names of letters"),
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


def test_a_loop_too_long_is_refused_before_it_is_written_out():
    numbers = ", ".join(map(str, range(200)))
    text = LOOP.replace("[3 V, 4 V]", f"[{numbers}]").replace("[1 ms, 5 ms]", f"[{numbers}]")
    with pytest.raises(InputError, match="at most 30,000 steps"):
        loads(text)
