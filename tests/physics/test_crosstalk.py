"""A programmed array: the chosen cell, its mates, and magnetoresistance against conductance."""

import numpy as np
import pytest

from kmc_oxy.inputs.schema import Input
from kmc_oxy.protocol import flatten
from kmc_oxy.simulation import Simulation, TaskParameters

MEMBERS = 6


def record(member, *protocol, **crossbar):
    given = Input.model_validate(
        {
            "device": {"lattice": {"nx": 8, "ny": 8}},
            "crossbar": {"rows": 4, "columns": 3, **crossbar},
            "protocol": [
                *({"pulse": {"voltage": v, "duration": 1}} for v in (-4, 4, -4)),
                *protocol,
            ],
        }
    )
    schedule = flatten(given.protocol)
    simulation = Simulation(
        given, schedule, TaskParameters(point=0, member=member, seed=3, tolerance=0.1)
    )
    for _ in simulation.run():
        pass
    return simulation.record


@pytest.fixture(scope="module")
def written():
    """ln of the change of every cell by +3 V on cell (1, 1), one array a member."""
    write = {"program": {"cell": [1, 1], "voltage": 3, "duration": 1}}
    found = {}
    for scheme in ("V/2", "grounded"):
        g = np.array(
            [record(m, write, scheme=scheme)["conductance"][..., [3, -1]] for m in range(MEMBERS)]
        )
        found[scheme] = np.log(g[..., 1] / g[..., 0])
    return found


def test_v_half_writes_one_cell(written):
    change = written["V/2"]
    chosen, others = change[:, 1, 1], np.delete(change.reshape(MEMBERS, -1), 4, axis=1)
    # The chosen cell rises by an order of magnitude at least, in every array; of its mates the
    # median moves by less than a tenth of that.
    assert chosen.min() > np.log(10)
    assert np.median(np.abs(others)) < 0.1 * chosen.min()
    # Those at half the voltage move more than those that stay at ground.
    half = change[:, [1, 1, 0, 2, 3], [0, 2, 1, 1, 1]]
    apart = change[:, [0, 0, 2, 2, 3, 3], [0, 2, 0, 2, 0, 2]]
    assert np.abs(half).mean() > 2 * np.abs(apart).mean()


def test_grounded_lines_write_the_whole_row(written):
    """Why arrays are not written that way: row mates see the full voltage."""
    change = written["grounded"]
    assert np.median(change[:, 1, [0, 2]]) > np.log(10)
    assert np.abs(change[:, [0, 2, 3]]).mean() < 0.1


def test_magnetoresistance_comes_with_conductance():
    """Near zero in the depressed state; finite, and growing steadily, as cells are potentiated."""
    steps = [{"pulse": {"voltage": v, "duration": "50 ms"}} for v in np.arange(2, 4.1, 0.25)]
    found = [record(member, *steps) for member in range(MEMBERS)]
    g = np.array([r["conductance"][..., 2:] for r in found]).reshape(-1, len(steps) + 1)
    mr = np.array([r["magnetoresistance"][..., 2:] for r in found]).reshape(g.shape)
    assert (mr < 0).all()
    depressed, potentiated = np.abs(mr[:, 0]), np.abs(mr[:, -1])
    assert depressed.mean() < potentiated.mean() / 20
    error = potentiated.std(ddof=1) / np.sqrt(potentiated.size)
    assert potentiated.mean() > 10 * error
    # Over all cells and states the one follows the other, without a gap or a jump.
    order = np.argsort(g.ravel())
    size = np.abs(mr).ravel()[order]
    groups = np.array([part.mean() for part in np.array_split(size, 8)])
    assert (np.diff(groups) > 0).all()
    assert (
        np.corrcoef(np.argsort(np.argsort(g.ravel())), np.argsort(np.argsort(-mr.ravel())))[0, 1]
        > 0.9
    )
