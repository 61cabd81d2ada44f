"""Cells and circuit together: drives, edges, coupling, programming, maps, products, restarts."""

import numpy as np
import pytest

from kmc_oxy.inputs.schema import Crossbar, Input
from kmc_oxy.physics import WINDOWS_PER_DECADE, solve_crossbar
from kmc_oxy.protocol import Drive, flatten, observables
from kmc_oxy.protocol.flattening import field_path
from kmc_oxy.simulation import Simulation, TaskParameters
from kmc_oxy.simulation.cells import RATE_TOLERANCE, interval_end_s, voltage_tolerance_V
from kmc_oxy.storage import read_tree, write_tree
from kmc_oxy.units import BOLTZMANN_EV_PER_K

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
    """An array whose lines drop a good part of the voltage."""
    return {"conductance": {"patches": 10**4}, "line_resistance": 1e3, **changes}


def changes(record, first, last):
    return record["conductance"][..., last] / record["conductance"][..., first] - 1


@pytest.mark.parametrize(
    ("scheme", "mate", "other"), [("V/2", 1.5, 0), ("V/3", 1, -1), ("floating", None, None)]
)
def test_programming_changes_the_chosen_cell(scheme, mate, other):
    simulation = run(inputs(RESET, WRITE, scheme=scheme))
    record = simulation.record
    assert record["cell_voltage"][..., 0].tolist() == [[-4, -4]] * 3
    voltage_V = record["cell_voltage"][..., -1]
    assert voltage_V[1, 1] == 3
    if scheme == "floating":
        # What the other lines float to is the circuit's business; no current leaves them.
        assert (np.abs(voltage_V[[0, 0, 1, 2, 2], [0, 1, 0, 0, 1]]) < 3).all()
        assert abs(voltage_V[0, 0] - voltage_V[2, 0] - voltage_V[0, 1] + voltage_V[2, 1]) < 1e-12
    else:
        np.testing.assert_allclose(voltage_V[[0, 2, 1], [1, 1, 0]], mate)
        np.testing.assert_allclose(voltage_V[[0, 2], [0, 0]], other)
    change = changes(record, 0, -1)
    assert change[1, 1] > 10 * np.abs(np.delete(change.ravel(), 3)).max()
    assert record["pulses_applied"].tolist() == [-1, 0, 1]
    assert record["target_reached"].tolist() == [-1, -1, -1]


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
    """Ground to ground is no edge: the hold of an unselected cell goes on."""
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
    # After the last interval the voltages are those of the circuit, within the cells' change.
    assert simulation._plan._lines.cell_voltage_V.shape == (3, 2)
    free = run(inputs(RESET, WRITE)).record
    assert changes(record, 0, -1)[1, 1] < changes(free, 0, -1)[1, 1]


def test_the_circuit_follows_the_cells_during_a_pulse(monkeypatch):
    """Each solution is that of the conductances at its moment, and moments are windows' ends."""
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
            # The last cell is the last to go on.
            moments.append(simulation.cells[-1].engine.time_s)
    pulse = [
        (time_s - 1.05, g, v)
        for time_s, (g, v) in zip(moments, seen, strict=True)
        if 1.05 - 1e-9 < time_s < 1.06 - 1e-9
    ]
    times_s = np.array([item[0] for item in pulse])
    # The resolution, a hundredth of 10 ms, is itself a window's end: the first interval ends one
    # window later.
    ends_s = 10 ** (np.arange(-15, -8) / WINDOWS_PER_DECADE)
    np.testing.assert_allclose(times_s, [0, *ends_s], rtol=1e-6, atol=1e-12)
    voltages = np.array([v[1, 1] for _, _, v in pulse])
    chosen = np.array([g[1, 1] for _, g, _ in pulse])
    assert chosen[-1] > 3 * chosen[0]
    # As the cell potentiates, its lines take more of the voltage.
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


def test_a_voltage_moved_by_other_cells_does_not_restart_the_cap(monkeypatch):
    """The rate cap goes on from the time since the edge, however often the circuit moves."""
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


def directions_are_right(record, leg, body):
    """Whether every pulse applied went towards the target from the reading before it."""
    g, voltage_V = record["conductance"][1, 0, leg], record["cell_voltage"][1, 0, leg]
    up, down = max(body["voltage"], body["reverse"]), min(body["voltage"], body["reverse"])
    applied = np.flatnonzero(np.diff(record["pulses_applied"][leg]))
    return all(voltage_V[n + 1] == (up if g[n] < body["target"] else down) for n in applied)


@pytest.mark.parametrize(
    ("start", "voltage", "reverse"), [((RESET,), 3, -2.8), ((RESET, SET), -3, 2.8)]
)
def test_write_verify_stops_at_its_target(start, voltage, reverse):
    """It does as a train of the same pulses does, up to the pulse that gets there."""
    body = {"cell": [1, 0], "voltage": voltage, "duration": "10 ms"}
    train = run(inputs(*start, {"program": body | {"count": 12}})).record
    g = train["conductance"][1, 0, len(start) :]
    extreme = np.maximum if voltage > 0 else np.minimum
    records = 1 + np.flatnonzero(np.diff(extreme.accumulate(g)))
    first = int(records[-1])
    assert first >= 1
    body |= {"target": float(g[first]), "tolerance": 1e-9, "max_pulses": 12, "reverse": reverse}
    simulation = run(inputs(*start, {"program": body}))
    record, leg = simulation.record, slice(len(start), None)
    assert record["target_reached"][leg].tolist() == [int(n >= first) for n in range(13)]
    assert record["pulses_applied"][leg].tolist() == [min(n, first) for n in range(13)]
    np.testing.assert_array_equal(record["conductance"][1, 0, leg][: first + 1], g[: first + 1])
    assert directions_are_right(record, leg, body)
    # Slots left empty take their time all the same.
    assert simulation.time_s == pytest.approx(simulation.schedule.duration_s, rel=1e-12)
    assert record["cell_voltage"][1, 0, -1] == voltage


def test_an_overshot_target_is_approached_from_the_other_side():
    jump = {"cell": [1, 0], "voltage": 4, "duration": 1}
    g = run(inputs(RESET, {"program": jump})).record["conductance"][1, 0, 1:]
    assert g[1] > 10 * g[0]
    body = jump | {"target": float(np.sqrt(g[0] * g[1])), "tolerance": 1e-6, "reverse": -2.8}
    record = run(inputs(RESET, {"program": body | {"max_pulses": 4}})).record
    assert record["cell_voltage"][1, 0, 2:4].tolist() == [4, -2.8]
    assert directions_are_right(record, slice(1, None), body)


def test_an_unreachable_target_ends_after_its_pulses():
    body = {"cell": [0, 0], "voltage": 3, "duration": "1 ms", "target": 1.0, "max_pulses": 7}
    record = run(inputs(RESET, {"program": body})).record
    assert record["target_reached"].tolist() == [-1] + [0] * 8
    assert record["pulses_applied"].tolist() == [-1, *range(8)]


def test_a_program_step_begins_anew_each_time():
    body = {"cell": [0, 0], "voltage": 3, "duration": "1 ms", "count": 2}
    record = run(inputs({"repeat": {"count": 2, "steps": [{"program": body}]}})).record
    assert record["pulses_applied"].tolist() == [0, 1, 2, 0, 1, 2]


def test_map_is_what_the_instrument_shows():
    given = inputs(RESET, WRITE, {"map": {}})
    record = run(given).record
    g = record["conductance"][..., -1]
    u = 0.1 / given.conductance.nonlinearity
    np.testing.assert_allclose(
        record["apparent_conductance"][..., -1], g * np.sinh(u) / u, rtol=1e-12
    )
    assert np.isnan(record["apparent_conductance"][..., :-1]).all()
    ohmic = run(inputs(RESET, {"map": {}}, conductance={"nonlinearity": None})).record
    np.testing.assert_allclose(
        ohmic["apparent_conductance"][..., -1], ohmic["conductance"][..., -1], rtol=1e-12
    )


def test_lines_take_their_share_of_a_map():
    record = run(inputs({"pulse": {"voltage": 4, "duration": 1}}, {"map": {}}, **coupled())).record
    ratio = record["apparent_conductance"][..., -1] / record["conductance"][..., -1]
    assert (ratio > 0).all() and (ratio < 1).all()
    # What is measured obeys the circuit: column 1 driven, all else at ground.
    solution = solve_crossbar(record["conductance"][..., -1], [0, 0, 0], [0, 0.1], 1e3, 0.5)
    np.testing.assert_allclose(
        record["apparent_conductance"][:, 1, -1], -solution.line_current_A.row / 0.1, rtol=1e-9
    )


def test_map_uses_the_reading_voltage_of_the_array():
    simulation = run(inputs({"map": {}}, read_voltage=-0.3))
    assert [cell.voltage_V for cell in simulation.cells] == [-0.3] * 6


def test_vector_matrix_step():
    given = inputs(RESET, {"vector_matrix": {"inputs": [0.1, -0.05]}})
    simulation = run(given)
    record = simulation.record
    g = record["conductance"][..., -1]
    np.testing.assert_allclose(record["ideal_current"][:, -1], g @ [0.1, -0.05])
    sinh = 0.5 * np.sinh([0.2, -0.1])
    np.testing.assert_allclose(record["output_current"][:, -1], g @ sinh, rtol=1e-12)
    error = record["output_current"][:, -1] - record["ideal_current"][:, -1]
    assert record["product_error"][-1] == pytest.approx(
        np.linalg.norm(error) / np.linalg.norm(g @ [0.1, -0.05])
    )
    np.testing.assert_allclose([cell.voltage_V for cell in simulation.cells], [-0.1, 0.05] * 3)
    far = run(inputs(RESET, {"vector_matrix": {"inputs": [0.1, -0.05]}}, line_resistance=1e12))
    assert far.record["product_error"][-1] > 0.5


def test_field_sweep_at_fixed_occupation():
    given = inputs(
        {"pulse": {"voltage": 4, "duration": 1}},
        {"field_sweep": {"amplitude": "60 mT", "step": "1 mT"}},
    )
    simulation = run(given)
    record = simulation.record
    path_T = record["field"][1:]
    assert path_T.tolist() == field_path(0.06, 1e-3) and np.isnan(record["field"][0])
    loop_S = record["field_conductance"][..., 1:]
    # Nothing moves during the sweep.
    for name in ("conductance", "hops", "magnetoresistance"):
        assert (record[name][..., 1:] == record[name][..., 1:2]).all()
    g, mr = record["conductance"][..., -1], record["magnetoresistance"][..., -1]
    np.testing.assert_allclose(loop_S[..., 0], g, rtol=1e-6)
    # The loop closes, is its own mirror image, and ends saturated in parallel.
    np.testing.assert_allclose(loop_S[..., -1], loop_S[..., 0], rtol=1e-9)
    half = len(path_T) // 2
    np.testing.assert_allclose(loop_S[..., half:], loop_S[..., : half + 1], rtol=1e-9)
    # Between the coercive fields, past zero, the electrodes are antiparallel.
    between = int(np.argmin(np.abs(path_T[: half + 1] + 0.012)))
    np.testing.assert_allclose(g / loop_S[..., between] - 1, mr, rtol=1e-3)
    before = int(np.argmin(np.abs(path_T[: half + 1] - 0.012)))
    np.testing.assert_allclose(loop_S[..., before], g, rtol=1e-6)


def test_two_field_sweeps_without_a_hold_between_them_are_two_loops():
    sweep = {"field_sweep": {"amplitude": 0.05, "step": 0.01}}
    record = run(inputs(sweep, sweep)).record
    half = record["field"].size // 2
    np.testing.assert_array_equal(record["field"][:half], record["field"][half:])
    assert np.isfinite(record["field_conductance"]).all()


@pytest.mark.parametrize(
    ("amplitude", "step", "count"), [(0.1, 1e-3, 401), (0.05, 0.03, 9), (1.0, 5.0, 3)]
)
def test_field_path(amplitude, step, count):
    path = np.array(field_path(amplitude, step))
    assert path.size == count
    assert path[0] == path[-1] == path.max() == amplitude
    assert path[count // 2] == path.min() == -amplitude
    assert np.abs(np.diff(path)).max() <= step * (1 + 1e-9)
    np.testing.assert_array_equal(path, path[::-1])


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


def test_only_what_the_steps_need_is_recorded():
    names = {item.name for item in observables(inputs(RESET))}
    assert "cell_voltage" in names
    assert not names & {"field", "apparent_conductance", "output_current", "pulses_applied"}
    nested = inputs({"repeat": {"count": 1, "steps": [{"map": {}}, {"field_sweep": {}}]}})
    assert {"apparent_conductance", "field"} <= {item.name for item in observables(nested)}


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
)  # fmt: skip


@pytest.mark.parametrize("options", [{}, coupled(), {"scheme": "floating"}])
@pytest.mark.parametrize("calls", [3, 40])
def test_an_interrupted_array_goes_on_bit_for_bit(calls, options, tmp_path, monkeypatch):
    given = inputs(*EVERYTHING, lattice={"nx": 4, "ny": 4}, rows=2, **options)
    whole = run(given).record
    # Shorter kernel calls: interruptions inside the interval of a cell, too.
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
