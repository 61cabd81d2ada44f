import json
import os

import h5py
import numpy as np
import pytest
import xarray
from run_examples import TEXT, compute, datasets, plan_of

from kmc_oxy.analysis.tolerance_check import tolerance_check
from kmc_oxy.cli.tables import run_table
from kmc_oxy.execution import assemble, run_serial
from kmc_oxy.execution.output_assembly import resolved_value
from kmc_oxy.execution.tasks import CHECK_FACTOR
from kmc_oxy.simulation import Simulation, TaskParameters
from kmc_oxy.storage import StoreError, begin_or_resume, open_output


def test_the_output_has_the_documented_format(finished):
    with xarray.open_dataset(finished) as data:
        per_cell = ("point", "member", "row", "column", "reading")
        dims = {
            "time": ("point", "reading"),
            "pulse": ("point", "reading"),
            "step": ("point", "reading"),
            "voltage": ("point", "row", "column", "reading"),
            "conductance": per_cell,
            "magnetoresistance": per_cell,
            "oxygen_organic": per_cell,
            "profile": (*per_cell, "layer"),
            "hops": per_cell,
        }
        for name, expected in dims.items():
            assert data[name].dims == expected
            assert data[name].attrs["units"] and data[name].attrs["long_name"]
        assert data["conductance"].attrs["units"] == "S" and data["time"].attrs["units"] == "s"
        assert data.sizes == {
            "point": 4, "member": 2, "row": 1, "column": 1, "reading": 7, "layer": 14,
            "snapshot": 2, "oxygen": round(0.075 * 6 * 5 * 14),
        }  # fmt: skip
        for name in (
            "schema_version", "kmc_oxy_version", "input_yaml", "resolved", "seed", "mpi_size",
            "versions", "created", "complete",
        ):  # fmt: skip
            assert name in data.attrs
        assert data.attrs["input_yaml"] == TEXT and data.attrs["seed"] == 11
        assert json.loads(data.attrs["resolved"])["device"]["lattice"]["nx"] == 6
        assert (data["wall_time"] > 0).all()

        # Points with three pulses have two readings less than those with five.
        assert np.isnan(data["conductance"][:2, ..., 5:]).all()
        assert (data["hops"][:2, ..., 5:] == -1).all() and (data["pulse"][:2, 5:] == -1).all()
        assert np.isfinite(data["conductance"][:2, ..., :5]).all()
        assert np.isfinite(data["conductance"][2:]).all()
        assert data["pulse"][3].values.tolist() == [1, 0, 1, 2, 3, 4, 5]
        assert data["voltage"][3, 0, 0].values.tolist() == [3, 3, -2, -2, -2, -2, -2]
        assert data["scan:protocol.1.train.count"].values.tolist() == [3, 3, 5, 5]
        assert data["scan:device.temperature"].values.tolist() == [76, 100, 76, 100]
        assert data["scan:device.temperature"].attrs["units"] == "K"


def test_each_task_stands_where_it_belongs(finished):
    plan = plan_of()
    task = plan.task(3, 1)
    simulation = Simulation(
        plan.point(3), plan.schedule(3), TaskParameters(point=3, member=1, seed=11, tolerance=0.1)
    )
    for _ in simulation.run():
        pass
    with open_output(finished) as file:
        for name, array in simulation.record.items():
            np.testing.assert_array_equal(file[name][task.point, task.member], array)


def test_the_work_folder_is_gone(finished):
    assert os.listdir(finished.parent) == ["out.h5"]


@pytest.mark.parametrize("damage", ["missing", "truncated", "flipped", "foreign"])
def test_a_lost_or_damaged_task_is_an_error_and_can_be_redone(finished, tmp_path, damage):
    plan, output = plan_of(), tmp_path / "out.h5"
    work = begin_or_resume(output, plan.identity)
    run_serial(plan, work)
    path = work.path / "tasks" / "0000003.npz"
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "flipped":
        middle = content.index(b"NUMPY", len(content) // 2) + 300
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    else:
        path.write_bytes((work.path / "manifest.json").read_bytes())
    with pytest.raises(StoreError, match=r"0000003\.npz|1 of 8 tasks"):
        assemble(plan, work)
    work.release()
    assert not output.exists() and len(os.listdir(work.path / "tasks")) >= 7
    path.unlink(missing_ok=True)
    compute(plan, output)
    assert datasets(output) == datasets(finished)


def test_the_tolerance_check_is_stored(tmp_path):
    text = TEXT.split("scan:")[0] + "ensemble: {members: 3, seed: 2}\n"
    plan = plan_of(text, "engine.check_tolerance=true", "engine.tolerance=0.1")
    output = compute(plan, tmp_path / "out.h5")
    coarse = plan_of(text, f"engine.tolerance={CHECK_FACTOR * 0.1!r}")
    reference = compute(coarse, tmp_path / "coarse.h5")
    with open_output(output) as file, open_output(reference) as other:
        for name in ("conductance", "oxygen_organic"):
            error = file[f"tolerance_error_{name}"]
            assert file.dimensions_of(error.name[1:]) == ["point", "row", "column", "reading"]
            differences = other[name][:].astype(float) - file[name][:]
            expected = differences.mean(axis=1)
            np.testing.assert_allclose(error[:], expected, rtol=1e-12, atol=1e-30)
            assert np.abs(expected).max() > 0
            deviation = file[f"tolerance_error_{name}_deviation"][:]
            np.testing.assert_allclose(
                deviation, differences.std(axis=1, ddof=1), rtol=1e-9, atol=1e-30
            )
        assert file["tolerance_error_profile"].shape[-1] == 14
        assert file["conductance"].shape[1] == 3
        found = tolerance_check(file, 0)
    assert found.members == 3 and found.tolerance == 0.1
    assert found.text in run_table(output)


def test_resolved_values():
    plan = plan_of(TEXT.replace("[76 K, 100 K]", "[77 K]"))
    assert resolved_value(plan.point(0), "device.temperature") == (77.0, "K")
    assert resolved_value(plan.point(1), "protocol.1.train.count") == (5, "1")
    assert resolved_value(plan.point(0), "protocol.0.pulse.rest.duration") == (0.05, "s")
    value, _ = resolved_value(plan.point(0), "device.barriers.bulk")
    assert value.high == 0.2


UNION = """
device: {lattice: {nx: 4, ny: 4, organic_layers: 5, organic_thickness: 4 nm}}
protocol: [{program: {cell: [0, 0], voltage: 2 V, count: 1}}]
scan:
  protocol:
    - [{read: {}}]
    - [{read: {}}, {vector_matrix: {inputs: [0.2 V]}}, {sweep: {to: [0.2 V], step: 0.1 V}}]
    - [{field_sweep: {step: 50 mT}}]
ensemble: {members: 2, seed: 1}
engine: {tolerance: 0.2}
"""


def test_points_with_different_steps_give_the_union_of_their_datasets(tmp_path):
    with h5py.File(compute(plan_of(UNION), tmp_path / "out.h5")) as file:
        assert "program" not in file and "pulses_applied" not in file
        assert file["conductance"].shape == (3, 2, 1, 1, 9)
        recorded = np.isfinite(file["conductance"][:, 0, 0, 0]).sum(axis=1)
        assert recorded.tolist() == [1, 4, 9]
        assert np.isfinite(file["output_current"][1, :, 0, 1]).all()
        assert np.isnan(file["output_current"][[0, 2]]).all()
        assert np.isfinite(file["field"][2]).all() and np.isnan(file["field"][:2]).all()
        assert np.isfinite(file["sweep_current"][1, :, 0, 0, 2:4]).all()
        assert (file["step"][0] == [0] + [-1] * 8).all()
        assert np.isnan(file["leg_time"][0, 1:]).all()


def test_a_scanned_value_is_stored_as_it_was_written(tmp_path):
    with h5py.File(compute(plan_of(UNION), tmp_path / "out.h5")) as file:
        labels = file["scan:protocol"].asstr()[()]
    assert json.loads(labels[0]) == [{"read": {}}]
    assert json.loads(labels[2]) == [{"field_sweep": {"step": "50 mT"}}]
    text = TEXT.replace(
        "  device.temperature: [76 K, 100 K]",
        "  protocol.0: [{pulse: {voltage: 3 V, duration: 1 ms}}, {read: {}}]\n"
        "  conductance.nonlinearity: [null, 0.4 V]\n  crossbar.scheme: [V/2, V/3]",
    )
    with h5py.File(compute(plan_of(text), tmp_path / "other.h5")) as file:
        assert set(file["scan:conductance.nonlinearity"].asstr()) == {"null", "0.4 V"}
        assert set(file["scan:crossbar.scheme"].asstr()) == {"V/2", "V/3"}
        assert {json.dumps(json.loads(label)) for label in file["scan:protocol.0"].asstr()} == {
            '{"pulse": {"voltage": "3 V", "duration": "1 ms"}}', '{"read": {}}',
        }  # fmt: skip


def test_points_with_different_numbers_of_layers(tmp_path):
    text = TEXT.replace(
        "device.temperature: [76 K, 100 K]", "device.lattice.organic_thickness: [5 nm, 10 nm]"
    )
    with h5py.File(compute(plan_of(text), tmp_path / "out.h5")) as file:
        layers = np.isfinite(file["layer_z"]).sum(axis=1)
        assert layers.tolist() == [8, 14, 8, 14]
        assert np.isfinite(file["profile"][0, 0, 0, 0, 0]).sum() == 8
