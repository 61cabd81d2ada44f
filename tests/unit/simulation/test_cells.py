"""Cells and circuit together: edges, coupling, intervals, restarts."""

import numpy as np
import pytest
from array_examples import RESET, WRITE, build, changes, coupled, inputs, run

from kmc_oxy.inputs.schema import Input
from kmc_oxy.physics import WINDOWS_PER_DECADE, solve_crossbar
from kmc_oxy.simulation import Simulation, TaskParameters
from kmc_oxy.simulation.cells import RATE_TOLERANCE, interval_end_s, voltage_tolerance_V
from kmc_oxy.storage import read_tree, write_tree
from kmc_oxy.units import BOLTZMANN_EV_PER_K


def test_an_uncoupled_cell_is_the_device_alone_at_its_voltage():
    """A half-selected cell of a V/2 write is a single device that gets half the voltage."""
    rest = {"voltage": -0.1, "duration": 0.05}
    array = run(inputs(RESET, {"program": {"cell": [0, 1], "voltage": 3, "count": 3}})).record
    for column, voltage, held in ((0, 1.5, 0.0), (1, 3.0, -0.1)):
        single = run(
            Input.model_validate(
                {
                    "device": {"lattice": {"nx": 6, "ny": 5}},
                    # The same stream: the cell of that column in a row of two.
                    "crossbar": {"rows": 1, "columns": 2},
                    "protocol": [
                        RESET,
                        {
                            "train": {
                                "voltage": voltage,
                                "duration": "10 ms",
                                "count": 3,
                                "rest": rest | {"voltage": held},
                            }
                        },
                    ],
                }
            )
        ).record
        for name in ("conductance", "hops"):
            np.testing.assert_array_equal(array[name][0, column], single[name][0, column])


def test_cells_at_rest_see_no_edge():
    """A cell that stays at 0 V has no edge: its hold continues."""
    simulation = build(inputs({"read": {"voltage": 0}}, WRITE, WRITE))
    edges = []
    corner = simulation.cells[0].engine
    original = corner.set_potential
    corner.set_potential = lambda potential: (edges.append(1), original(potential))
    for _ in simulation.run():
        pass
    assert not edges
    duration_s = simulation.schedule.duration_s
    assert simulation.cells[0].age_s == pytest.approx(duration_s, rel=1e-12)
    assert simulation.cells[0].engine.since_edge_s == pytest.approx(duration_s, rel=1e-12)
    assert simulation.cells[3].age_s == pytest.approx(0.05)


def test_line_resistance_couples_the_cells():
    simulation = run(inputs(RESET, WRITE, **coupled()))
    record = simulation.record
    chosen_V = record["cell_voltage"][1, 1, -1]
    assert 0 < chosen_V < 2.9
    # The plan has the voltages of the circuit in the last interval.
    assert simulation._plan._lines.cell_voltage_V.shape == (3, 2)
    free = run(inputs(RESET, WRITE)).record
    assert changes(record, 0, -1)[1, 1] < changes(free, 0, -1)[1, 1]


def test_the_circuit_follows_the_cells_during_a_pulse(monkeypatch):
    """Each solution is that of the present conductances, at the ends of the windows."""
    seen = []

    def spy(conductance, *arguments):
        solution = solve_crossbar(conductance, *arguments)
        seen.append((np.array(conductance), solution.cell_voltage_V))
        return solution

    monkeypatch.setattr("kmc_oxy.simulation.cells.solve_crossbar", spy)
    given = inputs(RESET, WRITE, **coupled())
    simulation = build(given)
    moments = []
    for _ in simulation.run():
        if len(seen) > len(moments):
            # The last cell is the last one to start the interval.
            moments.append(simulation.cells[-1].engine.time_s)
    pulse = [
        (time_s - 1.05, g, v)
        for time_s, (g, v) in zip(moments, seen, strict=True)
        if 1.05 - 1e-9 < time_s < 1.06 - 1e-9
    ]
    times_s = np.array([item[0] for item in pulse])
    # The resolution, a hundredth of 10 ms, is the end of a window: the first interval ends one
    # window later.
    ends_s = 10 ** (np.arange(-15, -8) / WINDOWS_PER_DECADE)
    np.testing.assert_allclose(times_s, [0, *ends_s], rtol=1e-6, atol=1e-12)
    voltages = np.array([v[1, 1] for _, _, v in pulse])
    chosen = np.array([g[1, 1] for _, g, _ in pulse])
    assert chosen[-1] > 3 * chosen[0]
    # As the cell potentiates, a larger part of the voltage drops over its lines.
    assert voltages[0] - voltages[-1] > 0.1
    assert (np.diff(voltages)[np.diff(chosen) > 0.01 * chosen[:-1]] < 0).all()


@pytest.mark.parametrize("tolerance_factor", [0.1, 1.0])
def test_a_voltage_applied_anew_stays_within_the_tolerance(monkeypatch, tolerance_factor):
    exact = voltage_tolerance_V
    monkeypatch.setattr(
        "kmc_oxy.simulation.simulation.voltage_tolerance_V",
        lambda device: tolerance_factor * exact(device),
    )
    simulation = build(inputs(RESET, WRITE, WRITE, **coupled()))
    limit_V = tolerance_factor * exact(simulation.cells[0].device)
    worst = 0.0
    monkeypatch.setattr("kmc_oxy.physics.engine.TRIALS_PER_CALL", 50)
    for _ in simulation.run():
        for cell in simulation.cells:
            if not cell.begun:
                continue
            wanted_V = simulation._plan.steps[cell.steps].voltage_V.flat[cell.index]
            worst = max(worst, abs(cell.voltage_V - wanted_V))
            np.testing.assert_array_equal(
                cell.engine._potential_V, cell.device.potential_per_volt * cell.voltage_V
            )
    assert 0 < worst <= limit_V


def test_the_tolerance_is_a_tenth_in_the_rates():
    device = build(inputs(RESET)).cells[0].device
    limit_V = voltage_tolerance_V(device)
    assert 1e-3 < limit_V < 5e-3
    for voltage_V in (-3.0, -0.1, 1.5):
        rates = [
            np.concatenate(
                device.landscape.rates(
                    device.potential_per_volt * (voltage_V + change_V), 76.0, 1e13
                )
            )
            for change_V in (0.0, limit_V)
        ]
        positive = (rates[0] > 1e-290) & (rates[1] > 1e-290)
        change = np.log(rates[1][positive] / rates[0][positive])
        assert 0.02 < np.abs(change).max() <= RATE_TOLERANCE * (1 + 1e-9)
    assert limit_V == pytest.approx(
        0.1 * BOLTZMANN_EV_PER_K * 76 / 2 / np.diff(np.unique(device.potential_per_volt)).max()
    )


def test_the_tolerance_is_infinite_without_a_field_in_the_layers():
    field = {"lsmo_share": 1, "lsmo_width": "0.1 nm", "oxide_share": 0}
    lattice = {"nx": 6, "ny": 5}
    device = {"lattice": lattice, "field": field}
    simulation = build(Input.model_validate({"device": device, "protocol": [{"read": {}}]}))
    assert voltage_tolerance_V(simulation.cells[0].device) == np.inf


def test_a_voltage_moved_by_other_cells_does_not_restart_the_cap(monkeypatch):
    """The rate cap counts from the edge, however often the circuit changes the voltage."""
    monkeypatch.setattr("kmc_oxy.physics.engine.TRIALS_PER_CALL", 50)
    simulation = build(
        inputs(
            RESET,
            {"program": {**WRITE["program"], "rest": None}},
            **coupled(line_resistance=3e3),
        )
    )
    lowest = {}
    applied = set()
    for _ in simulation.run():
        cell = simulation.cells[3]
        if cell.begun and 1.05 < cell.engine.time_s < 1.06 - 1e-9:
            applied.add(cell.voltage_V)
            window = cell.engine._window
            lowest[cell.voltage_V] = min(window, lowest.get(cell.voltage_V, window))
    assert len(applied) > 2
    assert len(set(lowest.values())) > 2
    assert list(lowest.values()) == sorted(lowest.values())
    assert cell.age_s == pytest.approx(0.01, rel=1e-9)


def test_interval_ends():
    assert interval_end_s(0.0, 1e-4) == pytest.approx(10 ** (-15 / 4))
    assert interval_end_s(1e-3, 1e-4) == pytest.approx(10 ** (-11 / 4))
    age_s, count = 0.0, 0
    while age_s < 1.0 - 1e-9:
        end_s = interval_end_s(age_s, 1e-3)
        assert end_s > age_s
        age_s += end_s - age_s
        count += 1
    assert count == 3 * WINDOWS_PER_DECADE


EVERYTHING = (
    {"pulse": {"voltage": -4, "duration": "10 ms"}},
    {
        "program": {
            "cell": [1, 0], "voltage": 2.5, "duration": "1 ms", "max_pulses": 3, "target": 1e-9,
        }
    },
    {"map": {"duration": "1 ms"}},
    {"field_sweep": {"amplitude": 0.05, "step": 0.01}},
    {"vector_matrix": {"inputs": [0.1, 0.2], "duration": "1 ms"}},
    {"relax": {"duration": "10 ms", "first": "1 ms", "points_per_decade": 2}},
)  # fmt: skip  # fmt: skip


@pytest.mark.parametrize("options", [{}, coupled(), {"scheme": "floating"}])
@pytest.mark.parametrize("calls", [3, 40])
def test_an_interrupted_array_goes_on_bit_for_bit(calls, options, tmp_path, monkeypatch):
    given = inputs(*EVERYTHING, lattice={"nx": 4, "ny": 4}, rows=2, **options)
    whole = run(given).record
    # Shorter kernel calls: there are interruptions inside an interval of a cell as well.
    monkeypatch.setattr("kmc_oxy.physics.engine.TRIALS_PER_CALL", 150)
    simulation = build(given)
    restarts = inside = 0
    while not simulation.done:
        going = simulation.run()
        for _ in range(calls):
            if next(going, "end") == "end":
                break
        inside += any(cell.begun for cell in simulation.cells)
        with open(tmp_path / "state.npz", "wb") as file:
            write_tree(file, simulation.state_dict())
        simulation = Simulation.from_state(
            given,
            simulation.schedule,
            read_tree(tmp_path / "state.npz"),
            TaskParameters(point=0, member=0, seed=5, tolerance=0.1),
        )
        restarts += 1
    assert restarts > 2 and (inside > 0 or calls > 3)
    assert whole.keys() == simulation.record.keys()
    for name, array in whole.items():
        np.testing.assert_array_equal(simulation.record[name], array)


def test_coupled_in_exact_mode():
    given = inputs(
        {"pulse": {"voltage": 4, "duration": "1 ns", "rest": None}},
        {"program": {"cell": [0, 0], "voltage": -3, "duration": "1 ns", "rest": None}},
        lattice={"nx": 4, "ny": 4},
        **coupled(),
    )
    record = run(given, tolerance=None).record
    assert (record["hops"][..., -1] > 0).all()
