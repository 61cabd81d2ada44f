"""The quantities that a run records."""

from array_examples import RESET, inputs

from kmc_oxy.protocol import observables


def test_only_what_the_steps_need_is_recorded():
    names = {item.name for item in observables(inputs(RESET))}
    assert "cell_voltage" in names
    assert not names & {"field", "apparent_conductance", "output_current", "pulses_applied"}
    nested = inputs({"repeat": {"count": 1, "steps": [{"map": {}}, {"field_sweep": {}}]}})
    assert {"apparent_conductance", "field"} <= {item.name for item in observables(nested)}
