"""The section `data`: what it accepts, and what it refuses."""

import pytest
from pydantic import ValidationError

from kmc_oxy.measured import DataSection

WHOLE = {
    "file": "train.csv",
    "x": {"quantity": "pulse", "column": "N"},
    "y": {"quantity": "conductance", "column": "G (uS)", "unit": "uS"},
    "error": {"column": "dG (uS)"},
    "curves": "duration",
    "scale": "absolute",
}


def test_a_whole_section():
    section = DataSection.model_validate(WHOLE)
    assert section.y.unit == "uS" and section.scale == "absolute" and section.time is None
    assert DataSection.model_validate(section.model_dump()) == section


def test_defaults():
    section = DataSection.model_validate(
        {
            "file": "a.csv",
            "x": {"quantity": "time"},
            "y": {"quantity": "current"},
            "error": {"relative": "5 %"},
        }
    )
    assert section.x.column is None and section.scale == "absolute" and section.curves is None
    assert section.error.relative == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"x": {"quantity": "pulse", "unit": "s"}}, "must have no unit"),
        ({"x": {"quantity": "time", "unit": "V"}}, "must have a unit of duration (s, ms"),
        ({"x": {"quantity": "temperature"}}, "'pulse', 'time', 'voltage' or 'field'"),
        ({"y": {"quantity": "conductance", "unit": "parsec"}}, "got 'parsec'"),
        ({"error": {}}, "must have either column or relative"),
        ({"error": {"column": "a", "relative": 0.1}}, "must have either column or relative"),
        ({"error": {"relative": 0}}, "greater than 0"),
        ({"time": {"column": "t"}}, "must have no time beside x of pulse"),
        ({"scale": "relative"}, "'absolute' or 'free'"),
        ({"fle": "a"}, "Extra inputs"),
    ],
)
def test_refused(changed, words):
    with pytest.raises(ValidationError) as caught:
        DataSection.model_validate(WHOLE | changed)
    assert words in str(caught.value)
