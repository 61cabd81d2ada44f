"""Voltages of an array: of a drive, and of the last pulse at each cell."""

import numpy as np
from array_examples import RESET, WRITE, inputs

from kmc_oxy.inputs.schema import Crossbar
from kmc_oxy.protocol import Drive, flatten


def test_nominal_voltages_of_each_cell():
    given = inputs(RESET, WRITE, {"sweep": {"to": [0.2], "step": 0.1}}, {"read": {}})
    nominal_V = flatten(given.protocol).nominal_voltages_V(given.crossbar)
    assert nominal_V.shape == (3, 2, 6)
    assert (nominal_V[..., :2] == -4).all()
    np.testing.assert_allclose(nominal_V[..., 2], [[0, 1.5], [1.5, 3], [0, 1.5]])
    np.testing.assert_allclose(nominal_V[0, 0, 3:], [0.1, 0.2, 0.2])
    floating = Crossbar(rows=3, columns=2, scheme="floating")
    (only,) = {*flatten(given.protocol).nominal_voltages_V(floating)[1, 1, 2:3]}
    assert only == 3
    assert np.isnan(flatten(given.protocol).nominal_voltages_V(floating)[0, 0, 2])


def test_drives_of_an_array():
    crossbar = Crossbar(rows=2, columns=3, read_voltage=-0.2)

    def cells_V(drive):
        row, column = drive.lines(crossbar)
        return (row[:, None] - column).tolist()

    assert cells_V(Drive(2.0)) == [[2.0] * 3] * 2
    assert cells_V(Drive(None)) == [[-0.2] * 3] * 2
    assert cells_V(Drive(-0.1, "read", (1, 2))) == [[0, 0, -0.1]] * 2
    assert cells_V(Drive(None, "product", inputs_V=(1.0, 2.0, 3.0))) == [[-1, -2, -3]] * 2
