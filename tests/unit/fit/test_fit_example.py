"""The shipped example of a fit: the hidden parameters lie in its ranges."""

import runpy
from pathlib import Path

from kmc_oxy.fit import load_fit
from kmc_oxy.fit.loading import is_fit_file
from kmc_oxy.units import parse_quantity

ROOT = Path(__file__).parents[3]


def test_example_is_in_order():
    path = ROOT / "inputs" / "fit_example.yaml"
    assert is_fit_file(path)
    fit = load_fit(path)
    assert [curve.label for curve in fit.curves["trains"]] == ["+2 V", "-2.8 V", "+3 V"]
    assert all(len(curve.x) == 11 for curve in fit.curves["trains"])


def test_hidden_parameters_are_the_free_ones():
    path = ROOT / "scripts" / "fit" / "example_data.py"
    hidden = runpy.run_path(str(path))["HIDDEN"]
    page = (ROOT / "docs" / "fitting.md").read_text(encoding="utf-8")
    fit = load_fit(ROOT / "inputs" / "fit_example.yaml")
    assert hidden.keys() == {each.key for each in fit.parameters}
    for each in fit.parameters:
        dimension = {"eV": "energy", "S": "conductance"}[each.unit]
        value = parse_quantity(hidden[each.key], dimension)
        assert each.low < value < each.high and value != each.start
        assert f"| `{each.key}` | {hidden[each.key]} |" in page
