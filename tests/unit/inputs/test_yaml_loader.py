"""Texts that are YAML 1.2, and texts that are no input."""

import pytest
from input_faults import MINIMAL, faults_of

from kmc_oxy.inputs.loading import loads


def test_scalars_follow_yaml_1_2():
    text = MINIMAL + "name: yes\nensemble: {members: 012, seed: 0x1F}\n"
    model = loads(text).model
    assert (model.name, model.ensemble.members, model.ensemble.seed) == ("yes", 12, 31)
    assert loads("protocol: [relax: {duration: 1e5}]").model.protocol[0].body.duration == 1e5


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
