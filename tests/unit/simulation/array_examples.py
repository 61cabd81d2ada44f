"""Inputs and runs of a small array."""

from kmc_oxy.inputs.schema import Input
from kmc_oxy.protocol import flatten
from kmc_oxy.simulation import Simulation, TaskParameters

RESET = {"pulse": {"voltage": -4, "duration": 1}}
SET = {"pulse": {"voltage": 3, "duration": 1}}
WRITE = {"program": {"cell": [1, 1], "voltage": 3, "duration": "10 ms"}}


def inputs(*protocol, conductance=None, lattice=None, **crossbar):
    return Input.model_validate(
        {
            "device": {"lattice": {"nx": 6, "ny": 5} if lattice is None else lattice},
            "conductance": conductance or {},
            "crossbar": {"rows": 3, "columns": 2, **crossbar},
            "protocol": list(protocol),
        }
    )


def build(given, tolerance=0.1, seed=5):
    schedule = flatten(given.protocol)
    return Simulation(
        given, schedule, TaskParameters(point=0, member=0, seed=seed, tolerance=tolerance)
    )


def run(given, **settings):
    simulation = build(given, **settings)
    for _ in simulation.run():
        pass
    return simulation


def coupled(**changes):
    """Options of an array with a large voltage drop over its lines."""
    return {"conductance": {"patches": 10**4}, "line_resistance": 1e3, **changes}


def changes(record, first, last):
    return record["conductance"][..., last] / record["conductance"][..., first] - 1
