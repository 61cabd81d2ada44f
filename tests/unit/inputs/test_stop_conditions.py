"""The condition `until` of trains, repeats and program steps, as it is written."""

import json

import pytest
from input_faults import MINIMAL, only_fault_of

from kmc_oxy.inputs.loading import loads
from kmc_oxy.inputs.schema import stop_condition

TRAIN = "protocol: [{train: {voltage: 2 V, duration: 1 ms, count: 5, until: %s}}]\n"


def test_a_condition_compares_a_conductance():
    rising, falling = stop_condition("conductance > 1 uS"), stop_condition("conductance<2e-6 S")
    assert rising.bound_S == 1e-6 and falling.bound_S == 2e-6
    assert [rising.is_met(value) for value in (0.9e-6, 1e-6, 1.1e-6)] == [False, False, True]
    assert [falling.is_met(value) for value in (1.9e-6, 2e-6)] == [True, False]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("5", "such as `conductance > 1 uS`"),
        ("voltage > 1 V", "such as `conductance > 1 uS`"),
        ("conductance >= 1 uS", "must be a conductance"),
        ("conductance > 1 V", "is a voltage, not a conductance"),
        ("conductance > 0 S", "above 0"),
    ],
)
def test_what_is_no_condition_has_its_place(text, words):
    line = only_fault_of(TRAIN % text)
    assert line.startswith("in.yaml:1:68: protocol.0.train.until: ") and words in line, line


def test_a_condition_is_about_one_cell():
    text = "crossbar: {rows: 2}\n" + TRAIN % "conductance > 1 uS"
    assert "only `program` selects one" in only_fault_of(text)
    program = "protocol: [{program: {cell: [1, 0], voltage: 3 V, until: conductance > 1 uS%s}}]\n"
    array = "crossbar: {rows: 2}\n"
    assert loads(array + program % ", count: 3").model.protocol[0].body.until
    assert "must have a count" in only_fault_of(array + program % "")
    assert "either until or target" in only_fault_of(
        array + program % ", count: 3, target: 1 uS, reverse: -3 V"
    )


def test_an_input_without_a_condition_has_no_trace_of_it():
    text = MINIMAL + "  - train: {voltage: 2 V, duration: 1 ms, count: 5}\n"
    assert "until" not in json.loads(loads(text).resolved)["protocol"][1]["train"]
    resolved = json.loads(loads(TRAIN % "conductance > 1 uS").resolved)
    assert resolved["protocol"][0]["train"]["until"] == "conductance > 1 uS"
