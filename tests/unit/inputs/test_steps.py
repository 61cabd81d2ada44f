"""Steps of the protocol: every one states its size, its voltages and its text."""

import pytest

from kmc_oxy.inputs.schema import Input, Step, StepBody, all_steps, largest_span, sections_in
from kmc_oxy.inputs.schema.steps import protocol_size

EXAMPLES = {
    "pulse": {"voltage": 2, "duration": 1, "rest": {"voltage": -3}},
    "train": {"voltage": 2, "duration": 1, "count": 7, "rest": None},
    "waveform": {"points": [[0, 1], ["1 ms", -2], [2e-3, 9]], "read_at": [1e-3, 2e-3]},
    "read": {"voltage": -0.2},
    "relax": {"duration": 100, "points_per_decade": 4},
    "sweep": {"to": [1.0, -2.0], "step": 0.5},
    "field_sweep": {"amplitude": 0.1, "step": 0.01},
    "program": {"cell": [0, 0], "voltage": 3, "target": 1e-6, "reverse": -4, "max_pulses": 9},
    "map": {},
    "vector_matrix": {"inputs": [0.3]},
    "repeat": {"count": 3, "steps": [{"read": {"voltage": 1}}, {"map": {}}]},
}
SIZES = {
    "pulse": 1, "train": 8, "waveform": 4, "read": 1, "relax": 22, "sweep": 9, "field_sweep": 41,
    "program": 10, "map": 1, "vector_matrix": 1, "repeat": 7,
}  # fmt: skip
LARGEST_V = {
    "pulse": 3, "train": 2, "waveform": 2, "read": 0.2, "relax": 0.1, "sweep": 2,
    "field_sweep": 0.1, "program": 4, "map": 0, "vector_matrix": 0.3, "repeat": 1,
}  # fmt: skip


def protocol(*steps):
    return Input.model_validate({"protocol": list(steps)}).protocol


@pytest.mark.parametrize("name", Step.model_fields)
def test_size_voltages_and_text_of_every_step(name):
    (model,) = sections_in(Step.model_fields[name].annotation)
    assert issubclass(model, StepBody)
    steps = protocol({name: EXAMPLES[name]})
    assert steps[0].kind == name and type(steps[0].body) is model
    assert protocol_size(steps) == pytest.approx(SIZES[name])
    largest_V, location = largest_span(steps)
    assert largest_V == LARGEST_V[name]
    assert not largest_V or location[:3] == ("protocol", 0, name)
    text = steps[0].body.text()
    assert text and "\n" not in text and not text.endswith(".")


def test_text_of_a_long_repeat_is_cut():
    steps = protocol({"repeat": {"count": 2, "steps": [{"map": {}}] * 9}})
    text = steps[0].body.text()
    assert text.startswith("2 × (a map of all cells, ") and text.endswith(" and 3 more steps)")


def test_steps_inside_repeats_have_their_location():
    inner = {"repeat": {"count": 2, "steps": [{"map": {}}]}}
    steps = protocol({"read": {}}, {"repeat": {"count": 2, "steps": [{"read": {}}, inner]}})
    assert [
        (".".join(map(str, at)), step.kind) for at, step in all_steps(steps, ("protocol",))
    ] == [
        ("protocol.0", "read"),
        ("protocol.1", "repeat"),
        ("protocol.1.repeat.steps.0", "read"),
        ("protocol.1.repeat.steps.1", "repeat"),
        ("protocol.1.repeat.steps.1.repeat.steps.0", "map"),
    ]
