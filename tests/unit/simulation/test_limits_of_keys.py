"""The device, the engine and a reading at the limits of every key of the input."""

import math

import pytest

from kmc_oxy.inputs import InputError
from kmc_oxy.inputs.loading import loads
from kmc_oxy.inputs.schema import MAGNITUDES, Input, dimension_of, sections_in
from kmc_oxy.simulation.device import CrossPoint

#: Keys whose limits do not go together with the other keys of the input here.
NEVER_ACCEPTED = ("device.lattice.organic_thickness", "device.oxygen.filling", "conductance.slab")
BASE = "{nx: 4, ny: 4, organic_thickness: 4 nm, organic_layers: 5}"


def quantities(model, prefix=""):
    """Dotted name and field of every quantity outside protocol and scan."""
    for name, field in model.model_fields.items():
        inner = sections_in(field.annotation)
        if len(inner) == 1 and name not in ("protocol", "scan"):
            yield from quantities(inner[0], f"{prefix}{name}.")
        elif not inner and dimension_of(field) is not None:
            yield pytest.param(f"{prefix}{name}", field, id=f"{prefix}{name}")


def limits(field):
    """The smallest and the largest values that a field may have, and zero."""
    least, most = MAGNITUDES[dimension_of(field)]
    yield from (0.0, least, most, -most)
    for item in field.metadata:
        for name in ("ge", "gt", "le", "lt"):
            bound = getattr(item, name, None)
            if bound is not None:
                yield from (math.nextafter(bound, -1e9), bound, math.nextafter(bound, 1e9))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("key", "field"), list(quantities(Input)))
def test_every_accepted_limit_gives_a_device_and_a_reading(key, field):
    accepted = 0
    for value in limits(field):
        try:
            given = loads(
                f"device: {{lattice: {BASE}}}\nprotocol: [read: {{voltage: 0.05}}]\n",
                [f"{key}={value!r}"],
            ).model
        except InputError:
            continue
        device = CrossPoint.build(given, 0, 0, 0, 1)
        engine = device.engine(0, given.engine.tolerance)
        engine.set_potential(device.potential_per_volt * 0.05)
        assert device.spin_valve.conductances(engine.occupied)[0] > 0
        accepted += 1
    assert accepted or key in NEVER_ACCEPTED
